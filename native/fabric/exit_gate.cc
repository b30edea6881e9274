#include "fabric/exit_gate.h"

#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>

namespace weft::fabric {

namespace {
constexpr uint64_t kExitWaitMs = 5000;

struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  int openings = 0;
  bool exiting = false;
  bool stopped = false;
  ExitWatch* watches = nullptr;
  // A child of fork() has the watches of its parent, and none of the threads.
  const pid_t process = getpid();
};

// Never destroyed: threads may come here while the process ends.
Gate& gate() {
  static Gate* const only = new Gate;
  return *only;
}
}  // namespace

OpeningGuard::OpeningGuard() {
  const std::lock_guard lock(gate().mutex);
  allowed_ = !gate().exiting;
  if (allowed_) ++gate().openings;
}

OpeningGuard::~OpeningGuard() {
  if (!allowed_) return;
  const std::lock_guard lock(gate().mutex);
  --gate().openings;
  gate().changed.notify_all();
}

ExitWatch::ExitWatch(Doorbell& doorbell) : doorbell_(doorbell) {
  const std::lock_guard lock(gate().mutex);
  next_ = gate().watches;
  gate().watches = this;
  asked_.store(gate().stopped && gate().process == getpid(), std::memory_order_seq_cst);
}

ExitWatch::~ExitWatch() {
  const std::lock_guard lock(gate().mutex);
  ExitWatch** at = &gate().watches;
  while (*at != this) at = &(*at)->next_;
  *at = next_;
  gate().changed.notify_all();
}

void ExitWatch::set_standing(bool standing) {
  const std::lock_guard lock(gate().mutex);
  // Asked anew by the next exit handler.
  if (standing) asked_.store(false, std::memory_order_seq_cst);
  standing_ = standing;
  gate().changed.notify_all();
}

void begin_exit(uint64_t timeout_ms) {
  if (gate().process != getpid()) return;
  std::unique_lock lock(gate().mutex);
  gate().exiting = true;
  gate().changed.wait_for(lock, std::chrono::milliseconds(timeout_ms), [] { return gate().openings == 0; });
}

void stop_lanes(uint64_t timeout_ms) {
  if (gate().process != getpid()) return;
  std::unique_lock lock(gate().mutex);
  gate().stopped = true;
  for (ExitWatch* watch = gate().watches; watch != nullptr; watch = watch->next_) {
    if (watch->standing_) continue;
    watch->asked_.store(true, std::memory_order_seq_cst);
    watch->doorbell_.ring();
  }
  gate().changed.wait_for(lock, std::chrono::milliseconds(timeout_ms), [] {
    const ExitWatch* watch = gate().watches;
    while (watch != nullptr && watch->standing_) watch = watch->next_;
    return watch == nullptr;
  });
}

void watch_exit() {
  // Handlers run in the reverse order of their registration.
  const int registered = std::atexit([] {
    begin_exit(kExitWaitMs);
    stop_lanes(kExitWaitMs);
  });
  static_cast<void>(registered);  // without it an exit is as it was
}

}  // namespace weft::fabric
