// A consumer's handle: frames for bindings, one event at a time for plain programs.
#pragma once

#include <condition_variable>

#include "client/consumer.h"
#include "library/consumer_progress.h"
#include "library/job.h"
#include "library/spin.h"

struct weft_consumer {
  static constexpr auto kKind = weft::library::Kind::kConsumer;
  std::atomic<weft::library::Kind> kind{kKind};
  weft_job* job = nullptr;
  std::shared_ptr<weft::client::Consumer> consumer;
  uint64_t tag = 0;
  bool announces = false;  // opened asynchronously: says WEFT_COMPLETION_FRAMES

  // The plain interface's.
  std::shared_ptr<weft::library::ConsumerProgress> progress;
  std::mutex mutex;      // guards the next three
  bool pulling = false;  // one weft_pull at a time; what follows `frames_came` is its
  std::condition_variable changed;
  std::atomic<bool> frames_came{false};  // written under the lock
  weft::library::Spin spin;              // of weft_pull
  bool holds_frame = false;
  weft_frame frame{};
  uint32_t next_event = 0;
  uint32_t end_event = 0;  // of those in the frame that are handed out
};

namespace weft::library {

// A failure ends the stream of the partition that it sets in `frame`.
Status poll_frame(weft_consumer* consumer, weft_frame* frame, bool* found);
Status begin_seek(weft_consumer* consumer, const uint32_t* partitions, uint32_t partition_count, uint32_t from,
                  uint64_t value, std::function<void(const Status&)> done);
// Makes durable what was acknowledged.
Status commit_acknowledged(weft_consumer* consumer, int64_t timeout_ms);

}  // namespace weft::library
