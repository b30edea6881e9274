// CRC32C for benchmarks in Node: consumers of every system take the checksum of what they read with the same code.
//   crc32c(bytes: Uint8Array, seed: number): number
#define NAPI_VERSION 8
#include <node_api.h>

#include "base/checksum.h"

namespace {

napi_value take(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  void* bytes = nullptr;
  size_t length = 0;
  uint32_t seed = 0;
  napi_typedarray_type type;
  napi_value result = nullptr;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count != 2 ||
      napi_get_typedarray_info(env, arguments[0], &type, &length, &bytes, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array || napi_get_value_uint32(env, arguments[1], &seed) != napi_ok) {
    static_cast<void>(napi_throw_type_error(env, nullptr, "crc32c(bytes: Uint8Array, seed: number)"));
    return nullptr;
  }
  static_cast<void>(napi_create_uint32(env, weft::crc32c(bytes, length, seed), &result));
  return result;
}

napi_value export_all(napi_env env, napi_value exports) {
  napi_value function = nullptr;
  if (napi_create_function(env, "crc32c", NAPI_AUTO_LENGTH, take, nullptr, &function) == napi_ok) {
    static_cast<void>(napi_set_named_property(env, exports, "crc32c", function));
  }
  return exports;
}

}  // namespace

NAPI_MODULE(checksum, export_all)
