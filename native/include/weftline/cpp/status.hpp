// What a call came to: a status, or a result with a value. Success allocates nothing; a failure copies the library's
// words, so that they stay when the thread calls again.
#ifndef WEFTLINE_CPP_STATUS_HPP
#define WEFTLINE_CPP_STATUS_HPP

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#if defined(__cpp_exceptions)
#include <stdexcept>
#endif

#include "../weftline.h"

namespace weftline {

inline constexpr int64_t forever = WEFT_FOREVER;

#if defined(__cpp_exceptions)
// What value() throws: code() is one of weft_errors.h, what() the library's words.
class error : public std::runtime_error {
 public:
  error(int code, const std::string& text) : std::runtime_error(text), code_(code) {}
  int code() const noexcept { return code_; }

 private:
  int code_;
};
#endif

class [[nodiscard]] status {
 public:
  status() = default;
  // Of a C call that just returned on this thread.
  explicit status(int code) : code_(code) {
    if (code != WEFT_OK) text_ = weft_error_text(nullptr);
  }
  status(int code, std::string text) : code_(code), text_(std::move(text)) {}

  bool ok() const { return code_ == WEFT_OK; }
  explicit operator bool() const { return ok(); }
  int code() const { return code_; }
  // "WEFT_BUSY"
  std::string_view name() const {
    const char* name = weft_code_name(code_);
    return name == nullptr ? "" : name;
  }
  // "WEFT_BUSY: what failed, on which object, why, and what to do next"; "" when ok.
  const std::string& text() const { return text_; }
  // The same call may succeed later without a change by the caller.
  bool can_retry() const { return weft_code_can_retry(code_) != 0; }
  // Throws weftline::error unless ok; without exceptions: the words on stderr, and abort().
  void value() const {
    if (ok()) return;
#if defined(__cpp_exceptions)
    throw error(code_, text_);
#else
    std::fprintf(stderr, "%s\n", text_.c_str());
    std::abort();
#endif
  }

 private:
  int code_ = WEFT_OK;
  std::string text_;
};

template <typename T>
class [[nodiscard]] result {
 public:
  result(T value) : value_(std::move(value)) {}
  result(status failure) : status_(std::move(failure)) {}

  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }
  int code() const { return status_.code(); }
  const status& why() const { return status_; }
  const std::string& text() const { return status_.text(); }

  // The value; without one as status::value().
  T& value() & {
    status_.value();
    return *value_;
  }
  const T& value() const& {
    status_.value();
    return *value_;
  }
  T value() && {
    status_.value();
    return std::move(*value_);
  }
  // Only where ok().
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  status status_;
  std::optional<T> value_;
};

namespace detail {

// A job's handle, which everything opened on it looks at: nullptr once the job is closed, and with it all of theirs.
struct job_state {
  weft_job* handle = nullptr;
};

inline status closed(const char* what) {
  return status(WEFT_CLOSED, std::string("WEFT_CLOSED: the ") + what +
                                 " is empty: it was closed, moved from, or its job " + "was closed; open it again");
}

}  // namespace detail
}  // namespace weftline

#endif
