#include "call.h"

#include <cmath>
#include <cstring>

namespace weft::addon {
namespace {

constexpr double kWholeMax = 9007199254740991.0;  // 2^53 - 1

bool is_whole(double value, double low, double high) {
  return value >= low && value <= high && std::floor(value) == value;
}

}  // namespace

void Call::bad(int index, const std::string& wanted) {
  if (!ok_) return;
  fail(WEFT_INVALID_ARGUMENT, std::string(name_) + ": argument " + std::to_string(index) + " must be " + wanted);
}

Napi::Value Call::fail(int code, const std::string& text) {
  ok_ = false;
  napi_throw(env_, Environment::of(env_).make_error(code, text.c_str()));
  return env_.Undefined();
}

Napi::Value Call::fail(int code, const weft_job* job) {
  ok_ = false;
  napi_throw(env_, Environment::of(env_).make_error(code, weft_error_text(job)));
  return env_.Undefined();
}

std::shared_ptr<Handle> Call::open_handle(Napi::Value value, Kind kind, int index) {
  if (!ok_) return nullptr;
  auto handle = unwrap(env_, value, kind);
  if (handle == nullptr) {
    fail(WEFT_WRONG_HANDLE, std::string(name_) + ": argument " + std::to_string(index) + " is not a handle of a " +
                                kind_name(kind) + "; give the handle that the call asks for");
    return nullptr;
  }
  if (handle->pointer == nullptr) {
    fail(WEFT_CLOSED, std::string(name_) + ": the " + kind_name(kind) + " was closed; open it again");
    return nullptr;
  }
  return handle;
}

uint64_t Call::whole(size_t index) {
  if (!ok_) return 0;
  Napi::Value value = info_[index];
  double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!is_whole(number, 0, kWholeMax)) {
    bad(static_cast<int>(index), "an integer of 0 to 2^53 - 1");
    return 0;
  }
  return static_cast<uint64_t>(number);
}

int64_t Call::signed_whole(size_t index) {
  if (!ok_) return 0;
  Napi::Value value = info_[index];
  double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!is_whole(number, -kWholeMax, kWholeMax)) {
    bad(static_cast<int>(index), "an integer");
    return 0;
  }
  return static_cast<int64_t>(number);
}

uint32_t Call::small(size_t index) {
  uint64_t value = whole(index);
  if (value > UINT32_MAX) {
    bad(static_cast<int>(index), "an integer of 0 to 2^32 - 1");
    return 0;
  }
  return static_cast<uint32_t>(value);
}

uint64_t Call::wide(size_t index) {
  if (!ok_) return 0;
  Napi::Value value = info_[index];
  bool lossless = false;
  uint64_t number = value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
  if (!lossless) bad(static_cast<int>(index), "a bigint of 0 to 2^64 - 1");
  return number;
}

// Not by a conversion, which fails in a worker thread that is being terminated, and node-addon-api then ends the
// process.
bool Call::flag(size_t index) const {
  bool value = false;
  return ok_ && napi_get_value_bool(env_, info_[index], &value) == napi_ok && value;
}

std::string Call::text(size_t index) {
  if (!ok_) return {};
  if (!info_[index].IsString()) {
    bad(static_cast<int>(index), "a string");
    return {};
  }
  return info_[index].As<Napi::String>().Utf8Value();
}

std::span<uint8_t> Call::bytes_of(Napi::Value value, int index) {
  if (!ok_) return {};
  if (value.IsTypedArray()) {
    // Not by its ArrayBuffer: that of shared memory is no ArrayBuffer to Node-API.
    auto array = value.As<Napi::TypedArray>();
    void* data = nullptr;
    if (napi_get_typedarray_info(env_, value, nullptr, nullptr, &data, nullptr, nullptr) != napi_ok) data = nullptr;
    size_t length = array.ByteLength();
    if (data == nullptr && length != 0) {
      bad(index, "memory that was not detached");
      return {};
    }
    return {static_cast<uint8_t*>(data), length};
  }
  if (value.IsArrayBuffer()) {
    auto buffer = value.As<Napi::ArrayBuffer>();
    return {static_cast<uint8_t*>(buffer.Data()), buffer.ByteLength()};
  }
  bad(index, "a typed array or an ArrayBuffer");
  return {};
}

Napi::Object Call::object(size_t index) {
  if (ok_ && !info_[index].IsObject()) bad(static_cast<int>(index), "an object");
  return ok_ ? info_[index].As<Napi::Object>() : Napi::Object::New(env_);
}

bool Call::member_value(Napi::Object object, const char* name, Napi::Value& value) {
  if (!ok_) return false;
  value = object.Get(name);
  // Empty in a worker thread that is being terminated: an option that cannot be read was not left out.
  if (env_.IsExceptionPending() || value.IsEmpty()) {
    ok_ = false;
    return false;
  }
  return !value.IsUndefined() && !value.IsNull();
}

void Call::member(Napi::Object object, const char* name, std::string& storage, const char*& into) {
  Napi::Value value;
  if (!member_value(object, name, value)) return;
  if (!value.IsString()) {
    fail(WEFT_INVALID_ARGUMENT, std::string(name_) + ": option '" + name + "' must be a string");
    return;
  }
  storage = value.As<Napi::String>().Utf8Value();
  if (storage.find('\0') != std::string::npos) {
    fail(WEFT_INVALID_ARGUMENT, std::string(name_) + ": option '" + name + "' holds a NUL character");
    return;
  }
  into = storage.c_str();
}

template <typename T>
void Call::number_member(Napi::Object object, const char* name, double low, double high, T& into) {
  Napi::Value value;
  if (!member_value(object, name, value)) return;
  if constexpr (sizeof(T) == 8) {
    bool lossless = false;
    if (value.IsBigInt()) {
      into = static_cast<T>(value.As<Napi::BigInt>().Uint64Value(&lossless));
      if (lossless) return;
    }
  }
  double number = 0;
  if (value.IsBoolean())
    number = value.As<Napi::Boolean>().Value() ? 1 : 0;
  else
    number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!is_whole(number, low, high)) {
    fail(WEFT_INVALID_ARGUMENT, std::string(name_) + ": option '" + name + "' is not a number in its range");
    return;
  }
  into = static_cast<T>(number);
}

void Call::member(Napi::Object object, const char* name, uint32_t& into) {
  number_member(object, name, 0, UINT32_MAX, into);
}
void Call::member(Napi::Object object, const char* name, int32_t& into) {
  number_member(object, name, INT32_MIN, INT32_MAX, into);
}
void Call::member(Napi::Object object, const char* name, uint64_t& into) {
  number_member(object, name, 0, kWholeMax, into);
}
void Call::member(Napi::Object object, const char* name, int64_t& into) {
  number_member(object, name, -kWholeMax, kWholeMax, into);
}

void Call::member(Napi::Object object, const char* name, std::vector<uint32_t>& into) {
  Napi::Value value;
  if (!member_value(object, name, value)) return;
  bool good = value.IsArray();
  uint32_t length = good ? value.As<Napi::Array>().Length() : 0;
  for (uint32_t index = 0; good && index < length; index++) {
    Napi::Value item = value.As<Napi::Array>().Get(index);
    double number = item.IsNumber() ? item.As<Napi::Number>().DoubleValue() : -1;
    good = is_whole(number, 0, UINT32_MAX);
    if (good) into.push_back(static_cast<uint32_t>(number));
  }
  if (!good) fail(WEFT_INVALID_ARGUMENT, std::string(name_) + ": option '" + name + "' must be a list of numbers");
}

void Call::member_uuid(Napi::Object object, const char* name, uint8_t (&into)[16]) {
  if (!ok_) return;
  Napi::Value value = object.Get(name);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().ByteLength() != sizeof into) {
    fail(WEFT_INVALID_ARGUMENT, std::string(name_) + ": option '" + name + "' must be 16 bytes");
    return;
  }
  std::memcpy(into, bytes_of(value, 0).data(), sizeof into);
}

}  // namespace weft::addon
