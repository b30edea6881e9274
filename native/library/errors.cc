#include "library/errors.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

namespace weft::library {

// Not in an unnamed namespace: weft_error_text below reads it.
static thread_local std::string last_error;
// The words when there was no memory even for words.
static constexpr const char* kNoMemoryForWords =
    "WEFT_OUT_OF_MEMORY: memory could not be had, not even for words about it; free memory or lower the limits";
static thread_local bool no_memory_for_words = false;

int report(const Status& status) {
  if (status.ok()) return WEFT_OK;
  std::string words = status.text();
  const CodeInfo* info = code_info(status.code());
  if (info != nullptr && info->next[0] != '\0' && words.find("; ") == std::string::npos) {
    words += "; ";
    words += info->next;
  }
  last_error = std::move(words);
  no_memory_for_words = false;
  return static_cast<int>(status.code());
}

int report(Code code, std::string message) { return report(Status(code, std::move(message))); }

Status caught_status() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return Status(Code::OUT_OF_MEMORY,
                  "the call could not have the memory that it needs; free memory or lower the limits");
  } catch (const std::length_error& error) {
    return Status(Code::OUT_OF_MEMORY, join_text("the call would need more memory than can be had (", error.what(),
                                                 "); look at the lengths that it was given"));
  } catch (const std::exception& error) {
    return Status(Code::INTERNAL, join_text("an exception ended the call: ", error.what()));
  } catch (...) {
    return Status(Code::INTERNAL, "an exception of no known type ended the call");
  }
}

int report_caught() noexcept {
  try {
    return report(caught_status());
  } catch (...) {
    no_memory_for_words = true;
    return static_cast<int>(Code::OUT_OF_MEMORY);
  }
}

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
    case Kind::kProbe:
      return "weft_probe";
    case Kind::kClosed:
      break;
  }
  return "handle";
}

int wrong_handle(Kind expected) {
  return report(Code::WRONG_HANDLE,
                join_text("a ", kind_name(expected), " was expected; the handle is NULL, of another kind, or closed"));
}

int null_argument(const char* call, const char* argument) {
  return report(Code::INVALID_ARGUMENT,
                join_text(call, " was given NULL for '", argument, "'; give the address of what it asks for"));
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

const char* weft_error_text(const weft_job*) {
  using namespace weft::library;
  return no_memory_for_words ? kNoMemoryForWords : last_error.c_str();
}

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
