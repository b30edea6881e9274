// The thread's last error, and the checks that every entry of the C API begins with.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "weftline/weftline.h"

namespace weft::library {

// Keeps the words for weft_error_text and returns the number. A message tells the next step behind a semicolon; where
// it has none, the table's is added.
int report(const Status& status);
int report(Code code, std::string message);

// What is being caught, as a status: WEFT_OUT_OF_MEMORY where memory could not be had, else WEFT_INTERNAL. Only in a
// handler.
Status caught_status();
// No exception crosses the C API, whose callers cannot catch one: each entry that could throw ends in WEFT_CATCH.
int report_caught() noexcept;

// Every handle begins with one of these, so that a wrong or closed handle is refused instead of followed.
enum class Kind : uint32_t {
  kClosed = 0,
  kJob = 0x4A464557,
  kTopic = 0x54464557,
  kProducer = 0x50464557,
  kBatch = 0x42464557,
  kConsumer = 0x43464557,
  kRegion = 0x52464557,
  kServer = 0x53464557,
  kCommunicator = 0x4F464557,
  kProbe = 0x58464557,
};
const char* kind_name(Kind kind);
int wrong_handle(Kind expected);
int null_argument(const char* call, const char* argument);

template <typename Handle>
bool is_handle(const Handle* handle) {
  return handle != nullptr && handle->kind == Handle::kKind;
}

// Options may come from an older header: what they do not have keeps its default.
template <typename Options>
Status read_options(const Options* given, const Options& defaults, Options* into) {
  *into = defaults;
  if (given == nullptr) return {};
  if (given->size < sizeof(uint32_t) || given->size > sizeof(Options)) {
    return Status(Code::INVALID_ARGUMENT,
                  join_text("options of ", given->size, " bytes were given, this library knows ", sizeof(Options),
                            "; start from WEFT_..._DEFAULT of the same version"));
  }
  __builtin_memcpy(into, given, given->size);
  into->size = sizeof(Options);
  return {};
}

// malloc'ed, for weft_free.
char* copy_text(std::string_view text);

}  // namespace weft::library

// In the entry itself: the message names it.
#define WEFT_CHECK_ARGUMENT(argument)                             \
  do {                                                            \
    if ((argument) == nullptr) [[unlikely]] {                     \
      return ::weft::library::null_argument(__func__, #argument); \
    }                                                             \
  } while (false)

#define WEFT_CATCH                           \
  catch (...) {                              \
    return ::weft::library::report_caught(); \
  }

#define WEFT_CHECK_HANDLE(handle)                                                           \
  do {                                                                                      \
    if (!::weft::library::is_handle(handle)) [[unlikely]] {                                 \
      return ::weft::library::wrong_handle(std::remove_pointer_t<decltype(handle)>::kKind); \
    }                                                                                       \
  } while (false)
