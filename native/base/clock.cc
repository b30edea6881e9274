#include "base/clock.h"

#include <ctime>

namespace weft {

namespace {
uint64_t read_clock(clockid_t id) {
  timespec time{};
  clock_gettime(id, &time);
  return static_cast<uint64_t>(time.tv_sec) * kNsPerSecond + static_cast<uint64_t>(time.tv_nsec);
}

class SystemClock final : public Clock {
 public:
  uint64_t monotonic_ns() override { return read_clock(CLOCK_MONOTONIC); }
  uint64_t realtime_ns() override { return read_clock(CLOCK_REALTIME); }
};
}  // namespace

Clock& Clock::system() {
  // Never destroyed: progress threads look at it while the process ends.
  static SystemClock& clock = *new SystemClock;
  return clock;
}

}  // namespace weft
