// Time, passed in so that tests can own it. Any thread.
#pragma once

#include <cstdint>

namespace weft {

class Clock {
 public:
  virtual ~Clock() = default;
  // Nanoseconds of a clock that never goes back; for time limits.
  virtual uint64_t monotonic_ns() = 0;
  // Nanoseconds since 1970; for time stamps.
  virtual uint64_t realtime_ns() = 0;

  static Clock& system();
};

constexpr uint64_t kNsPerUs = 1000;
constexpr uint64_t kNsPerMs = 1000 * kNsPerUs;
constexpr uint64_t kNsPerSecond = 1000 * kNsPerMs;

}  // namespace weft
