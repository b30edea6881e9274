// The queue of outcomes that a binding or an event loop polls. push(): any thread; take(): one thread at a time.
// Bounded by what may be outstanding (batches, requests); log lines are dropped first when nobody polls.
#pragma once

#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "weftline/weftline.h"

namespace weft::library {

class Completions {
 public:
  ~Completions();
  void push(weft_completion completion, std::string_view text = {});
  // With code and text of the status.
  void push_status(uint32_t kind, uint64_t tag, const Status& status, void* handle = nullptr);
  uint32_t take(weft_completion* into, uint32_t count);
  void set_wake(void (*wake)(void*), void* context);

 private:
  static constexpr size_t kLogLinesMax = 1024;  // waiting
  static constexpr size_t kCompactedAt = 1024;  // taken from the front

  std::mutex mutex_;
  std::vector<weft_completion> queue_;
  size_t taken_ = 0;  // from the front of queue_
  size_t log_lines_ = 0;
  // Apart from mutex_, and taken first where both are: who is woken takes at once, and would meet the waker still
  // inside.
  std::mutex wake_mutex_;
  void (*wake_)(void*) = nullptr;
  void* wake_context_ = nullptr;
};

}  // namespace weft::library
