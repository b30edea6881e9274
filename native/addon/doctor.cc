// What `weftline doctor` asks of the library: what there is, and probes that measure it. A probe is closed when its
// handle is, or is collected, and nothing measures with it any more. All but closing and the address run on threads of
// their own.
#include <cstring>

#include "background.h"
#include "call.h"
#include "join_options.h"
#include "modules.h"

namespace weft::addon {
namespace {

struct Probe : Handle {
  explicit Probe(weft_probe* native) : Handle(Kind::kProbe, native), held(native, weft_probe_close) {}
  void release(Napi::Env) override { held.reset(); }
  std::shared_ptr<weft_probe> held;  // measuring threads hold it, too
};

// A call that gives JSON, on a thread.
Napi::Value json_of(Napi::Env env, const char* name, std::function<int(char**)> call) {
  auto json = std::make_shared<std::string>();
  Background::Work work{};
  work.name = name;
  work.run = [json, call = std::move(call)](Background&) {
    char* text = nullptr;
    const int code = call(&text);
    if (text != nullptr) json->assign(text);
    weft_free(text);
    return code;
  };
  work.result = [json](Napi::Env there) { return Napi::String::New(there, *json); };
  return Background::start(env, std::move(work));
}

Napi::Value doctor(const Napi::CallbackInfo& info) {
  Call call(info, "doctor");
  auto options = std::make_shared<JoinOptions>();
  read_join_options(call, 0, *options);
  if (!call.ok()) return info.Env().Undefined();
  return json_of(info.Env(), "doctor", [options](char** json) { return weft_doctor(&options->options, json); });
}

Napi::Value lock_check(const Napi::CallbackInfo& info) {
  Call call(info, "lockCheck");
  std::string directory = call.text(0);
  if (!call.ok()) return info.Env().Undefined();
  Background::Work work{};
  work.name = "lockCheck";
  work.run = [directory](Background&) { return weft_lock_check(directory.c_str()); };
  return Background::start(info.Env(), std::move(work));
}

Napi::Value probe_open(const Napi::CallbackInfo& info) {
  Call call(info, "probeOpen");
  auto options = std::make_shared<JoinOptions>();
  read_join_options(call, 0, *options);
  if (!call.ok()) return info.Env().Undefined();
  auto probe = std::make_shared<weft_probe*>(nullptr);
  Background::Work work{};
  work.name = "probeOpen";
  work.run = [=](Background&) { return weft_probe_open(&options->options, probe.get()); };
  work.result = [probe](Napi::Env env) { return wrap(env, std::make_shared<Probe>(*probe)); };
  work.abandon = [probe] { (void)weft_probe_close(*probe); };
  return Background::start(info.Env(), std::move(work));
}

Napi::Value probe_address(const Napi::CallbackInfo& info) {
  Call call(info, "probeAddress");
  auto probe = call.handle<Probe>(0, Kind::kProbe);
  if (!call.ok()) return info.Env().Undefined();
  const void* bytes = nullptr;
  uint64_t length = 0;
  const int code = weft_probe_address(probe->held.get(), &bytes, &length);
  if (code != WEFT_OK) return call.fail(code);
  Napi::Uint8Array copy = Napi::Uint8Array::New(info.Env(), length);
  std::memcpy(copy.Data(), bytes, length);
  return copy;
}

Napi::Value probe_measure(const Napi::CallbackInfo& info) {
  Call call(info, "probeMeasure");
  auto probe = call.handle<Probe>(0, Kind::kProbe);
  if (!call.ok()) return info.Env().Undefined();
  const auto bytes = call.bytes(1);
  const uint64_t timeout_ms = call.whole(2);
  if (!call.ok()) return info.Env().Undefined();
  return json_of(info.Env(), "probeMeasure",
                 [held = probe->held, address = std::string(bytes.begin(), bytes.end()), timeout_ms](char** json) {
                   return weft_probe_measure(held.get(), address.data(), address.size(), timeout_ms, json);
                 });
}

Napi::Value probe_close(const Napi::CallbackInfo& info) {
  Call call(info, "probeClose");
  auto probe = call.handle<Probe>(0, Kind::kProbe);
  if (!call.ok()) return info.Env().Undefined();
  probe->invalidate(info.Env());
  return info.Env().Undefined();
}

}  // namespace

void add_doctor(Napi::Env env, Napi::Object exports) {
  add<doctor>(env, exports, "doctor");
  add<lock_check>(env, exports, "lockCheck");
  add<probe_open>(env, exports, "probeOpen");
  add<probe_address>(env, exports, "probeAddress");
  add<probe_measure>(env, exports, "probeMeasure");
  add<probe_close>(env, exports, "probeClose");
}

}  // namespace weft::addon
