#include "handle.h"

#include "environment.h"

namespace weft::addon {
namespace {

// Random numbers of this addon's own, with the kind in the lower half.
napi_type_tag tag_of(Kind kind) { return {static_cast<uint64_t>(kind), UINT64_C(0x9d3c5b1e77f0426a)}; }

void finalize_handle(napi_env, void* data, void*) { delete static_cast<std::shared_ptr<Handle>*>(data); }

}  // namespace

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::kJob:
      return "job";
    case Kind::kCommunicator:
      return "communicator";
    case Kind::kCollective:
      return "collective";
    case Kind::kTopic:
      return "topic";
    case Kind::kRegion:
      return "region";
    case Kind::kProducer:
      return "producer";
    case Kind::kBatch:
      return "batch";
    case Kind::kConsumer:
      return "consumer";
    case Kind::kServer:
      return "server";
    case Kind::kProbe:
      return "probe";
  }
  return "handle";
}

void Handle::adopt(const std::shared_ptr<Handle>& child) {
  child->parent = weak_from_this();
  // Batches come and go by the thousand: forget those that are gone when the list would grow.
  if (children.size() == children.capacity()) {
    std::erase_if(children, [](const std::weak_ptr<Handle>& one) { return one.expired(); });
  }
  children.push_back(child);
}

void Handle::invalidate(Napi::Env env) {
  if (pointer == nullptr) return;
  std::vector<std::weak_ptr<Handle>> below;
  below.swap(children);
  for (const auto& weak : below) {
    if (auto child = weak.lock()) child->invalidate(env);
  }
  release(env);
  pointer = nullptr;
}

void Wake::ring(void* context) {
  auto* wake = static_cast<Wake*>(context);
  std::lock_guard lock(wake->mutex);
  if (wake->function == nullptr) return;
  // The queue holds at most one call: the library rings only when its queue was polled dry before. napi_queue_full
  // would mean that one is under way already, which is as good. After napi_closing the function may not be used again.
  if (napi_call_threadsafe_function(wake->function, nullptr, napi_tsfn_nonblocking) == napi_closing) {
    wake->function = nullptr;
  }
}

void Wake::off() {
  std::lock_guard lock(mutex);
  function_here = nullptr;
  if (function == nullptr) return;
  napi_release_threadsafe_function(function, napi_tsfn_abort);
  function = nullptr;
}

void Job::release(Napi::Env) {
  weft_set_wake(native(), nullptr, nullptr);
  wake.off();
}

void Job::close_at_teardown() {
  cleanup_context = nullptr;
  if (pointer == nullptr) return;
  weft_job* job = native();
  weft_set_wake(job, nullptr, nullptr);
  wake.off();
  pointer = nullptr;
  // Nobody is left to hear of a failure.
  (void)weft_close(job);
}

void Region::release(Napi::Env env) {
  if (!borrowed.IsEmpty()) detach(env, borrowed.Value());
  borrowed.Reset();
  lent.Reset();
}

void Producer::release(Napi::Env env) {
  for (auto& [address, arena] : arenas) {
    Napi::Object face = arena.face.Value();
    for (const char* name : {"metadataEnd", "timeDeltaUs", "dataLength", "metadata", "data"}) {
      detach(env, face.Get(name));
    }
    arena.face.Reset();
  }
  arenas.clear();
}

Napi::Value wrap(Napi::Env env, const std::shared_ptr<Handle>& handle) {
  Napi::Object object = Napi::Object::New(env);
  napi_type_tag tag = tag_of(handle->kind);
  auto* held = new std::shared_ptr<Handle>(handle);
  if (napi_wrap(env, object, held, finalize_handle, nullptr, nullptr) != napi_ok) {
    delete held;
    return env.Undefined();
  }
  napi_type_tag_object(env, object, &tag);
  return object;
}

std::shared_ptr<Handle> unwrap(Napi::Env env, Napi::Value value, Kind kind) {
  if (!value.IsObject()) return nullptr;
  napi_type_tag tag = tag_of(kind);
  bool matches = false;
  if (napi_check_object_type_tag(env, value, &tag, &matches) != napi_ok || !matches) return nullptr;
  void* data = nullptr;
  if (napi_unwrap(env, value, &data) != napi_ok || data == nullptr) return nullptr;
  return *static_cast<std::shared_ptr<Handle>*>(data);
}

Napi::ArrayBuffer expose(Napi::Env env, void* memory, size_t length) {
  // V8 counts the length of an external ArrayBuffer as external memory by itself.
  return Napi::ArrayBuffer::New(env, memory, length, [](Napi::Env, void*) {});
}

void detach(Napi::Env, Napi::Value buffer) {
  if (buffer.IsArrayBuffer()) buffer.As<Napi::ArrayBuffer>().Detach();
}

}  // namespace weft::addon
