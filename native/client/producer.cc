#include "client/producer.h"

#include <algorithm>

#include "base/checksum.h"
#include "base/random.h"
#include "client/producer_partition.h"

namespace weft::client {

namespace {
Status batch_error(Code code, std::string text) { return Status(code, std::move(text)); }
}  // namespace

Producer::Producer(Client& client, std::shared_ptr<const TopicRecord> topic, ProducerOptions options)
    : client_(client), topic_(std::move(topic)), options_(std::move(options)) {
  if (options_.name.empty()) {
    secure_random(std::as_writable_bytes(std::span(id_.bytes)));
  } else {
    id_ = wire::producer_id_of_name(options_.name);
  }
  // One event of the largest metadata must always fit; the body has its own limit.
  const uint64_t column_bytes = uint64_t{16} * options_.batch_events + 16;
  const uint64_t room = wire::kBatchBodyBytesMax - wire::align_up(column_bytes, 8) - 8;
  arena_shape_ = {options_.batch_events, std::min(room, std::max(options_.batch_bytes, wire::kMetadataBytesMax)),
                  options_.batch_data_bytes};
}

Producer::~Producer() = default;

void Producer::open(Client& client, std::shared_ptr<const TopicRecord> topic, ProducerOptions options,
                    std::function<void(Result<std::shared_ptr<Producer>>)> done) {
  if (options.batch_events == 0 || options.batch_events > wire::kBatchEventsMax) {
    return done(Status(Code::INVALID_ARGUMENT, join_text("batch_events is ", options.batch_events, "; it must be 1 to ",
                                                         wire::kBatchEventsMax)));
  }
  if (options.batches_in_flight == 0 || options.batches_in_flight > kBatchesInFlightMax) {
    return done(Status(Code::INVALID_ARGUMENT, join_text("batches_in_flight is ", options.batches_in_flight,
                                                         "; it must be 1 to ", kBatchesInFlightMax)));
  }
  if (!options.name.empty()) {
    const Status name = wire::check_name("producer", options.name);
    if (!name.ok()) return done(name);
  }
  std::shared_ptr<Producer> producer(new Producer(client, std::move(topic), std::move(options)));
  producer->self_ = producer;
  if (producer->options_.echo) return done(producer);
  client.run([producer, done = std::move(done)] {
    const auto count = static_cast<uint32_t>(producer->topic_->slots.size());
    for (uint32_t i = 0; i < count; ++i) {
      producer->partitions_.push_back(std::make_unique<ProducerPartition>(*producer, i, producer->topic_->slots[i]));
    }
    struct Opening {
      size_t left;
      Status first_error;
    };
    const bool all = !producer->options_.name.empty() || count <= kPartitionsOpenedEarlyMax;
    const size_t early = all ? count : kPartitionsOpenedEarlyMax;
    // Different ones for each producer: its id is random.
    const size_t first = all ? 0 : secure_random_u64() % count;
    auto opening = std::make_shared<Opening>(Opening{early, {}});
    for (size_t i = 0; i < early; ++i) {
      producer->partitions_[(first + i) % count]->start([producer, opening, done](const Status& status) {
        if (!status.ok() && opening->first_error.ok()) opening->first_error = status;
        if (--opening->left > 0) return;
        if (opening->first_error.ok()) return done(producer);
        close(producer, [done, opening] { done(opening->first_error); });
      });
    }
  });
}

Result<Batch*> Producer::take() {
  const std::lock_guard lock(mutex_);
  if (!free_.empty()) {
    Batch* batch = free_.back();
    if (!batch->arena->registered()) WEFT_RETURN_IF_ERROR(batch->arena->renew(client_.lane()));
    free_.pop_back();
    return batch;
  }
  WEFT_RETURN_IF_ERROR(client_.check_quarantine(Client::Lent::kForOthers));
  // Each partition may fill one while its others are in flight.
  const size_t limit = std::min(kArenasMax, topic_->slots.size() * (options_.batches_in_flight + 1));
  if (batches_.size() >= limit) {
    return batch_error(Code::BUSY, join_text("all ", limit, " batches of the producer of topic '", topic_->name,
                                             "' are in flight; wait for an acknowledgement"));
  }
  Result<std::unique_ptr<Arena>> arena = Arena::create(client_.lane(), arena_shape_);
  if (!arena.ok()) return arena.status();
  batches_.push_back(std::make_unique<Batch>(*this, arena.take()));
  return batches_.back().get();
}

void Producer::give_back(Batch* batch) {
  const std::lock_guard lock(mutex_);
  free_.push_back(batch);
}

Status Producer::measure(const Batch& batch, uint32_t count, uint64_t metadata_bytes,
                         std::span<const BatchPiece> pieces, uint64_t* data_bytes) const {
  Arena& arena = *batch.arena;
  if (count == 0 || count > options_.batch_events || metadata_bytes > arena_shape_.metadata_bytes) {
    return batch_error(Code::INVALID_ARGUMENT, join_text("a batch of ", count, " events and ", metadata_bytes,
                                                         " bytes of metadata does not fit (", options_.batch_events,
                                                         ", ", arena_shape_.metadata_bytes, ")"));
  }
  if (arena.metadata_end()[count - 1] != metadata_bytes) {
    return batch_error(Code::INVALID_ARGUMENT, "metadata_end of the last event is not the metadata's length");
  }
  uint64_t position = 0;
  if (!pieces.empty()) {
    // What the server would end our whole session for is refused here.
    uint64_t end = 0;
    const std::byte* own = arena.data();
    const std::byte* own_end = own + arena_shape_.data_bytes;
    for (const BatchPiece& piece : pieces) {
      if (piece.extent_at < end || piece.extent_at - end >= wire::kDataAlignmentBytes ||
          piece.extent_at > wire::kBatchDataBytesMax || piece.length > wire::kBatchDataBytesMax - piece.extent_at) {
        return batch_error(Code::INVALID_ARGUMENT,
                           "the pieces of a batch overlap, leave gaps of 64 bytes or more, or are out of order");
      }
      const bool is_own = piece.region == nullptr && piece.address >= own && piece.address < own_end;
      if (piece.address == nullptr || (is_own && piece.length > static_cast<uint64_t>(own_end - piece.address))) {
        return batch_error(Code::INVALID_ARGUMENT, join_text("a piece of ", piece.length,
                                                             " bytes is at NULL or reaches behind the batch's memory"));
      }
      end = piece.extent_at + piece.length;
    }
    for (uint32_t i = 0; i < count; ++i) {
      const uint64_t length = arena.data_length()[i];
      if (length == 0) continue;
      if (length > wire::kBatchDataBytesMax) {
        return batch_error(Code::EVENT_TOO_LARGE,
                           join_text("data of ", length, " bytes is over the limit of ", wire::kBatchDataBytesMax));
      }
      position = wire::align_up(position, wire::kDataAlignmentBytes) + length;
      if (position > wire::kBatchDataBytesMax) {
        return batch_error(Code::EVENT_TOO_LARGE,
                           join_text("the data of a batch is over ", wire::kBatchDataBytesMax, " bytes"));
      }
    }
    if (position != end) {
      return batch_error(Code::INVALID_ARGUMENT,
                         join_text("the pieces end at ", end, ", the events' data at ", position));
    }
  }
  const uint64_t limit = topic_->info.event_data_bytes_max;
  if (limit != 0 && position > limit) {
    return batch_error(Code::EVENT_TOO_LARGE,
                       join_text("data of ", position, " bytes does not fit a partition of topic '", topic_->name,
                                 "', which holds ", limit, "; raise the topic's memory limit or use disk storage"));
  }
  *data_bytes = position;
  return {};
}

Status Producer::register_pieces(Batch* batch) {
  const std::byte* own = batch->arena->data();
  const std::byte* own_end = own + arena_shape_.data_bytes;
  for (BatchPiece& piece : batch->pieces) {
    if (piece.region != nullptr || (piece.address >= own && piece.address < own_end)) continue;
    void* memory = const_cast<std::byte*>(piece.address);  // shown for reading only
    Result<std::unique_ptr<fabric::Region>> region =
        client_.lane().register_memory(memory, piece.length, fabric::kRemoteRead);
    if (!region.ok()) return region.status();
    piece.region = region.value().get();
    batch->registered_here.push_back(region.take());
  }
  return {};
}

Status Producer::submit(Batch* batch, uint32_t partition, uint32_t count, uint64_t metadata_bytes,
                        uint64_t base_time_ns, std::span<const BatchPiece> pieces) {
  if (partition >= topic_->slots.size()) {
    return batch_error(Code::PARTITION_RANGE, join_text("topic '", topic_->name, "' has ", topic_->slots.size(),
                                                        " partitions and no partition ", partition));
  }
  if (pieces.size() > wire::kBatchSegmentsMax) {
    return batch_error(Code::LIMIT, join_text("a batch of ", pieces.size(), " pieces of data is over the limit of ",
                                              wire::kBatchSegmentsMax));
  }
  batch->pieces.clear();
  for (const BatchPiece& piece : pieces) {
    if (piece.length > 0) batch->pieces.push_back(piece);
  }
  uint64_t data_bytes = 0;
  WEFT_RETURN_IF_ERROR(measure(*batch, count, metadata_bytes, batch->pieces, &data_bytes));
  const Status registered = register_pieces(batch);
  if (!registered.ok()) {
    batch->registered_here.clear();
    return registered;
  }
  Arena& arena = *batch->arena;
  batch->data_inline =
      batch->pieces.size() == 1 && batch->pieces[0].address == arena.data() && batch->pieces[0].extent_at == 0;
  const bool has_data = data_bytes > 0;
  batch->body = arena.make_body(count, metadata_bytes, has_data);
  wire::BatchHeader& header = batch->header;
  header = {};
  header.magic = wire::kBatchMagic;
  header.version = wire::kBatchVersion;
  header.flags = static_cast<uint16_t>(
      (has_data ? wire::kBatchHasData : 0) |
      (topic_->info.serializer == wire::Serializer::kJson ? wire::kBatchMetadataJson : wire::kBatchMetadataRaw));
  header.event_count = count;
  header.body_checksum = crc32c(batch->body);
  header.body_bytes = batch->body.size();
  header.data_bytes = data_bytes;
  header.base_time_ns = base_time_ns;
  batch->partition = partition;
  batch->sent = false;
  batch->reported = false;
  batch->exposed = false;
  batch->was_lost = false;
  batch->task.owner = batch;
  batch->task.run = [](fabric::Task* task) {
    auto* submitted = static_cast<Batch*>(task->owner);
    const auto& echo = submitted->producer.options_.echo;
    if (echo) {
      BatchResult result;
      const Status status = echo(*submitted, result);
      return submitted->producer.finish(submitted, status, result);
    }
    submitted->producer.partitions_[submitted->partition]->push(submitted);
  };
  client_.lane().post(&batch->task);
  return {};
}

void Producer::finish(Batch* batch, const Status& status, const BatchResult& result) {
  if (!status.ok() && !batch->reported) ++client_.count().batches_failed;
  batch->registered_here.clear();  // its owner may use that memory again with `done`
  batch->pieces.clear();
  // First: whoever is told by `done` that it is over may give a region back at once.
  if (batch->released != nullptr) batch->released(batch);
  if (!batch->reported) batch->done(batch, status, result);
  recycle(batch);
}

void Producer::give_up(Batch* batch, const Status& status) {
  if (!batch->exposed) return finish(batch, status, {});
  // Memory that was registered for this use is its owner's again with `done`: a network peer is kept out of it first.
  batch->registered_here.clear();
  if (!batch->reported) {
    ++client_.count().batches_failed;
    batch->done(batch, status, {});
  }
  lose(batch);
}

void Producer::recycle(Batch* batch) {
  // The server has answered for them, or its access is closed with them.
  batch->registered_here.clear();
  batch->pieces.clear();
  if (batch->released != nullptr) batch->released(batch);
  void (*const room)(void*) = batch->room;
  void* const owner = batch->owner;
  bool registered = true;
  if (batch->reported || batch->was_lost) registered = batch->arena->renew(client_.lane()).ok();
  batch->reported = batch->exposed = batch->was_lost = false;
  if (registered) {
    give_back(batch);  // from here on it may be another caller's
  } else {
    // Not unmapped: bindings show the addresses for as long as the producer lives. take() tries again when it has no
    // other.
    const std::lock_guard lock(mutex_);
    free_.insert(free_.begin(), batch);
  }
  if (room != nullptr) room(owner);
}

// Under the lock.
void Producer::erase(Batch* batch) {
  const auto found =
      std::find_if(batches_.begin(), batches_.end(), [batch](const auto& owned) { return owned.get() == batch; });
  WEFT_ASSERT(found != batches_.end());
  batches_.erase(found);
}

void Producer::lose(Batch* batch) {
  void (*const room)(void*) = batch->room;
  void* const owner = batch->owner;
  const uint64_t bytes = arena_shape_.metadata_bytes + arena_shape_.data_bytes;
  // Closing the registrations keeps a network peer out; over shm the memory itself must stay untouched.
  batch->arena->keep_mapped();
  client_.quarantine(std::shared_ptr<Arena>(std::move(batch->arena)), bytes, Client::Lent::kForOthers);
  {
    const std::lock_guard lock(mutex_);
    erase(batch);
  }
  if (room != nullptr) room(owner);
}

Result<uint64_t> Producer::stored_before(uint32_t partition) const {
  const size_t count = topic_->slots.size();
  if (partition >= count) {
    return batch_error(Code::PARTITION_RANGE,
                       join_text("topic '", topic_->name, "' has ", count, " partitions and no partition ", partition));
  }
  if (options_.name.empty() || options_.echo) return uint64_t{0};
  const uint64_t before = partitions_[partition]->stored_before();
  if (before != ProducerPartition::kUnknown) return before;
  return batch_error(
      Code::PARTITION_UNAVAILABLE,
      join_text("what producer '", options_.name, "' stored in partition ", partition, " of topic '", topic_->name,
                "' is not known: slot ", topic_->slots[partition], " has not answered yet; ask again when it is back"));
}

void Producer::sync(std::function<void(const Status&)> done) {
  // Held until the last answer: the requests' functions use the partitions.
  client_.run([self = self_.lock(), done = std::move(done)] {
    struct Syncing {
      size_t left = 1;  // one for this function
      Status first_error;
    };
    const auto syncing = std::make_shared<Syncing>();
    const auto answered = [self, syncing, done](const Status& status) {
      if (!status.ok() && syncing->first_error.ok()) syncing->first_error = status;
      if (--syncing->left == 0) done(syncing->first_error);
    };
    for (const auto& partition : self->partitions_) {
      for (const ProducerPartition::Acknowledged& what : std::deque(partition->acknowledged())) {
        ++syncing->left;
        partition->sync(what, answered);
      }
    }
    answered({});
  });
}

void Producer::close(std::shared_ptr<Producer> producer, std::function<void()> done) {
  Client& client = producer->client_;
  client.run([producer = std::move(producer), done = std::move(done)] {
    for (auto& partition : producer->partitions_) partition->close();
    done();
  });
}

}  // namespace weft::client
