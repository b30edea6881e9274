// How far a consumer is in each of its partitions, for plain programs: what weft_pull handed out, where it ends
// (`until`), and what was acknowledged. Any thread, under a lock of its own that is held for a few instructions; the
// outcome of a commit comes on the progress thread, perhaps after the consumer was closed, so it is held by shared_ptr.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "weftline/weftline.h"

namespace weft::library {

class ConsumerProgress {
 public:
  struct Options {
    weft_until until = WEFT_UNTIL_STOPPED;
    uint64_t until_value = 0;
    uint32_t ack_every_events = 0;  // 0: only when it is asked for
  };
  struct Commit {
    uint32_t partition;
    uint64_t offset;
  };

  // For a topic of so many partitions, of which those begin() names are read.
  ConsumerProgress(Options options, std::string topic, size_t partition_count);
  // The partition's stream was opened there. Throws nothing.
  void begin(uint32_t partition, uint64_t start_offset, uint64_t visible_end);

  // Its events are handed out from there on (weft_consumer_seek), and what is done is counted anew. `until` stays.
  void move(uint32_t partition, uint64_t start_offset);

  // Events `first` up to, without, `end` of the partition came: those before the returned offset are to be handed out.
  // Where that is before `end`, all that follow lie behind the end as well.
  uint64_t begin_frame(uint32_t partition, uint64_t first, uint64_t end, uint64_t append_time_ns);
  // One of them is. Once an event, so without the lock.
  void hand_out(uint32_t partition, uint64_t offset) {
    places_[partition].next.store(offset + 1, std::memory_order_relaxed);
  }
  // No more events come from the partition.
  void end(uint32_t partition);
  // Events from `offset` on are not handed out.
  void limit(uint32_t partition, uint64_t offset);
  // Every partition that is read has ended; with none that is always so.
  bool all_ended() const;
  Status ended() const;
  // Until the end is known it depends on the clock: 0 if it does not.
  uint64_t ends_at_ns() const;
  std::vector<uint32_t> without_limit() const;
  // Behind the last event that was handed out. WEFT_PARTITION_RANGE.
  Result<uint64_t> next_offset(uint32_t partition) const;

  // The event is done. What is to be committed now goes into `due`, at most one entry a partition.
  Status acknowledge(uint32_t partition, uint64_t offset, std::vector<Commit>* due);
  // What is acknowledged and not durable.
  std::vector<Commit> to_commit();
  void committed(const Commit& commit, const Status& status);
  // Of commits that nobody waited for, once.
  Status take_commit_error();

 private:
  struct Place {
    bool is_read = false;
    bool ends = false;              // no more events come from it
    bool ended = false;             // ... or are handed out
    std::atomic<uint64_t> next{0};  // behind the last one that was handed out
    uint64_t end = UINT64_MAX;
    uint64_t position = 0;              // the first event that is not done
    uint64_t committed = 0;             // what the last commit that was answered said
    std::map<uint64_t, uint64_t> done;  // ranges behind the position, start to end
  };
  // After each change of what decides it.
  void look_at_end(Place& place);
  Status finish(Place& place, uint32_t partition, uint64_t start, uint64_t end);
  std::string label(uint32_t partition) const;

  const Options options_;
  const std::string topic_;
  mutable std::mutex mutex_;  // guards what follows, but the places' next
  std::vector<Place> places_;
  size_t reading_ = 0;         // places that are read and have not ended
  uint64_t acknowledged_ = 0;  // since the last commit that went out by itself
  Status commit_error_;
};

}  // namespace weft::library
