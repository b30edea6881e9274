// The wake-up of JavaScript and the taking of completions: one thread-safe function per job, rung at most once per
// burst; one call takes a burst into memory that JavaScript owns.
#include <algorithm>
#include <cstring>

#include "call.h"
#include "modules.h"

namespace weft::addon {
namespace {

// As JavaScript reads it (src/native/completions.ts).
struct Record {
  uint32_t kind;
  int32_t code;
  uint64_t tag;
  uint64_t value[4];
  uint32_t has_text;
  uint32_t has_handle;
  uint64_t reserved;
};
static_assert(sizeof(Record) == 64);

constexpr uint32_t kRecordsMax = 256;

void on_wake(napi_env env, napi_value callback, void*, void*) {
  if (env == nullptr) return;  // the environment ends
  napi_value undefined = nullptr;
  napi_get_undefined(env, &undefined);
  // An exception becomes an uncaught one by itself: Node looks after this call.
  (void)napi_call_function(env, undefined, callback, 0, nullptr, nullptr);
}

Napi::Value job_set_wake(const Napi::CallbackInfo& info) {
  Call call(info, "jobSetWake");
  Napi::Env env = info.Env();
  auto job = call.handle<Job>(0, Kind::kJob);
  if (!call.at(1).IsFunction()) call.bad(1, "a function");
  if (!call.ok()) return env.Undefined();
  if (job->wake.function != nullptr)
    return call.fail(WEFT_INVALID_ARGUMENT, "jobSetWake: the job has a wake-up already");
  napi_value name = Napi::String::New(env, "weftline");
  napi_threadsafe_function function = nullptr;
  if (napi_create_threadsafe_function(env, call.at(1), nullptr, name, 0, 1, nullptr, nullptr, nullptr, on_wake,
                                      &function) != napi_ok) {
    return call.fail(WEFT_OUT_OF_MEMORY, "jobSetWake: no thread-safe function could be made");
  }
  napi_unref_threadsafe_function(env, function);
  {
    std::lock_guard lock(job->wake.mutex);
    job->wake.function = function;
    job->wake.function_here = function;
  }
  // Its hook must run before the one that the thread-safe function has just added.
  Environment::unwatch_job(env, *job);
  Environment::watch_job(env, job);
  return call.done(weft_set_wake(job->native(), Wake::ring, &job->wake), job->native());
}

Napi::Value job_set_referenced(const Napi::CallbackInfo& info) {
  Call call(info, "jobSetReferenced");
  auto job = call.handle<Job>(0, Kind::kJob);
  if (!call.ok()) return info.Env().Undefined();
  const napi_threadsafe_function function = job->wake.function_here;
  if (function != nullptr) {
    if (call.flag(1))
      napi_ref_threadsafe_function(info.Env(), function);
    else
      napi_unref_threadsafe_function(info.Env(), function);
  }
  return info.Env().Undefined();
}

// The handle that a completion brings; undefined if it brings none.
Napi::Value bring_handle(Napi::Env env, const std::shared_ptr<Job>& job, const weft_completion& completion) {
  if (completion.code != WEFT_OK || completion.handle == nullptr) return env.Undefined();
  std::shared_ptr<Handle> handle;
  switch (completion.kind) {
    case WEFT_COMPLETION_TOPIC:
      handle = std::make_shared<Handle>(Kind::kTopic, completion.handle);
      break;
    case WEFT_COMPLETION_PRODUCER:
      handle = std::make_shared<Producer>(static_cast<weft_producer*>(completion.handle));
      break;
    case WEFT_COMPLETION_CONSUMER:
      handle = std::make_shared<Handle>(Kind::kConsumer, completion.handle);
      break;
    default:
      return env.Undefined();
  }
  job->adopt(handle);
  return wrap(env, handle);
}

void end_closing(Napi::Env env, Job& job, const weft_completion& completion) {
  auto found = job.closing.find(completion.tag);
  if (found == job.closing.end()) return;
  auto handle = found->second.lock();
  job.closing.erase(found);
  if (handle != nullptr && completion.code == WEFT_OK) handle->invalidate(env);
}

Napi::Value job_poll(const Napi::CallbackInfo& info) {
  Call call(info, "jobPoll");
  Napi::Env env = info.Env();
  auto job = call.handle<Job>(0, Kind::kJob);
  auto memory = call.bytes(1);
  if (!call.at(2).IsArray()) call.bad(2, "an array");
  if (!call.ok()) return env.Undefined();
  Napi::Array extras = call.at(2).As<Napi::Array>();
  auto* records = reinterpret_cast<Record*>(memory.data());
  weft_completion completions[kRecordsMax];
  auto room = static_cast<uint32_t>(std::min<size_t>(memory.size() / sizeof(Record), kRecordsMax));
  uint32_t count = weft_poll(job->native(), completions, room);
  for (uint32_t index = 0; index < count; index++) {
    weft_completion& completion = completions[index];
    Record& record = records[index];
    record = Record{};
    record.kind = completion.kind;
    record.code = completion.code;
    record.tag = completion.tag;
    std::memcpy(record.value, completion.value, sizeof record.value);
    Napi::Value handle = bring_handle(env, job, completion);
    if (!handle.IsUndefined()) {
      record.has_handle = 1;
      extras.Set(index, handle);
    } else if (completion.text != nullptr) {
      record.has_text = 1;
      extras.Set(index, Napi::String::New(env, completion.text, completion.text_length));
    }
    weft_free(completion.text);
    if (completion.kind == WEFT_COMPLETION_SERVER) end_closing(env, *job, completion);
  }
  return Napi::Number::New(env, count);
}

}  // namespace

void add_completions(Napi::Env env, Napi::Object exports) {
  add<job_set_wake>(env, exports, "jobSetWake");
  add<job_set_referenced>(env, exports, "jobSetReferenced");
  add<job_poll>(env, exports, "jobPoll");
}

}  // namespace weft::addon
