// What a thread of the program does before it sleeps for an answer that is due in microseconds.
#pragma once

#include <sched.h>

#include <algorithm>
#include <mutex>

#include "base/clock.h"

namespace weft::library {

// A thread that sleeps is woken 5 to 25 us late, a good part of what one event takes; so it looks for a while, and
// leaves the core to whoever wants it. After a wait in vain the next ones sleep at once, up to 63 of them: where
// answers take long, looking costs next to nothing.
class Spin {
 public:
  // Under `lock`, which is let go meanwhile; `done` is called without it. Returns early, or in vain.
  template <typename Done>
  void wait(std::unique_lock<std::mutex>& lock, uint64_t deadline_ns, const Done& done) {
    if (skips_left_ > 0) {
      --skips_left_;
      return;
    }
    lock.unlock();
    const uint64_t end_ns = std::min(deadline_ns, Clock::system().monotonic_ns() + kSpinNs);
    bool is_done = false;
    do {
      static_cast<void>(sched_yield());  // cannot fail
      is_done = done();
    } while (!is_done && Clock::system().monotonic_ns() < end_ns);
    lock.lock();
    skip_ = is_done ? 0 : std::min(skip_ * 2 + 1, kSkipMax);
    skips_left_ = skip_;
  }

 private:
  static constexpr uint64_t kSpinNs = 100 * kNsPerUs;
  static constexpr uint32_t kSkipMax = 63;
  uint32_t skip_ = 0, skips_left_ = 0;  // under the lock
};

}  // namespace weft::library
