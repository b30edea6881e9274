#include "library/errors.h"

#include <cstdlib>
#include <cstring>

namespace weft::library {

// Not in an unnamed namespace: weft_error_text below reads it.
static thread_local std::string last_error;

int report(const Status& status) {
  if (status.ok()) return WEFT_OK;
  last_error = status.text();
  return static_cast<int>(status.code());
}

int report(Code code, std::string message) { return report(Status(code, std::move(message))); }

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::kJob:
      return "weft_job";
    case Kind::kTopic:
      return "weft_topic";
    case Kind::kProducer:
      return "weft_producer";
    case Kind::kBatch:
      return "weft_batch";
    case Kind::kConsumer:
      return "weft_consumer";
    case Kind::kRegion:
      return "weft_region";
    case Kind::kServer:
      return "weft_server";
    case Kind::kCommunicator:
      return "weft_communicator";
    case Kind::kClosed:
      break;
  }
  return "handle";
}

int wrong_handle(Kind expected) {
  return report(Code::WRONG_HANDLE,
                join_text("a ", kind_name(expected), " was expected; the handle is NULL, of another kind, or closed"));
}

char* copy_text(std::string_view text) {
  auto* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy == nullptr) return nullptr;
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  return copy;
}

}  // namespace weft::library

extern "C" {

const char* weft_error_text(const weft_job*) { return weft::library::last_error.c_str(); }

const char* weft_code_name(int code) {
  const weft::CodeInfo* info = weft::code_info(static_cast<weft::Code>(code));
  return info == nullptr ? nullptr : info->name;
}
const char* weft_code_meaning(int code) {
  const weft::CodeInfo* info = weft::code_info(static_cast<weft::Code>(code));
  return info == nullptr ? nullptr : info->meaning;
}
const char* weft_code_next(int code) {
  const weft::CodeInfo* info = weft::code_info(static_cast<weft::Code>(code));
  return info == nullptr ? nullptr : info->next;
}
int weft_code_can_retry(int code) {
  const weft::CodeInfo* info = weft::code_info(static_cast<weft::Code>(code));
  return info != nullptr && info->can_retry ? 1 : 0;
}
uint32_t weft_abi_version(void) { return WEFT_ABI_VERSION; }
void weft_free(void* memory) { std::free(memory); }

}  // extern "C"
