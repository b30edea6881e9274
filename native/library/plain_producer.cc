// One event at a time, for plain programs: events gather in an open batch per partition, which is sent when it is full,
// when its oldest event has waited for linger_ms, by weft_flush, or by weft_region_wait. Any thread; callers take
// turns.
#include <algorithm>
#include <cstring>

#include "base/checksum.h"
#include "base/clock.h"
#include "library/json_text.h"
#include "library/producer.h"

namespace weft::library {

namespace {
// Receipts: the batch's number and the event's place in it.
constexpr uint32_t kReceiptIndexBits = 16;
constexpr uint64_t kRoomLookNs = 20 * kNsPerMs;

Status submit_one_locked(weft_producer* producer, uint32_t partition, weft_batch* batch) {
  const Status submitted = submit_locked(producer, batch, partition, batch->count, batch->metadata_bytes,
                                         batch->base_time_ns, batch->has_data ? batch->pieces.data() : nullptr,
                                         batch->has_data ? static_cast<uint32_t>(batch->pieces.size()) : 0);
  // Without memory it stays open: the timer, the next event or the flush tries again.
  if (submitted.code() == Code::OUT_OF_MEMORY) return submitted;
  producer->open.erase(partition);
  if (submitted.ok()) {
    if (!producer->lines.empty()) producer->lines.sent(partition, Clock::system().monotonic_ns());
    return {};
  }
  // Its events are lost to the caller: said by their receipts and by the flush.
  record_outcome_locked(producer, batch->number, {submitted, partition, 0, 0});
  if (producer->first_error.ok()) producer->first_error = submitted;
  batch->with_caller = false;
  producer->producer->give_back(batch->batch);
  producer->changed.notify_all();
  producer->room.notify_all();
  return submitted;
}

void begin_linger_locked(weft_producer* producer) {
  if (producer->linger_armed) return;
  weft_job* job = producer->job;
  job->client->run([job, producer] { job->lane->arm(&producer->linger, producer->options.linger_ms * kNsPerMs); });
  producer->linger_armed = true;
}

// What a push that finds all batches under way says, where it is not to wait.
Status refuse_full(const weft_producer* producer, const Status& busy) {
  if (producer->options.when_full != WEFT_FULL_DROP_NEWEST) return busy;
  return Status(Code::DROPPED, join_text("the event of topic '", producer->producer->topic().name,
                                         "' was dropped, since all batches of the producer are under way; push more "
                                         "slowly, raise batches_in_flight, or choose another when_full"));
}

// The open batch of the partition with room for the event, making a new one if need be; waits while all are in flight.
Status find_room(weft_producer* producer, std::unique_lock<std::mutex>& lock, uint32_t partition,
                 uint64_t metadata_length, uint64_t total, uint64_t copied, uint32_t piece_count, weft_batch** batch) {
  const client::ProducerOptions& options = producer->producer->options();
  const uint64_t topic_limit = producer->producer->topic().info.event_data_bytes_max;
  const uint64_t extent_limit = topic_limit == 0 ? wire::kBatchDataBytesMax : topic_limit;
  const uint64_t deadline_ns = deadline_after(static_cast<int64_t>(producer->job->settings.delivery_timeout_ms));
  while (true) {
    const auto found = producer->open.find(partition);
    if (found != producer->open.end()) {
      weft_batch* open = found->second;
      const client::ArenaShape& shape = open->batch->arena->shape();
      const bool fits = open->count < options.batch_events &&
                        open->metadata_bytes + metadata_length <= shape.metadata_bytes &&
                        wire::align_up(open->copied_bytes, wire::kDataAlignmentBytes) + copied <= shape.data_bytes &&
                        wire::align_up(open->extent_bytes, wire::kDataAlignmentBytes) + total <= extent_limit &&
                        open->pieces.size() + piece_count <= wire::kBatchSegmentsMax;
      if (fits) {
        *batch = open;
        return {};
      }
      WEFT_RETURN_IF_ERROR(submit_one_locked(producer, partition, open));
    }
    weft_batch* made = nullptr;
    const Status opened = open_batch_locked(producer, &made);
    if (opened.ok()) {
      made->plain = true;
      made->number = ++producer->last_number;
      made->count = 0;
      made->metadata_bytes = made->extent_bytes = made->copied_bytes = 0;
      made->has_data = false;
      made->pieces.clear();
      made->base_time_ns = Clock::system().realtime_ns();
      try {
        begin_linger_locked(producer);
        producer->open[partition] = made;
      } catch (...) {
        made->with_caller = false;
        producer->producer->give_back(made->batch);
        throw;
      }
      *batch = made;
      return {};
    }
    if (opened.code() != Code::BUSY) return opened;
    // What other partitions have begun is sent, or it could be this that everybody waits for.
    WEFT_RETURN_IF_ERROR(submit_open_locked(producer));
    if (producer->options.when_full != WEFT_FULL_BLOCK) return refuse_full(producer, opened);
    // Until half of the batches are back: then the next pushes find room without waiting. Looked at in between all the
    // same, for another thread may keep more than half under way.
    const uint64_t now_ns = Clock::system().monotonic_ns();
    if (now_ns >= deadline_ns) return opened;
    producer->room_at = producer->outstanding / 2;
    static_cast<void>(wait_until(producer->room, lock, std::min(deadline_ns, now_ns + kRoomLookNs)));
  }
}

// Puts the pieces into the batch's extent: small ones copied, others by reference.
void add_data(weft_batch* batch, const weft_piece* pieces, uint32_t piece_count, uint64_t total) {
  client::Arena& arena = *batch->batch->arena;
  batch->extent_bytes =
      total == 0 ? batch->extent_bytes : wire::align_up(batch->extent_bytes, wire::kDataAlignmentBytes);
  batch->copied_bytes =
      total == 0 ? batch->copied_bytes : wire::align_up(batch->copied_bytes, wire::kDataAlignmentBytes);
  for (uint32_t i = 0; i < piece_count; ++i) {
    const weft_piece& piece = pieces[i];
    if (piece.length == 0) continue;
    weft_batch_piece added{piece.address, piece.length, batch->extent_bytes, piece.region};
    if (piece.length <= kCopiedPieceBytesMax) {
      std::byte* place = arena.data() + batch->copied_bytes;
      std::memcpy(place, piece.address, piece.length);
      batch->copied_bytes += piece.length;
      added = {place, piece.length, batch->extent_bytes, nullptr};
    }
    batch->extent_bytes += piece.length;
    weft_batch_piece* last = batch->pieces.empty() ? nullptr : &batch->pieces.back();
    const auto* last_start = last == nullptr ? nullptr : static_cast<const std::byte*>(last->address);
    // Copied pieces with the same gap in the arena and in the extent become one: one transfer, or none (inline).
    const bool joins = last != nullptr && last->region == nullptr && added.region == nullptr &&
                       last_start >= arena.data() && last_start < arena.data() + arena.shape().data_bytes &&
                       piece.length <= kCopiedPieceBytesMax &&
                       static_cast<const std::byte*>(added.address) - last_start ==
                           static_cast<ptrdiff_t>(added.extent_at - last->extent_at);
    if (!joins) {
      batch->pieces.push_back(added);
      continue;
    }
    const uint64_t end = last->extent_at + last->length;
    std::memset(const_cast<std::byte*>(last_start) + last->length, 0, added.extent_at - end);
    last->length = added.extent_at + added.length - last->extent_at;
  }
}

Status check_event(const weft_producer* producer, int32_t partition, const void* metadata, uint64_t metadata_length,
                   const weft_piece* pieces, uint32_t piece_count, uint64_t* total, uint64_t* copied) {
  const client::TopicRecord& topic = producer->producer->topic();
  if (metadata == nullptr && metadata_length > 0) {
    return Status(Code::INVALID_ARGUMENT, join_text("metadata of ", metadata_length, " bytes for topic '", topic.name,
                                                    "' is NULL; give its address, or the length 0"));
  }
  if (metadata_length > wire::kMetadataBytesMax) {
    return Status(Code::EVENT_TOO_LARGE,
                  join_text("metadata of ", metadata_length, " bytes is over the limit of ", wire::kMetadataBytesMax,
                            "; put large content into the event's data"));
  }
  if (partition < -1 || (partition >= 0 && static_cast<size_t>(partition) >= topic.slots.size())) {
    return Status(Code::PARTITION_RANGE, join_text("topic '", topic.name, "' has ", topic.slots.size(),
                                                   " partitions and no partition ", partition));
  }
  if (piece_count > wire::kBatchSegmentsMax) {
    return Status(Code::LIMIT,
                  join_text("an event of ", piece_count, " pieces is over the limit of ", wire::kBatchSegmentsMax));
  }
  *total = *copied = 0;
  for (uint32_t i = 0; i < piece_count; ++i) {
    const weft_piece& piece = pieces[i];
    if (piece.length == 0) continue;
    if (piece.address == nullptr) return Status(Code::INVALID_ARGUMENT, join_text("piece ", i, " has no address"));
    if (piece.region != nullptr && !is_handle(piece.region))
      return Status(Code::WRONG_HANDLE, join_text("piece ", i, " names a region that was released"));
    if (piece.region != nullptr && !holds(piece.region, piece.address, piece.length)) {
      return Status(Code::INVALID_ARGUMENT,
                    join_text("piece ", i, " of ", piece.length, " bytes lies outside its region of ",
                              piece.region->length, " bytes"));
    }
    if (__builtin_add_overflow(*total, piece.length, total))
      return Status(Code::EVENT_TOO_LARGE, "the event's length overflows 64 bits");
    if (piece.length <= kCopiedPieceBytesMax) *copied += piece.length;
  }
  if (*total > wire::kBatchDataBytesMax) {
    return Status(Code::EVENT_TOO_LARGE,
                  join_text("data of ", *total, " bytes is over the limit of ", wire::kBatchDataBytesMax));
  }
  const client::ArenaShape& shape = producer->producer->arena_shape();
  if (*copied > shape.data_bytes) {
    return Status(Code::EVENT_TOO_LARGE,
                  join_text("the event's pieces of up to ", kCopiedPieceBytesMax, " bytes, which are copied, are ",
                            *copied, " bytes together; a batch has room for ", shape.data_bytes,
                            ": raise batch_data_bytes or give larger pieces"));
  }
  if (metadata_length > shape.metadata_bytes) {
    return Status(Code::EVENT_TOO_LARGE, join_text("metadata of ", metadata_length, " bytes does not fit a batch of ",
                                                   shape.metadata_bytes, "; lower batch_events"));
  }
  const uint64_t limit = topic.info.event_data_bytes_max;
  if (limit != 0 && *total > limit) {
    return Status(Code::EVENT_TOO_LARGE,
                  join_text("data of ", *total, " bytes does not fit a partition of topic '", topic.name,
                            "', which holds ", limit, "; raise the topic's memory limit or use disk storage"));
  }
  if (topic.info.serializer == wire::Serializer::kJson) {
    return check_json(topic.name, {static_cast<const char*>(metadata), metadata_length});
  }
  return check_record(producer->packed, topic.name, {static_cast<const char*>(metadata), metadata_length});
}

// Of whole batches: the one that is being filled, else that of a new one; under the lock.
uint32_t choose_line_locked(weft_producer* producer) {
  if (!producer->open.contains(producer->line)) producer->line = producer->lines.choose(Clock::system().monotonic_ns());
  return producer->line;
}

// For an event pushed without a partition, as the topic's selector has it; under the lock.
Status choose_partition_locked(const weft_producer* producer, uint32_t* partition) {
  const client::TopicRecord& topic = producer->producer->topic();
  const std::string& selector = producer->selector;
  const auto demand = [&](Code code, std::string_view why, std::string_view next) {
    return Status(code, join_text("topic '", topic.name, "' has the partition selector '", selector, "', ", why,
                                  "; push with weft_push_pieces and ", next));
  };
  if (selector.empty() || selector == "round-robin") {
    *partition = producer->next_partition % static_cast<uint32_t>(topic.slots.size());
    return {};
  }
  if (selector == "same-node") {
    *partition = producer->local[producer->next_partition % producer->local.size()];
    return {};
  }
  if (selector == "producer-rank") {
    *partition = static_cast<uint32_t>(producer->job->place.rank) % static_cast<uint32_t>(topic.slots.size());
    return {};
  }
  if (selector == "explicit") {
    return demand(Code::INVALID_ARGUMENT, "which demands a partition with each event", "the partition");
  }
  if (selector == "key-hash") {
    return demand(Code::INVALID_ARGUMENT, "which demands a key with each event",
                  "the partition that weft_partition_of_key gives");
  }
  return demand(Code::UNSUPPORTED, "which needs a function of the program", "the partition that yours chooses");
}

Status check_sync(const weft_producer* producer) {
  const client::TopicRecord& topic = producer->producer->topic();
  if (topic.info.storage != wire::Storage::kMemory) return {};
  return Status(Code::UNSUPPORTED, join_text("topic '", topic.name,
                                             "' is kept in memory, which nothing makes durable; "
                                             "create it with storage 'disk'"));
}

Status push(weft_producer* producer, int32_t partition, const void* metadata, uint64_t metadata_length,
            const weft_piece* pieces, uint32_t piece_count, uint64_t* receipt) {
  uint64_t total = 0;
  uint64_t copied = 0;
  WEFT_RETURN_IF_ERROR(
      check_event(producer, partition, metadata, metadata_length, pieces, piece_count, &total, &copied));
  std::unique_lock lock(producer->mutex);
  const uint32_t partition_count = static_cast<uint32_t>(producer->producer->topic().slots.size());
  uint32_t chosen = static_cast<uint32_t>(partition);
  if (partition < 0 && !producer->lines.empty())
    chosen = choose_line_locked(producer);
  else if (partition < 0)
    WEFT_RETURN_IF_ERROR(choose_partition_locked(producer, &chosen));
  weft_batch* batch = nullptr;
  WEFT_RETURN_IF_ERROR(find_room(producer, lock, chosen, metadata_length, total, copied, piece_count, &batch));
  client::Arena& arena = *batch->batch->arena;
  // Before the event is in: what follows throws nothing.
  if (batch->pieces.capacity() < batch->pieces.size() + piece_count)
    batch->pieces.reserve(batch->pieces.size() * 2 + piece_count);
  const uint32_t index = batch->count++;
  if (metadata_length > 0) std::memcpy(arena.metadata() + batch->metadata_bytes, metadata, metadata_length);
  batch->metadata_bytes += metadata_length;
  arena.metadata_end()[index] = static_cast<uint32_t>(batch->metadata_bytes);
  const uint64_t now_ns = Clock::system().realtime_ns();  // may step back
  const uint64_t elapsed_us = (now_ns - std::min(now_ns, batch->base_time_ns)) / kNsPerUs;
  arena.time_delta()[index] = static_cast<uint32_t>(std::min<uint64_t>(elapsed_us, UINT32_MAX));
  arena.data_length()[index] = total;
  batch->has_data = batch->has_data || total > 0;
  add_data(batch, pieces, piece_count, total);
  if (receipt != nullptr) *receipt = batch->number << kReceiptIndexBits | index;
  const client::ProducerOptions& options = producer->producer->options();
  const bool full = batch->count == options.batch_events || batch->metadata_bytes >= options.batch_bytes ||
                    batch->extent_bytes >= kBatchExtentBytesSent;
  if (partition < 0 && (full || partition_count > 1)) ++producer->next_partition;
  if (!full) return {};
  const Status submitted = submit_one_locked(producer, chosen, batch);
  return submitted.code() == Code::OUT_OF_MEMORY ? Status() : submitted;  // the event is in, and waits
}
}  // namespace

Status submit_open_locked(weft_producer* producer) {
  Status first_error;
  while (!producer->open.empty()) {
    const auto [partition, batch] = *producer->open.begin();
    // It leaves producer->open, unless there is no memory.
    const Status submitted = submit_one_locked(producer, partition, batch);
    if (submitted.code() == Code::OUT_OF_MEMORY) return submitted;
    if (first_error.ok()) first_error = submitted;
  }
  return first_error;
}

Status submit_open_batches_with(weft_region* region) {
  weft_job* job = region->job;
  const std::lock_guard job_lock(job->mutex);
  Status first_error;
  for (weft_producer* producer : job->producers) {
    const std::lock_guard lock(producer->mutex);
    const Status submitted = submit_open_locked(producer);
    if (first_error.ok()) first_error = submitted;
  }
  return first_error;
}

}  // namespace weft::library

using namespace weft::library;

extern "C" {

int weft_push(weft_producer* producer, const void* metadata, uint64_t metadata_length, weft_region* region, uint64_t at,
              uint64_t length, uint64_t* receipt) try {
  WEFT_CHECK_HANDLE(producer);
  if (region == nullptr) {
    if (length > 0)
      return report(weft::Code::INVALID_ARGUMENT,
                    "data was given without a region; use weft_push_pieces for other memory");
    return report(push(producer, -1, metadata, metadata_length, nullptr, 0, receipt));
  }
  WEFT_CHECK_HANDLE(region);
  if (at > region->length || length > region->length - at) {
    return report(weft::Code::INVALID_ARGUMENT,
                  weft::join_text("bytes ", at, " to ", at, " + ", length, " lie outside the region of ",
                                  region->length, " bytes"));
  }
  const weft_piece piece{region->memory + at, length, region};
  return report(push(producer, -1, metadata, metadata_length, &piece, 1, receipt));
}
WEFT_CATCH

int weft_push_pieces(weft_producer* producer, int32_t partition, const void* metadata, uint64_t metadata_length,
                     const weft_piece* pieces, uint32_t piece_count, uint64_t* receipt) try {
  WEFT_CHECK_HANDLE(producer);
  if (piece_count > 0) WEFT_CHECK_ARGUMENT(pieces);
  return report(push(producer, partition, metadata, metadata_length, pieces, piece_count, receipt));
}
WEFT_CATCH

int weft_partition_of_key(const weft_producer* producer, const void* key, uint64_t length, int32_t* partition) {
  WEFT_CHECK_HANDLE(producer);
  WEFT_CHECK_ARGUMENT(partition);
  if (length > 0) WEFT_CHECK_ARGUMENT(key);
  const auto count = static_cast<uint32_t>(producer->producer->topic().slots.size());
  *partition = static_cast<int32_t>(weft::crc32c({static_cast<const std::byte*>(key), length}) % count);
  return WEFT_OK;
}

int weft_receipt_wait(weft_producer* producer, uint64_t receipt, int64_t timeout_ms, weft_event_id* id) try {
  WEFT_CHECK_HANDLE(producer);
  const uint64_t number = receipt >> kReceiptIndexBits;
  const uint64_t index = receipt & ((1u << kReceiptIndexBits) - 1);
  const uint64_t deadline_ns = deadline_after(timeout_ms);
  std::unique_lock lock(producer->mutex);
  const std::string& topic = producer->producer->topic().name;
  if (number == 0 || number > producer->last_number) {
    return report(weft::Code::INVALID_ARGUMENT,
                  weft::join_text("receipt ", receipt, " is not of this producer of topic '", topic,
                                  "'; give a number that weft_push wrote for it"));
  }
  // A batch that could not be sent is told by its own receipts and by weft_flush.
  const weft::Status submitted = submit_open_locked(producer);
  if (submitted.code() == weft::Code::OUT_OF_MEMORY) return report(submitted);
  for (bool has_spun = false;; has_spun = true) {
    const auto found = producer->outcomes.find(number);
    if (found != producer->outcomes.end()) {
      if (found->second.status.ok() && id != nullptr)
        *id = {found->second.partition, found->second.epoch, found->second.first_offset + index};
      return report(found->second.status);
    }
    if (producer->outcomes.size() >= kOutcomesMax && number < producer->outcomes.begin()->first) {
      return report(weft::Code::LIMIT, weft::join_text("the outcome of this receipt was forgotten after ", kOutcomesMax,
                                                       " batches; wait for receipts sooner"));
    }
    const uint64_t before = producer->outstanding;
    if (!has_spun && before > 0) {
      producer->spin.wait(lock, deadline_ns, [=] { return producer->outstanding.load() < before; });
      continue;
    }
    ++producer->receipt_waiters;
    const bool in_time = wait_until(producer->changed, lock, deadline_ns);
    --producer->receipt_waiters;
    if (!in_time) {
      return report(weft::Code::TIMED_OUT,
                    weft::join_text("the event of topic '", topic, "' was not acknowledged within ", timeout_ms,
                                    " ms; it is still under way: wait again"));
    }
  }
}
WEFT_CATCH

int weft_flush(weft_producer* producer, int64_t timeout_ms) try {
  WEFT_CHECK_HANDLE(producer);
  const uint64_t deadline_ns = deadline_after(timeout_ms);
  std::unique_lock lock(producer->mutex);
  const weft::Status submitted = submit_open_locked(producer);  // other failures are in first_error
  if (submitted.code() == weft::Code::OUT_OF_MEMORY) return report(submitted);
  if (producer->outstanding > 0)
    producer->spin.wait(lock, deadline_ns, [producer] { return producer->outstanding.load() == 0; });
  while (producer->outstanding > 0) {
    if (!wait_until(producer->changed, lock, deadline_ns)) {
      return report(
          weft::Code::TIMED_OUT,
          weft::join_text(producer->outstanding.load(), " batches of topic '", producer->producer->topic().name,
                          "' were not acknowledged within ", timeout_ms, " ms; they are still under way: flush again"));
    }
  }
  const weft::Status error = std::exchange(producer->first_error, weft::Status());
  return report(error);
}
WEFT_CATCH

int weft_sync(weft_producer* producer, int64_t timeout_ms) try {
  WEFT_CHECK_HANDLE(producer);
  if (const weft::Status possible = check_sync(producer); !possible.ok()) return report(possible);
  const auto waiter = std::make_shared<Waiter>();
  producer->producer->sync([waiter](const weft::Status& status) { waiter->set(status); });
  return report(waiter->wait(timeout_ms, "the sync"));
}
WEFT_CATCH

int weft_sync_async(weft_producer* producer, uint64_t tag) try {
  WEFT_CHECK_HANDLE(producer);
  if (const weft::Status possible = check_sync(producer); !possible.ok()) return report(possible);
  producer->producer->sync([job = producer->job->self, tag](const weft::Status& status) {
    job->completions.push_status(WEFT_COMPLETION_FLUSH, tag, status);
  });
  return WEFT_OK;
}
WEFT_CATCH

}  // extern "C"
