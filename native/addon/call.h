// One call from JavaScript: takes its arguments with checks, makes its result, throws coded errors. The first bad
// argument is remembered and every later one reads as zero or empty, so a function takes all of them and asks ok()
// once. No N-API call but a harmless one is made while an error is pending. JavaScript thread.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "environment.h"
#include "handle.h"

namespace weft::addon {

class Call {
 public:
  Call(const Napi::CallbackInfo& info, const char* name) : info_(info), env_(info.Env()), name_(name) {}

  Napi::Env env() const { return env_; }
  bool ok() const { return ok_; }
  Napi::Value at(size_t index) const { return info_[index]; }

  // Handles. Never null when ok().
  template <typename T>
  std::shared_ptr<T> handle(size_t index, Kind kind) {
    return std::static_pointer_cast<T>(open_handle(info_[index], kind, static_cast<int>(index)));
  }
  template <typename T>
  T* native(size_t index, Kind kind) {
    auto held = open_handle(info_[index], kind, static_cast<int>(index));
    return held == nullptr ? nullptr : static_cast<T*>(held->pointer);
  }
  std::shared_ptr<Handle> open_handle(Napi::Value value, Kind kind, int index);

  uint64_t whole(size_t index);        // an integer of 0 to 2^53 - 1
  int64_t signed_whole(size_t index);  // also a negative one
  uint32_t small(size_t index);        // 0 to 2^32 - 1
  uint64_t wide(size_t index);         // a bigint of 64 bits
  // Whether it is `true`.
  bool flag(size_t index) const;
  std::string text(size_t index);
  bool missing(size_t index) const { return info_[index].IsNull() || info_[index].IsUndefined(); }
  // Bytes of an ArrayBufferView or ArrayBuffer that is not detached, resizable or shared.
  std::span<uint8_t> bytes(size_t index) { return bytes_of(info_[index], static_cast<int>(index)); }
  std::span<uint8_t> bytes_of(Napi::Value value, int index);

  // Members of an options object: left out or undefined keeps the default.
  Napi::Object object(size_t index);
  void member(Napi::Object object, const char* name, std::string& storage, const char*& into);
  void member(Napi::Object object, const char* name, uint32_t& into);
  void member(Napi::Object object, const char* name, int32_t& into);
  void member(Napi::Object object, const char* name, uint64_t& into);
  void member(Napi::Object object, const char* name, int64_t& into);
  void member(Napi::Object object, const char* name, std::vector<uint32_t>& into);
  void member_uuid(Napi::Object object, const char* name, uint8_t (&into)[16]);

  // An argument is not what it should be: WEFT_INVALID_ARGUMENT naming it.
  void bad(int index, const std::string& wanted);
  // Throws; returns undefined so that `return call.fail(…)` reads well.
  Napi::Value fail(int code, const std::string& text);
  // Throws the calling thread's last error of the library.
  Napi::Value fail(int code, const weft_job* job = nullptr);
  // Undefined, or the error of a code other than 0.
  Napi::Value done(int code, const weft_job* job = nullptr) {
    return code == WEFT_OK ? env_.Undefined() : fail(code, job);
  }

 private:
  template <typename T>
  void number_member(Napi::Object object, const char* name, double low, double high, T& into);
  bool member_value(Napi::Object object, const char* name, Napi::Value& value);

  const Napi::CallbackInfo& info_;
  Napi::Env env_;
  const char* name_;
  bool ok_ = true;
};

}  // namespace weft::addon
