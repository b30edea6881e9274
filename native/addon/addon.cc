// The module's entry, once per JavaScript environment.
#include <napi.h>

#include "background.h"
#include "call.h"
#include "modules.h"

namespace weft::addon {
namespace {

Napi::Value set_error_factory(const Napi::CallbackInfo& info) {
  Call call(info, "setErrorFactory");
  if (!call.at(0).IsFunction()) {
    call.bad(0, "a function");
    return info.Env().Undefined();
  }
  Environment::of(info.Env()).set_error_factory(call.at(0).As<Napi::Function>());
  return info.Env().Undefined();
}

template <const char* (*words)(int)>
Napi::Value code_words(const Napi::CallbackInfo& info) {
  Call call(info, "codeName");
  auto code = static_cast<int>(call.signed_whole(0));
  const char* text = call.ok() ? words(code) : nullptr;
  return text == nullptr ? info.Env().Undefined() : Napi::String::New(info.Env(), text);
}

Napi::Value code_can_retry(const Napi::CallbackInfo& info) {
  Call call(info, "codeCanRetry");
  auto code = static_cast<int>(call.signed_whole(0));
  return Napi::Boolean::New(info.Env(), call.ok() && weft_code_can_retry(code) != 0);
}

Napi::Value prepare_exit(const Napi::CallbackInfo& info) {
  weft_prepare_exit();
  return info.Env().Undefined();
}

Napi::Value crc32c(const Napi::CallbackInfo& info) {
  Call call(info, "crc32c");
  auto bytes = call.bytes(0);
  uint32_t seed = call.small(1);
  if (!call.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), weft_crc32c(bytes.data(), bytes.size(), seed));
}

Napi::Value log_verify(const Napi::CallbackInfo& info) {
  Call call(info, "logVerify");
  std::string data = call.text(0);
  if (!call.at(1).IsFunction()) call.bad(1, "a function");
  if (!call.ok()) return info.Env().Undefined();
  Background::Work work{};
  work.name = "logVerify";
  work.report = Napi::Persistent(call.at(1).As<Napi::Function>());
  work.run = [data](Background& background) {
    auto report = [](void* context, const char* json) { static_cast<Background*>(context)->say(json); };
    return weft_log_verify(data.c_str(), report, &background);
  };
  return Background::start(info.Env(), std::move(work));
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData<Environment>(new Environment(env));
  exports.Set("abiVersion", Napi::Number::New(env, weft_abi_version()));
  exports.Set("version", Napi::String::New(env, WEFT_VERSION));
  add<set_error_factory>(env, exports, "setErrorFactory");
  add<code_words<weft_code_name>>(env, exports, "codeName");
  add<code_words<weft_code_meaning>>(env, exports, "codeMeaning");
  add<code_words<weft_code_next>>(env, exports, "codeNext");
  add<code_can_retry>(env, exports, "codeCanRetry");
  add<crc32c>(env, exports, "crc32c");
  add<prepare_exit>(env, exports, "prepareExit");
  add<log_verify>(env, exports, "logVerify");
  add_job(env, exports);
  add_completions(env, exports);
  add_communicator(env, exports);
  add_topic(env, exports);
  add_region(env, exports);
  add_producer(env, exports);
  add_consumer(env, exports);
  add_server(env, exports);
  add_doctor(env, exports);
  return exports;
}

NODE_API_MODULE(weftline, init)

}  // namespace
}  // namespace weft::addon
