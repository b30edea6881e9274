// Handles: what JavaScript holds of a native object. A handle is a JavaScript object with a type tag that owns a
// Handle; the Handle knows its kind, its parent, and whether it was closed. A wrong or closed one is an error with a
// code, never a crash. JavaScript thread of its environment only.
//
// Closing a handle closes its children first, as the C ABI does: a producer of a closed job is closed. ArrayBuffers
// over memory of the library are detached with the handle that they came from, so that stale use throws.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "weftline/weftline.h"
#include "weftline/weftline_server.h"

namespace weft::addon {

enum class Kind : uint64_t {
  kJob = 1,
  kCommunicator,
  kCollective,
  kTopic,
  kRegion,
  kProducer,
  kBatch,
  kConsumer,
  kServer,
  kProbe,
};
const char* kind_name(Kind kind);

struct Handle : std::enable_shared_from_this<Handle> {
  Handle(Kind handle_kind, void* native) : kind(handle_kind), pointer(native) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  virtual ~Handle() = default;
  // Detaches and forgets JavaScript's memory; called once, before the pointer is dropped.
  virtual void release(Napi::Env) {}
  // Closes the children, then this: afterwards `pointer` is null. The native object is the caller's business.
  void invalidate(Napi::Env env);
  void adopt(const std::shared_ptr<Handle>& child);

  Kind kind;
  void* pointer;  // null: closed
  std::weak_ptr<Handle> parent;
  std::vector<std::weak_ptr<Handle>> children;
};

// What wakes JavaScript. Native threads call wake(); the lock makes switching it off safe against one that runs.
struct Wake {
  std::mutex mutex;
  napi_threadsafe_function function = nullptr;  // null: off
  // The same, for the JavaScript thread alone, which must not wait for a ringer that has just woken it. null: off.
  napi_threadsafe_function function_here = nullptr;
  static void ring(void* context);
  void off();
};

struct Job : Handle {
  explicit Job(weft_job* job) : Handle(Kind::kJob, job) {}
  weft_job* native() const { return static_cast<weft_job*>(pointer); }
  void release(Napi::Env env) override;
  // Without JavaScript: from the environment's cleanup hook.
  void close_at_teardown();

  Wake wake;
  void* cleanup_context = nullptr;
  // Handles that wait for their completion, by tag: the server whose stop was asked for, consumers' and others' jobs.
  std::unordered_map<uint64_t, std::weak_ptr<Handle>> closing;
};

struct Region : Handle {
  explicit Region(weft_region* region) : Handle(Kind::kRegion, region) {}
  void release(Napi::Env env) override;
  Napi::Reference<Napi::Value> lent;      // the user's ArrayBuffer (registered)
  Napi::Reference<Napi::Value> borrowed;  // our ArrayBuffer over allocated memory
};

struct Batch : Handle {
  explicit Batch(weft_batch* batch) : Handle(Kind::kBatch, batch) {}
};

// An arena of a producer: the JavaScript face of a weft_batch_memory.
struct Arena {
  std::shared_ptr<Batch> batch;
  Napi::ObjectReference face;
};

struct Producer : Handle {
  explicit Producer(weft_producer* producer) : Handle(Kind::kProducer, producer) {}
  void release(Napi::Env env) override;
  std::unordered_map<const uint8_t*, Arena> arenas;  // by the address of their metadata
};

// Wraps a Handle into a tagged JavaScript object.
Napi::Value wrap(Napi::Env env, const std::shared_ptr<Handle>& handle);
// The Handle of a JavaScript value; null if it is none of that kind. Closed ones are returned too.
std::shared_ptr<Handle> unwrap(Napi::Env env, Napi::Value value, Kind kind);
// An external ArrayBuffer over memory of the library, which outlives it or detaches it.
Napi::ArrayBuffer expose(Napi::Env env, void* memory, size_t length);
void detach(Napi::Env env, Napi::Value buffer);

}  // namespace weft::addon
