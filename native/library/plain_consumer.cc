// One event at a time, for plain programs.
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

// Makes `consumer->frame` hold an event that was not given out; waits for it.
Status next_frame(weft_consumer* consumer, uint64_t deadline_ns, int64_t timeout_ms) {
  while (true) {
    {
      const std::lock_guard lock(consumer->mutex);
      consumer->frames_came = false;
    }
    bool found = false;
    WEFT_RETURN_IF_ERROR(poll_frame(consumer, &consumer->frame, &found));
    if (found) return {};
    std::unique_lock lock(consumer->mutex);
    if (!consumer->frames_came)
      consumer->spin.wait(lock, deadline_ns, [consumer] { return consumer->frames_came.load(); });
    while (!consumer->frames_came) {
      if (!wait_until(consumer->changed, lock, deadline_ns)) {
        return Status(weft::Code::TIMED_OUT,
                      weft::join_text("no event of topic '", consumer->consumer->topic().name, "' came within ",
                                      timeout_ms, " ms; nothing was lost: pull again"));
      }
    }
  }
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
  if (!sought.ok() || !consumer->holds_frame) return report(sought);
  // What is left of the frame that events are given out of is of before.
  const uint32_t held = consumer->frame.partition;
  const bool moved = partitions == nullptr ||
                     std::find(partitions, partitions + partition_count, held) != partitions + partition_count;
  if (moved) consumer->next_event = consumer->frame.count;
  return WEFT_OK;
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
  if (consumer->holds_frame && consumer->next_event == consumer->frame.count) {
    consumer->holds_frame = false;
    const Status released = consumer->consumer->release(consumer->frame.partition, consumer->frame.id);
    if (!released.ok()) return report(released);
  }
  if (!consumer->holds_frame) {
    const Status came = next_frame(consumer, deadline_ns, timeout_ms);
    if (!came.ok()) return report(came);
    consumer->holds_frame = true;
    consumer->next_event = consumer->frame.skip;
  }
  const weft_frame& frame = consumer->frame;
  const uint32_t index = consumer->next_event++;
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
