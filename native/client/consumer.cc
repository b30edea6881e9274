#include "client/consumer.h"

#include <algorithm>
#include <map>
#include <utility>

#include "client/consumer_stream.h"

namespace weft::client {

Consumer::Consumer(Client& client, std::shared_ptr<const TopicRecord> topic, ConsumerOptions options,
                   std::function<void()> on_frames)
    : client_(client), topic_(std::move(topic)), options_(std::move(options)), on_frames_(std::move(on_frames)) {}

Consumer::~Consumer() = default;

namespace {
Status check_options(const TopicRecord& topic, ConsumerOptions& options) {
  if (!options.name.empty()) WEFT_RETURN_IF_ERROR(wire::check_name("consumer", options.name));
  constexpr uint64_t kPrefetchBytesMax = uint64_t{1} << 40;
  if (options.prefetch_bytes > kPrefetchBytesMax) {
    return Status(Code::INVALID_ARGUMENT,
                  join_text("prefetch_bytes is ", options.prefetch_bytes, "; it must be at most ", kPrefetchBytesMax));
  }
  if (options.prefetch_bytes < kPrefetchBytesMin) {
    return Status(Code::INVALID_ARGUMENT,
                  join_text("prefetch_bytes is ", options.prefetch_bytes, "; it must be at least ", kPrefetchBytesMin,
                            ", so that the largest batch fits"));
  }
  options.prefetch_bytes = wire::align_up(options.prefetch_bytes, 4096);
  const auto count = static_cast<uint32_t>(topic.slots.size());
  if (options.partitions.empty() && !options.reads_none) {
    for (uint32_t i = 0; i < count; ++i) options.partitions.push_back(i);
  }
  for (const uint32_t partition : options.partitions) {
    if (partition < count) continue;
    return Status(Code::PARTITION_RANGE,
                  join_text("topic '", topic.name, "' has ", count, " partitions and no partition ", partition));
  }
  std::sort(options.partitions.begin(), options.partitions.end());
  options.partitions.erase(std::unique(options.partitions.begin(), options.partitions.end()), options.partitions.end());
  return {};
}
}  // namespace

void Consumer::open(Client& client, std::shared_ptr<const TopicRecord> topic, ConsumerOptions options,
                    std::function<void()> on_frames, std::function<void(Result<std::shared_ptr<Consumer>>)> done) {
  const Status checked = check_options(*topic, options);
  if (!checked.ok()) return done(checked);
  std::shared_ptr<Consumer> consumer(new Consumer(client, std::move(topic), std::move(options), std::move(on_frames)));
  consumer->self_ = consumer;
  if (consumer->options_.echo) return done(consumer);
  client.run([consumer, done = std::move(done)] {
    for (const uint32_t partition : consumer->options_.partitions) {
      consumer->streams_.push_back(
          std::make_unique<ConsumerStream>(*consumer, partition, consumer->topic_->slots[partition]));
    }
    struct Opening {
      size_t left;
      Status first_error;
    };
    if (consumer->streams_.empty()) return done(consumer);
    auto opening = std::make_shared<Opening>(Opening{consumer->streams_.size(), {}});
    for (auto& stream : consumer->streams_) {
      stream->start([consumer, opening, done](const Status& status) {
        if (!status.ok() && opening->first_error.ok()) opening->first_error = status;
        if (--opening->left > 0) return;
        if (opening->first_error.ok()) return done(consumer);
        close(consumer, [done, opening] { done(opening->first_error); });
      });
    }
  });
}

ConsumerStream* Consumer::stream(uint32_t partition) {
  for (auto& stream : streams_) {
    if (stream->partition() == partition) return stream.get();
  }
  return nullptr;
}

void Consumer::add(ConsumerFrame frame, uint64_t ring_end) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    if (options_.echo) echoed_.push_back(frame.ring);
    if (frame.ring) {
      frame.id = next_frame_id();
      frame.ring->hold(frame.id, ring_end, frame.header.event_count - frame.skip);
    }
    ready_.push_back(std::move(frame));
    wake = std::exchange(polled_dry_, false);
  }
  if (wake) on_frames_();
}

bool Consumer::poll(ConsumerFrame& frame) {
  const std::lock_guard lock(mutex_);
  if (ready_.empty()) {
    polled_dry_ = true;
    return false;
  }
  frame = std::move(ready_.front());
  ready_.pop_front();
  return true;
}

Status Consumer::release(uint32_t partition, uint64_t frame) {
  if (options_.echo) return {};
  ConsumerStream* found = stream(partition);
  bool credit_due = false;
  bool held = false;
  if (found != nullptr) {
    const std::lock_guard lock(mutex_);
    held = found->release(frame, &credit_due);
  }
  if (!held) {
    return Status(Code::INVALID_ARGUMENT, join_text("frame ", frame, " of partition ", partition,
                                                    " is not held; it may have been released before"));
  }
  if (credit_due) found->post_credit();
  return {};
}

std::string Consumer::not_read(uint32_t partition) const {
  return join_text("the consumer does not read partition ", partition, " of topic '", topic_->name,
                   "'; open one that does");
}

Result<StreamPosition> Consumer::position(uint32_t partition) {
  // Nothing is stored: it begins with the first batch that comes.
  const std::vector<uint32_t>& read = options_.partitions;
  if (options_.echo && std::find(read.begin(), read.end(), partition) != read.end()) return StreamPosition{};
  ConsumerStream* found = stream(partition);
  if (found == nullptr) {
    return Status(Code::PARTITION_RANGE, not_read(partition));
  }
  const std::lock_guard lock(mutex_);
  return found->position();
}

namespace {
// What the requests of one fetch come to, one for each slot.
struct Joined {
  size_t left;
  Status first_error;
  FetchResult result{};
  FetchDone done;
};

void join_result(Joined& joined, const Status& status, const FetchResult& part) {
  if (!status.ok() && joined.first_error.ok()) {
    joined.first_error = status;
    joined.result.failed_selection = part.failed_selection;
  }
  joined.result.sent_bytes += part.sent_bytes;
  joined.result.read_bytes += part.read_bytes;
  joined.result.memory_safe = joined.result.memory_safe && part.memory_safe;
  joined.result.was_lost = joined.result.was_lost || part.was_lost;
  if (--joined.left == 0) joined.done(joined.first_error, joined.result);
}
}  // namespace

void Consumer::fetch(std::vector<uint32_t> partitions, std::vector<std::string> selections,
                     const fabric::Region* region, FetchDone done) {
  WEFT_ASSERT(partitions.size() == selections.size() && !partitions.empty());
  if (std::all_of(partitions.begin(), partitions.end(), [&](uint32_t one) { return one == partitions.front(); })) {
    auto fetch = std::make_shared<Fetch>();
    fetch->selections = std::move(selections);
    fetch->region = region;
    fetch->done = std::move(done);
    return client_.run([self = self_.lock(), partition = partitions.front(), fetch] {
      ConsumerStream* found = self->stream(partition);
      if (found != nullptr) return found->fetch(fetch);
      fetch->done(Status(Code::PARTITION_RANGE, self->not_read(partition)), {});
    });
  }
  client_.run([self = self_.lock(), partitions = std::move(partitions), selections = std::move(selections), region,
               done = std::move(done)]() mutable {
    struct Part {
      ConsumerStream* lead;
      std::shared_ptr<Fetch> fetch;
      std::vector<uint32_t> positions;  // of its selections in the caller's list
    };
    std::map<uint32_t, Part> parts;  // by slot
    for (size_t i = 0; i < partitions.size(); ++i) {
      ConsumerStream* stream = self->stream(partitions[i]);
      if (stream == nullptr) return done(Status(Code::PARTITION_RANGE, self->not_read(partitions[i])), {});
      Part& part = parts[stream->slot()];
      if (part.fetch == nullptr) {
        part.lead = stream;
        part.fetch = std::make_shared<Fetch>();
      }
      part.fetch->selections.push_back(std::move(selections[i]));
      part.fetch->owners.push_back(stream);
      part.positions.push_back(static_cast<uint32_t>(i));
    }
    const auto joined = std::make_shared<Joined>(Joined{parts.size(), {}, {}, std::move(done)});
    for (auto& [slot, part] : parts) {
      std::vector<ConsumerStream*>& owners = part.fetch->owners;
      if (std::all_of(owners.begin(), owners.end(), [&](const auto* owner) { return owner == part.lead; }))
        owners.clear();
      part.fetch->region = region;
      part.fetch->done = [joined, positions = std::move(part.positions)](const Status& status, FetchResult result) {
        if (result.failed_selection < positions.size()) result.failed_selection = positions[result.failed_selection];
        join_result(*joined, status, result);
      };
      part.lead->fetch(part.fetch);
    }
  });
}

void Consumer::send_waiting_fetches(uint32_t slot) {
  for (const auto& stream : streams_) {
    if (stream->slot() == slot) stream->send_waiting_fetches();
  }
}

Status Consumer::fetch_and_copy(std::vector<uint32_t> partitions, std::vector<std::string> selections,
                                std::vector<FetchPlace> places, FetchDone done) {
  uint64_t bytes = 0;
  for (const FetchPlace& place : places) bytes += place.length;
  Result<std::shared_ptr<FetchMemory>> taken = client_.fetch_memory().take(bytes);
  if (!taken.ok()) return taken.status();
  const std::shared_ptr<FetchMemory> memory = taken.take();
  fetch(std::move(partitions), std::move(selections), &memory->region(),
        [this, memory, places = std::move(places), done = std::move(done)](const Status& status,
                                                                           const FetchResult& result) {
          const std::byte* from = memory->memory();
          for (const FetchPlace& place : places) {
            if (!status.ok()) break;
            std::memcpy(place.address, from, place.length);
            from += place.length;
          }
          using After = FetchMemoryPool::After;
          const bool reusable = status.ok() && !result.was_lost;
          client_.fetch_memory().give_back(memory, !result.memory_safe ? After::kUnsafe
                                                   : reusable          ? After::kAnswered
                                                                       : After::kCutOff);
          done(status, result);
        });
  return {};
}

void Consumer::commit(uint32_t partition, uint64_t offset, std::function<void(const Status&)> done) {
  if (options_.name.empty()) {
    return done(Status(Code::INVALID_ARGUMENT, "a consumer without a name has no cursor to commit; give it a name"));
  }
  if (options_.echo) return done({});
  client_.run([self = self_.lock(), partition, offset, done = std::move(done)] {
    ConsumerStream* found = self->stream(partition);
    if (found != nullptr) return found->commit(offset, done);
    done(Status(Code::PARTITION_RANGE, self->not_read(partition)));
  });
}

void Consumer::close(std::shared_ptr<Consumer> consumer, std::function<void()> done) {
  Client& client = consumer->client_;
  client.run([consumer = std::move(consumer), done = std::move(done)] {
    if (consumer->seeking_) {
      consumer->close_later_ = [consumer, done] { close(consumer, done); };
      return;
    }
    consumer->streams_closed_ = true;
    {
      // Whoever is called for frames may be gone as soon as `done` was called, even if this object is not.
      const std::lock_guard lock(consumer->mutex_);
      consumer->closed_ = true;
    }
    auto left = std::make_shared<size_t>(consumer->streams_.size());
    if (*left == 0) return done();
    for (auto& stream : consumer->streams_) {
      stream->close([consumer, left, done] {
        if (--*left == 0) done();
      });
    }
  });
}

}  // namespace weft::client
