// Status and Result: how every layer reports an operating error.
// A Status is one pointer, null when fine, so that success costs nothing; the message is built only on failure and
// says what failed, on which object, why, and what to do next. Programmer errors are WEFT_ASSERT, which stays on.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "weftline/weft_errors.h"

namespace weft {

enum class Code : int {
#define WEFT_CODE(name, number, can_retry, meaning, next) name = number,
  WEFT_ERROR_TABLE(WEFT_CODE)
#undef WEFT_CODE
};

struct CodeInfo {
  Code code;
  const char* name;  // "WEFT_BUSY"
  bool can_retry;
  const char* meaning;
  const char* next;
};

// The row of the table; nullptr for a number that has none.
const CodeInfo* code_info(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message);
  Status(const Status& other);
  Status& operator=(const Status& other);
  Status(Status&&) noexcept = default;
  Status& operator=(Status&&) noexcept = default;

  bool ok() const { return state_ == nullptr; }
  Code code() const { return state_ ? state_->code : Code::OK; }
  // "" when ok.
  const std::string& message() const;
  // "WEFT_BUSY: message"
  std::string text() const;
  // The same code, with words put before the message: "opening /x: …".
  Status with_context(std::string_view words) const;

 private:
  struct State {
    Code code;
    std::string message;
  };
  std::unique_ptr<State> state_;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(Status status) : status_(std::move(status)) { WEFT_ASSERT(!status_.ok()); }
  Result(T value) : value_(std::move(value)) {}

  bool ok() const { return status_.ok(); }
  const Status& status() const { return status_; }
  T& value() {
    WEFT_ASSERT(ok());
    return *value_;
  }
  const T& value() const {
    WEFT_ASSERT(ok());
    return *value_;
  }
  T take() {
    WEFT_ASSERT(ok());
    return std::move(*value_);
  }

 private:
  Status status_;
  std::optional<T> value_;
};

// Joins strings and numbers into one message.
template <typename... Parts>
std::string join_text(Parts&&... parts);

// The text of errno, thread-safe: "No such file or directory (errno 2)".
std::string errno_text(int error_number);

namespace detail {
inline void append_part(std::string& out, std::string_view part) { out += part; }
inline void append_part(std::string& out, const char* part) { out += part; }
inline void append_part(std::string& out, char part) { out += part; }
template <typename Number>
requires std::is_arithmetic_v<Number>
void append_part(std::string& out, Number part) { out += std::to_string(part); }
}  // namespace detail

template <typename... Parts>
std::string join_text(Parts&&... parts) {
  std::string out;
  (detail::append_part(out, parts), ...);
  return out;
}

}  // namespace weft

// Returns from the calling function when the expression's Status is not ok.
#define WEFT_RETURN_IF_ERROR(expression)        \
  do {                                          \
    ::weft::Status weft_status_ = (expression); \
    if (!weft_status_.ok()) [[unlikely]] {      \
      return weft_status_;                      \
    }                                           \
  } while (false)
