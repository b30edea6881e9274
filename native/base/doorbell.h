// Doorbell: wakes one thread that sleeps in epoll, and costs others nothing while it is awake.
// A state machine: awake -> asleep (its thread, begin_sleep) -> rung (the first ringer, which alone writes to the
// descriptor) -> awake (its thread, end_sleep). So a burst of work rings once, and none rings for an awake thread.
// Order that makes it lossless: a producer publishes its work, then calls ring(); the thread calls begin_sleep(), then
// looks at its queues once more, and only then sleeps. Both sides use sequentially consistent accesses.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/status.h"

namespace weft {

class Doorbell {
 public:
  // Fails with WEFT_LIMIT when the process has no descriptor left.
  static Result<std::unique_ptr<Doorbell>> open();
  ~Doorbell();
  Doorbell(const Doorbell&) = delete;
  Doorbell& operator=(const Doorbell&) = delete;

  // Any thread. True if it had to wake the sleeper.
  bool ring();

  // The sleeping thread.
  void begin_sleep() { state_.store(kAsleep, std::memory_order_seq_cst); }
  void end_sleep();
  // Becomes readable when rung.
  int descriptor() const { return descriptor_; }

 private:
  enum State : uint32_t { kAwake, kAsleep, kRung };
  explicit Doorbell(int descriptor) : descriptor_(descriptor) {}

  const int descriptor_;
  std::atomic<uint32_t> state_{kAwake};
};

}  // namespace weft
