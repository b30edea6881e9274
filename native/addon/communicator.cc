// Communicators for the application's own use. The bytes of a collective are copied into native memory for its time:
// MPI may write into it until the end of the process, JavaScript's memory can go before.
#include <algorithm>
#include <cstring>

#include "call.h"
#include "modules.h"

namespace weft::addon {
namespace {

struct Collective : Handle {
  explicit Collective(weft_collective* collective) : Handle(Kind::kCollective, collective) {}
  // Collected as garbage before it was complete: nobody will poll it again.
  ~Collective() override {
    if (pointer != nullptr) keep_memory();
  }
  void release(Napi::Env) override {
    keep_memory();
    target.Reset();
  }
  // Not complete (`pointer` would be null then): MPI still owns the memory, so it stays.
  void keep_memory() {
    (void)sent.release();
    (void)received.release();
  }
  std::unique_ptr<std::vector<uint8_t>> sent;
  std::unique_ptr<std::vector<uint8_t>> received;
  Napi::Reference<Napi::Value> target;  // the JavaScript memory that gets `received`
  weft_communicator* made = nullptr;    // of a split; written only by the test that ends it
};

Napi::Value wrap_child(Napi::Env env, const std::shared_ptr<Handle>& parent, const std::shared_ptr<Handle>& child) {
  parent->adopt(child);
  return wrap(env, child);
}

Napi::Value communicator_world(const Napi::CallbackInfo& info) {
  Call call(info, "communicatorWorld");
  auto job = call.handle<Job>(0, Kind::kJob);
  if (!call.ok()) return info.Env().Undefined();
  weft_communicator* communicator = nullptr;
  int code = weft_communicator_world(job->native(), &communicator);
  if (code != WEFT_OK) return call.fail(code, job->native());
  return wrap_child(info.Env(), job, std::make_shared<Handle>(Kind::kCommunicator, communicator));
}

Napi::Value communicator_split_start(const Napi::CallbackInfo& info) {
  Call call(info, "communicatorSplitStart");
  auto parent = call.handle<Handle>(0, Kind::kCommunicator);
  auto color = static_cast<int>(call.signed_whole(1));
  auto key = static_cast<int>(call.signed_whole(2));
  if (!call.ok()) return info.Env().Undefined();
  auto collective = std::make_shared<Collective>(nullptr);
  weft_collective* native = nullptr;
  int code = weft_communicator_split_start(static_cast<weft_communicator*>(parent->pointer), color, key,
                                           &collective->made, &native);
  if (code != WEFT_OK) return call.fail(code);
  collective->pointer = native;
  return wrap_child(info.Env(), parent, collective);
}

Napi::Value communicator_size(const Napi::CallbackInfo& info) {
  Call call(info, "communicatorSize");
  auto* communicator = call.native<weft_communicator>(0, Kind::kCommunicator);
  if (!call.ok()) return info.Env().Undefined();
  int32_t rank = 0;
  int32_t size = 0;
  int code = weft_communicator_size(communicator, &rank, &size);
  if (code != WEFT_OK) return call.fail(code);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("rank", rank);
  result.Set("size", size);
  return result;
}

Napi::Value communicator_free(const Napi::CallbackInfo& info) {
  Call call(info, "communicatorFree");
  auto handle = call.handle<Handle>(0, Kind::kCommunicator);
  if (!call.ok()) return info.Env().Undefined();
  auto* communicator = static_cast<weft_communicator*>(handle->pointer);
  handle->invalidate(info.Env());
  return call.done(weft_communicator_free(communicator));
}

Napi::Value barrier_start(const Napi::CallbackInfo& info) {
  Call call(info, "barrierStart");
  auto communicator = call.handle<Handle>(0, Kind::kCommunicator);
  if (!call.ok()) return info.Env().Undefined();
  auto collective = std::make_shared<Collective>(nullptr);
  weft_collective* native = nullptr;
  int code = weft_barrier_start(static_cast<weft_communicator*>(communicator->pointer), &native);
  if (code != WEFT_OK) return call.fail(code);
  collective->pointer = native;
  return wrap_child(info.Env(), communicator, collective);
}

Napi::Value broadcast_start(const Napi::CallbackInfo& info) {
  Call call(info, "broadcastStart");
  auto communicator = call.handle<Handle>(0, Kind::kCommunicator);
  auto bytes = call.bytes(1);
  auto root = static_cast<int32_t>(call.signed_whole(2));
  if (!call.ok()) return info.Env().Undefined();
  auto collective = std::make_shared<Collective>(nullptr);
  collective->received = std::make_unique<std::vector<uint8_t>>(bytes.begin(), bytes.end());
  collective->target = Napi::Persistent(call.at(1));
  weft_collective* native = nullptr;
  int code = weft_broadcast_start(static_cast<weft_communicator*>(communicator->pointer), collective->received->data(),
                                  bytes.size(), root, &native);
  if (code != WEFT_OK) return call.fail(code);
  collective->pointer = native;
  return wrap_child(info.Env(), communicator, collective);
}

Napi::Value allgather_start(const Napi::CallbackInfo& info) {
  Call call(info, "allgatherStart");
  auto communicator = call.handle<Handle>(0, Kind::kCommunicator);
  auto from = call.bytes(1);
  auto into = call.bytes(2);
  if (!call.ok()) return info.Env().Undefined();
  auto* native_communicator = static_cast<weft_communicator*>(communicator->pointer);
  int32_t rank = 0;
  int32_t size = 0;
  int code = weft_communicator_size(native_communicator, &rank, &size);
  if (code != WEFT_OK) return call.fail(code);
  if (into.size() != from.size() * static_cast<size_t>(size)) {
    return call.fail(WEFT_INVALID_ARGUMENT, "allgatherStart: the result needs " +
                                                std::to_string(from.size() * static_cast<size_t>(size)) +
                                                " bytes, not " + std::to_string(into.size()));
  }
  auto collective = std::make_shared<Collective>(nullptr);
  collective->sent = std::make_unique<std::vector<uint8_t>>(from.begin(), from.end());
  collective->received = std::make_unique<std::vector<uint8_t>>(into.size());
  collective->target = Napi::Persistent(call.at(2));
  weft_collective* native = nullptr;
  code = weft_allgather_start(native_communicator, collective->sent->data(), from.size(), collective->received->data(),
                              &native);
  if (code != WEFT_OK) return call.fail(code);
  collective->pointer = native;
  return wrap_child(info.Env(), communicator, collective);
}

Napi::Value collective_test(const Napi::CallbackInfo& info) {
  Call call(info, "collectiveTest");
  auto collective = call.handle<Collective>(0, Kind::kCollective);
  if (!call.ok()) return info.Env().Undefined();
  int done = 0;
  int code = weft_collective_test(static_cast<weft_collective*>(collective->pointer), &done);
  if (code != WEFT_OK) {
    // The library has forgotten the collective with the error; whether MPI has the memory, nobody can say.
    collective->release(info.Env());
    collective->pointer = nullptr;
    return call.fail(code);
  }
  if (done == 0) return info.Env().Undefined();
  collective->pointer = nullptr;
  collective->sent.reset();
  if (!collective->target.IsEmpty()) {
    auto target = call.bytes_of(collective->target.Value(), 0);
    collective->target.Reset();
    if (!call.ok()) return info.Env().Undefined();
    std::memcpy(target.data(), collective->received->data(), std::min(target.size(), collective->received->size()));
  }
  collective->received.reset();
  if (collective->made == nullptr) return info.Env().Null();
  auto job = job_of(collective);
  if (job == nullptr) return call.fail(WEFT_CLOSED, "collectiveTest: the job was closed");
  return wrap_child(info.Env(), job, std::make_shared<Handle>(Kind::kCommunicator, collective->made));
}

}  // namespace

void add_communicator(Napi::Env env, Napi::Object exports) {
  add<communicator_world>(env, exports, "communicatorWorld");
  add<communicator_split_start>(env, exports, "communicatorSplitStart");
  add<communicator_size>(env, exports, "communicatorSize");
  add<communicator_free>(env, exports, "communicatorFree");
  add<barrier_start>(env, exports, "barrierStart");
  add<broadcast_start>(env, exports, "broadcastStart");
  add<allgather_start>(env, exports, "allgatherStart");
  add<collective_test>(env, exports, "collectiveTest");
}

}  // namespace weft::addon
