// Keeps the end of the process and the opening of a lane apart: exit() runs the destructors of libfabric and the
// libraries below it, and a thread that is inside them at that moment finds freed memory (seen: "malloc(): unaligned
// fastbin chunk detected" in 1 of 30 processes that called exit() while another thread was joining a job). Any thread.
// What is waited for is bounded; after it the process is ending and no lane is opened any more.
#pragma once

#include <cstdint>

namespace weft::fabric {

class OpeningGuard {
 public:
  OpeningGuard();
  ~OpeningGuard();
  OpeningGuard(const OpeningGuard&) = delete;
  OpeningGuard& operator=(const OpeningGuard&) = delete;
  // False: the process is ending.
  bool allowed() const { return allowed_; }

 private:
  bool allowed_;
};

// Called before exit handlers run (a binding's own hook) and by an exit handler of ours.
void begin_exit(uint64_t timeout_ms);
// Has exit() call begin_exit before the destructors of everything that was loaded so far.
void watch_exit();

}  // namespace weft::fabric
