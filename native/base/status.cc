#include "base/status.h"

#include <cstring>

namespace weft {

namespace {
constexpr CodeInfo kCodes[] = {
#define WEFT_CODE(name, number, can_retry, meaning, next) {Code::name, "WEFT_" #name, can_retry != 0, meaning, next},
    WEFT_ERROR_TABLE(WEFT_CODE)
#undef WEFT_CODE
};
const std::string kEmpty;
}  // namespace

const CodeInfo* code_info(Code code) {
  for (const CodeInfo& info : kCodes) {
    if (info.code == code) return &info;
  }
  return nullptr;
}

Status::Status(Code code, std::string message) {
  if (code != Code::OK) state_ = std::make_unique<State>(State{code, std::move(message)});
}

Status::Status(const Status& other) : state_(other.state_ ? std::make_unique<State>(*other.state_) : nullptr) {}

Status& Status::operator=(const Status& other) {
  if (this != &other) state_ = other.state_ ? std::make_unique<State>(*other.state_) : nullptr;
  return *this;
}

const std::string& Status::message() const { return state_ ? state_->message : kEmpty; }

std::string Status::text() const {
  if (ok()) return "WEFT_OK";
  const CodeInfo* info = code_info(code());
  return join_text(info ? info->name : "WEFT_?", ": ", message());
}

Status Status::with_context(std::string_view words) const {
  if (ok()) return {};
  return Status(code(), join_text(words, ": ", message()));
}

std::string errno_text(int error_number) {
  char buffer[128];
  // The GNU variant: it may return a static string instead of filling the buffer.
  const char* text = strerror_r(error_number, buffer, sizeof buffer);
  return join_text(text, " (errno ", error_number, ")");
}

}  // namespace weft
