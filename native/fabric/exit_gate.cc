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
  ExitWatch* watches = nullptr;
  // A child of fork() has the watches of its parent, and none of the threads.
  const pid_t process = getpid();
};

thread_local bool t_in_exit = false;

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
}

ExitWatch::~ExitWatch() {
  const std::lock_guard lock(gate().mutex);
  ExitWatch** at = &gate().watches;
  while (*at != this) at = &(*at)->next_;
  *at = next_;
  gate().changed.notify_all();
}

void ExitWatch::stand_still() {
  asked_.store(false, std::memory_order_seq_cst);
  const std::lock_guard lock(gate().mutex);
  standing_ = true;
  gate().changed.notify_all();
}

void begin_exit(uint64_t timeout_ms) {
  if (gate().process != getpid()) return;
  std::unique_lock lock(gate().mutex);
  gate().exiting = true;
  gate().changed.wait_for(lock, std::chrono::milliseconds(timeout_ms), [] { return gate().openings == 0; });
}

bool in_exit() { return t_in_exit; }

void stop_lanes(uint64_t timeout_ms) {
  if (gate().process != getpid()) return;
  t_in_exit = true;
  std::unique_lock lock(gate().mutex);
  for (ExitWatch* watch = gate().watches; watch != nullptr; watch = watch->next_) {
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
