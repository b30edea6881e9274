#include "fabric/exit_gate.h"

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

void begin_exit(uint64_t timeout_ms) {
  std::unique_lock lock(gate().mutex);
  gate().exiting = true;
  gate().changed.wait_for(lock, std::chrono::milliseconds(timeout_ms), [] { return gate().openings == 0; });
}

void watch_exit() {
  // Handlers run in the reverse order of their registration.
  const int registered = std::atexit([] { begin_exit(kExitWaitMs); });
  static_cast<void>(registered);  // without it an exit during an opening is as it was
}

}  // namespace weft::fabric
