// One event at a time, for plain programs. Any thread; callers of weft_pull take turns.
#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "library/consumer.h"

using namespace weft::library;
using weft::Status;

namespace {
// One caller's turn. Not a mutex: whoever waits for it has a time limit of its own, and the one inside may have none.
class PullTurn {
 public:
  PullTurn(weft_consumer* consumer, uint64_t deadline_ns) : consumer_(consumer) {
    std::unique_lock lock(consumer->mutex);
    while (consumer->pulling) {
      if (!wait_until(consumer->changed, lock, deadline_ns)) return;
    }
    consumer->pulling = has_ = true;
  }
  ~PullTurn() {
    if (!has_) return;
    const std::lock_guard lock(consumer_->mutex);
    consumer_->pulling = false;
    consumer_->changed.notify_all();
  }
  PullTurn(const PullTurn&) = delete;
  PullTurn& operator=(const PullTurn&) = delete;
  bool has() const { return has_; }

 private:
  weft_consumer* const consumer_;
  bool has_ = false;
};

constexpr int64_t kQueryMsMax = 10'000;
constexpr uint64_t kAskAgainNs = 1000 * weft::kNsPerMs;

// The end of what is visible in the partition, as its server says now.
Status query_visible_end(weft_consumer* consumer, uint32_t partition, int64_t timeout_ms,
                         std::function<void(uint64_t)> found) {
  const weft::client::TopicRecord& topic = consumer->consumer->topic();
  const auto waiter = std::make_shared<Waiter>();
  consumer->job->client->query(topic.info.topic, partition, topic.slots[partition],
                               [waiter, found = std::move(found)](weft::Result<weft::client::PartitionFacts> facts) {
                                 if (facts.ok()) found(facts.value().visible_end);
                                 waiter->set(facts.status());
                               });
  return waiter->wait(timeout_ms, "the query");
}

// Where the clock ends the stream: when to look at it again, in terms of the monotonic clock.
uint64_t look_at_clock(weft_consumer* consumer, uint64_t deadline_ns) {
  const std::shared_ptr<ConsumerProgress> progress = consumer->progress;
  const uint64_t ends_at_ns = progress->ends_at_ns();
  if (ends_at_ns == 0) return deadline_ns;
  const uint64_t now_ns = weft::Clock::system().monotonic_ns();
  const uint64_t realtime_ns = weft::Clock::system().realtime_ns();
  if (realtime_ns < ends_at_ns) return now_ns + std::min(deadline_ns - now_ns, ends_at_ns - realtime_ns);
  for (const uint32_t partition : progress->without_limit()) {
    const uint64_t left_ms = now_ns < deadline_ns ? (deadline_ns - now_ns) / weft::kNsPerMs : 0;
    const Status limited =
        query_visible_end(consumer, partition, static_cast<int64_t>(std::min<uint64_t>(left_ms, kQueryMsMax)),
                          [progress, partition](uint64_t visible_end) { progress->limit(partition, visible_end); });
    if (!limited.ok()) return std::min(deadline_ns, weft::Clock::system().monotonic_ns() + kAskAgainNs);
  }
  return deadline_ns;
}

// Makes `consumer->frame` hold an event that was not given out; waits for it.
Status next_frame(weft_consumer* consumer, uint64_t deadline_ns, int64_t timeout_ms) {
  while (true) {
    {
      const std::lock_guard lock(consumer->mutex);
      consumer->frames_came = false;
    }
    bool found = false;
    const Status polled = poll_frame(consumer, &consumer->frame, &found);
    if (!polled.ok()) {
      consumer->progress->end(consumer->frame.partition);
      if (polled.code() != weft::Code::END_OF_STREAM) return polled;
      continue;
    }
    if (found) return {};
    const uint64_t look_ns = look_at_clock(consumer, deadline_ns);
    if (consumer->progress->all_ended()) return consumer->progress->ended();
    std::unique_lock lock(consumer->mutex);
    if (!consumer->frames_came) consumer->spin.wait(lock, look_ns, [consumer] { return consumer->frames_came.load(); });
    bool in_time = true;
    while (in_time && !consumer->frames_came) in_time = wait_until(consumer->changed, lock, look_ns);
    if (in_time || look_ns < deadline_ns) continue;
    return Status(weft::Code::TIMED_OUT,
                  weft::join_text("no event of topic '", consumer->consumer->topic().name, "' came within ", timeout_ms,
                                  " ms; nothing was lost: pull again"));
  }
}

// Makes consumer->frame one that was not handed out as a whole; gives back the frame before.
Status have_event(weft_consumer* consumer, uint64_t deadline_ns, int64_t timeout_ms) {
  if (consumer->holds_frame && consumer->next_event == consumer->end_event) {
    consumer->holds_frame = false;
    WEFT_RETURN_IF_ERROR(consumer->consumer->release(consumer->frame.partition, consumer->frame.id));
  }
  if (consumer->holds_frame) return {};
  if (consumer->progress->all_ended()) return consumer->progress->ended();
  WEFT_RETURN_IF_ERROR(next_frame(consumer, deadline_ns, timeout_ms));
  const weft_frame& frame = consumer->frame;
  const uint64_t end = consumer->progress->begin_frame(frame.partition, frame.first_offset + frame.skip,
                                                       frame.first_offset + frame.count, frame.append_time_ns);
  consumer->holds_frame = true;
  consumer->next_event = frame.skip;
  consumer->end_event = static_cast<uint32_t>(end - frame.first_offset);
  return {};
}
}  // namespace

extern "C" int weft_consumer_seek(weft_consumer* consumer, const uint32_t* partitions, uint32_t partition_count,
                                  uint32_t from, uint64_t from_value) try {
  WEFT_CHECK_HANDLE(consumer);
  const PullTurn turn(consumer, deadline_after(0));
  if (!turn.has()) {
    return report(weft::Code::BUSY, weft::join_text("another thread pulls from this consumer of topic '",
                                                    consumer->consumer->topic().name, "'; seek between pulls"));
  }
  Waiter waiter;
  const Status begun = begin_seek(consumer, partitions, partition_count, from, from_value,
                                  [&waiter](const Status& status) { waiter.set(status); });
  if (!begun.ok()) return report(begun);
  const Status sought = waiter.wait(-1, "the seek");  // has its own deadline
  if (!sought.ok()) return report(sought);
  const std::vector<uint32_t>& read = consumer->consumer->options().partitions;
  const std::span<const uint32_t> moved =
      partitions == nullptr ? std::span<const uint32_t>(read) : std::span<const uint32_t>(partitions, partition_count);
  for (const uint32_t partition : moved) {
    const auto position = consumer->consumer->position(partition);
    if (position.ok()) consumer->progress->move(partition, position.value().start_offset);
    // What is left of the frame that events are given out of is of before.
    if (consumer->holds_frame && consumer->frame.partition == partition) consumer->next_event = consumer->end_event;
  }
  return WEFT_OK;
}
WEFT_CATCH

extern "C" int weft_consumer_lag(weft_consumer* consumer, uint32_t partition, uint64_t* next_offset,
                                 uint64_t* visible_end) try {
  WEFT_CHECK_HANDLE(consumer);
  const weft::Result<uint64_t> next = consumer->progress->next_offset(partition);
  if (!next.ok()) return report(next.status());
  if (next_offset != nullptr) *next_offset = next.value();
  if (visible_end == nullptr) return WEFT_OK;
  if (consumer->job->echo) return report(weft::Code::UNSUPPORTED, "a job in echo mode has no partitions");
  // Has its own deadline; without one here no answer comes after the return.
  return report(query_visible_end(consumer, partition, -1, [visible_end](uint64_t end) { *visible_end = end; }));
}
WEFT_CATCH

extern "C" int weft_pull(weft_consumer* consumer, int64_t timeout_ms, weft_event* event) try {
  WEFT_CHECK_HANDLE(consumer);
  WEFT_CHECK_ARGUMENT(event);
  const uint64_t deadline_ns = deadline_after(timeout_ms);
  const PullTurn turn(consumer, deadline_ns);
  if (!turn.has()) {
    return report(weft::Code::TIMED_OUT,
                  weft::join_text("another thread's weft_pull of topic '", consumer->consumer->topic().name,
                                  "' did not end within ", timeout_ms,
                                  " ms; nothing was lost: pull again, or give each thread a consumer"));
  }
  do {
    const Status came = have_event(consumer, deadline_ns, timeout_ms);
    if (!came.ok()) return report(came);
  } while (consumer->next_event == consumer->end_event);  // none of that frame
  const weft_frame& frame = consumer->frame;
  const uint32_t index = consumer->next_event++;
  consumer->progress->hand_out(frame.partition, frame.first_offset + index);
  const uint64_t begin = index == 0 ? 0 : frame.metadata_end[index - 1];
  weft_event all{};
  all.size = sizeof all;
  all.partition = frame.partition;
  all.offset = frame.first_offset + index;
  all.partition_epoch = frame.partition_epoch;
  all.time_ns = frame.base_time_ns + frame.time_delta_us[index] * weft::kNsPerUs;
  all.append_time_ns = frame.append_time_ns;
  all.metadata = frame.metadata + begin;
  all.metadata_length = frame.metadata_end[index] - begin;
  all.data_length = frame.data_length == nullptr ? 0 : frame.data_length[index];
  *event = all;
  return WEFT_OK;
}
WEFT_CATCH
