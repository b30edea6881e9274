// Keeps the end of the process and libfabric apart: exit() runs the destructors of libfabric and the libraries below
// it, and a thread that is inside them at that moment finds freed memory (seen: "malloc(): unaligned fastbin chunk
// detected" in 1 of 30 processes that called exit() while another thread was joining a job). So an exit handler waits
// for lanes that are being opened, and has the progress threads of open ones stand still. Any thread. What is waited
// for is bounded; after it the process is ending and no lane is opened any more.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/doorbell.h"

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

// One for each progress thread, for as long as it runs; made and destroyed by that thread.
class ExitWatch {
 public:
  // `doorbell`: rung at the exit.
  explicit ExitWatch(Doorbell& doorbell);
  ~ExitWatch();
  ExitWatch(const ExitWatch&) = delete;
  ExitWatch& operator=(const ExitWatch&) = delete;
  // exit() waits for `set_standing(true)`.
  bool exiting() const { return asked_.load(std::memory_order_seq_cst); }
  // This thread is outside libfabric and stays there; or goes on because somebody still needs it.
  void set_standing(bool standing);

 private:
  friend void stop_lanes(uint64_t timeout_ms);
  Doorbell& doorbell_;
  std::atomic<bool> asked_{false};
  bool standing_ = false;  // under the gate's mutex
  ExitWatch* next_ = nullptr;
};

// Waits for the openings under way and lets no more begin. Called before exit handlers run (a binding's own hook) and
// by an exit handler of ours.
void begin_exit(uint64_t timeout_ms);
// Has exit() call begin_exit, and have all progress threads stand still, also those that start later, before the
// destructors of everything that was loaded so far.
void watch_exit();

}  // namespace weft::fabric
