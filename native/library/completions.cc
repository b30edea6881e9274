#include "library/completions.h"

#include <algorithm>
#include <cstdlib>

#include "library/errors.h"
#include "library/job.h"

namespace weft::library {

Completions::~Completions() {
  for (size_t i = taken_; i < queue_.size(); ++i) std::free(queue_[i].text);
}

void Completions::push(weft_completion completion, std::string_view text) {
  const bool is_log = completion.kind == WEFT_COMPLETION_LOG;
  bool was_empty = false;
  {
    const std::lock_guard lock(mutex_);
    if (is_log && log_lines_ >= kLogLinesMax) return;
    if (is_log) ++log_lines_;
    if (text.data() != nullptr) {
      completion.text = copy_text(text);
      completion.text_length = completion.text == nullptr ? 0 : text.size();
    }
    was_empty = taken_ == queue_.size();
    queue_.push_back(completion);
  }
  if (!was_empty) return;
  // Under its lock, so that set_wake(NULL) means that no call is under way.
  const std::lock_guard lock(wake_mutex_);
  if (wake_ != nullptr) wake_(wake_context_);
}

void Completions::push_status(uint32_t kind, uint64_t tag, const Status& status, void* handle) {
  weft_completion completion{};
  completion.kind = kind;
  completion.tag = tag;
  completion.code = static_cast<int32_t>(status.code());
  completion.handle = handle;
  push(completion, status.ok() ? std::string_view() : std::string_view(status.message()));
}

uint32_t Completions::take(weft_completion* into, uint32_t count) {
  const std::lock_guard lock(mutex_);
  const size_t available = std::min<size_t>(count, queue_.size() - taken_);
  for (size_t i = 0; i < available; ++i) {
    into[i] = queue_[taken_ + i];
    if (into[i].kind == WEFT_COMPLETION_LOG) --log_lines_;
  }
  taken_ += available;
  // Also while it never runs empty, or it would grow with all that ever went through.
  if (taken_ == queue_.size() || taken_ >= kCompactedAt) {
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(taken_));
    taken_ = 0;
  }
  return static_cast<uint32_t>(available);
}

void Completions::set_wake(void (*wake)(void*), void* context) {
  const std::lock_guard lock(wake_mutex_);
  wake_ = wake;
  wake_context_ = context;
  if (wake_ == nullptr) return;
  bool is_empty = false;
  {
    const std::lock_guard queue_lock(mutex_);
    is_empty = taken_ == queue_.size();
  }
  if (!is_empty) wake_(wake_context_);
}

}  // namespace weft::library

extern "C" {

uint32_t weft_poll(weft_job* job, weft_completion* completions, uint32_t count) {
  if (!weft::library::is_handle(job) || completions == nullptr) return 0;
  return job->completions.take(completions, count);
}

int weft_set_wake(weft_job* job, void (*wake)(void* context), void* context) try {
  WEFT_CHECK_HANDLE(job);
  job->completions.set_wake(wake, context);
  return WEFT_OK;
}
WEFT_CATCH

}  // extern "C"
