// Memory that the library may reference: the user's, registered, or its own, lent to JavaScript.
#include "call.h"
#include "modules.h"

namespace weft::addon {
namespace {

Napi::Value region_register(const Napi::CallbackInfo& info) {
  Call call(info, "regionRegister");
  auto job = call.handle<Job>(0, Kind::kJob);
  auto bytes = call.bytes(1);
  if (call.ok() && !call.at(1).IsTypedArray()) call.bad(1, "a typed array");
  if (!call.ok()) return info.Env().Undefined();
  weft_region* native = nullptr;
  int code = weft_region_register(job->native(), bytes.data(), bytes.size(), &native);
  if (code != WEFT_OK) return call.fail(code, job->native());
  auto region = std::make_shared<Region>(native);
  Napi::Value buffer = call.at(1).As<Napi::TypedArray>().ArrayBuffer();
  region->lent = Napi::Reference<Napi::Value>::New(buffer, 1);
  job->adopt(region);
  return wrap(info.Env(), region);
}

Napi::Value region_allocate(const Napi::CallbackInfo& info) {
  Call call(info, "regionAllocate");
  auto job = call.handle<Job>(0, Kind::kJob);
  uint64_t length = call.whole(1);
  if (!call.ok()) return info.Env().Undefined();
  weft_region* native = nullptr;
  int code = weft_region_allocate(job->native(), length, &native);
  if (code != WEFT_OK) return call.fail(code, job->native());
  auto region = std::make_shared<Region>(native);
  job->adopt(region);
  return wrap(info.Env(), region);
}

Napi::Value region_memory(const Napi::CallbackInfo& info) {
  Call call(info, "regionMemory");
  auto region = call.handle<Region>(0, Kind::kRegion);
  if (!call.ok()) return info.Env().Undefined();
  if (!region->lent.IsEmpty()) return region->lent.Value();
  if (region->borrowed.IsEmpty()) {
    auto* native = static_cast<weft_region*>(region->pointer);
    Napi::Value buffer = expose(info.Env(), weft_region_memory(native), weft_region_length(native));
    if (buffer.IsEmpty()) return buffer;
    region->borrowed = Napi::Reference<Napi::Value>::New(buffer, 1);
  }
  return region->borrowed.Value();
}

Napi::Value region_recall(const Napi::CallbackInfo& info) {
  Call call(info, "regionRecall");
  auto region = call.handle<Region>(0, Kind::kRegion);
  if (!call.ok()) return info.Env().Undefined();
  if (!region->borrowed.IsEmpty()) detach(info.Env(), region->borrowed.Value());
  region->borrowed.Reset();
  return info.Env().Undefined();
}

Napi::Value region_release(const Napi::CallbackInfo& info) {
  Call call(info, "regionRelease");
  auto region = call.handle<Region>(0, Kind::kRegion);
  if (!call.ok()) return info.Env().Undefined();
  int code = weft_region_release(static_cast<weft_region*>(region->pointer));
  if (code != WEFT_OK) return call.fail(code);
  // Nothing ran in between on this thread: nobody saw the freed memory before it is detached here.
  region->invalidate(info.Env());
  return info.Env().Undefined();
}

}  // namespace

void add_region(Napi::Env env, Napi::Object exports) {
  add<region_register>(env, exports, "regionRegister");
  add<region_allocate>(env, exports, "regionAllocate");
  add<region_memory>(env, exports, "regionMemory");
  add<region_recall>(env, exports, "regionRecall");
  add<region_release>(env, exports, "regionRelease");
}

}  // namespace weft::addon
