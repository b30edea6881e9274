#include "environment.h"

#include "handle.h"

namespace weft::addon {
namespace {

// The cleanup hook of one job. It is added when the job's thread-safe function exists: hooks run in reverse order, so
// it runs before Node closes that function.
void close_forgotten_job(void* context) {
  auto* job = static_cast<std::shared_ptr<Job>*>(context);
  (*job)->close_at_teardown();
  delete job;
}

}  // namespace

Napi::Value Environment::make_error(int code, const char* text) const {
  const char* name = weft_code_name(code);
  const char* meaning = weft_code_meaning(code);
  const char* next = weft_code_next(code);
  const char* words = text != nullptr && text[0] != '\0' ? text : (meaning != nullptr ? meaning : "unknown code");
  if (name == nullptr) name = "WEFT_INTERNAL";
  if (!error_factory_.IsEmpty()) {
    Napi::Value made =
        error_factory_.Call({Napi::String::New(env_, name), Napi::Number::New(env_, code),
                             Napi::String::New(env_, words), Napi::Boolean::New(env_, weft_code_can_retry(code) != 0),
                             Napi::String::New(env_, next != nullptr ? next : "")});
    if (!env_.IsExceptionPending() && !made.IsEmpty()) return made;
    env_.GetAndClearPendingException();
  }
  Napi::Error error = Napi::Error::New(env_, words);
  error.Set("code", Napi::String::New(env_, name));
  return error.Value();
}

void Environment::watch_job(Napi::Env env, const std::shared_ptr<Job>& job) {
  job->cleanup_context = new std::shared_ptr<Job>(job);
  napi_add_env_cleanup_hook(env, close_forgotten_job, job->cleanup_context);
}

void Environment::unwatch_job(Napi::Env env, Job& job) {
  if (job.cleanup_context == nullptr) return;
  napi_remove_env_cleanup_hook(env, close_forgotten_job, job.cleanup_context);
  delete static_cast<std::shared_ptr<Job>*>(job.cleanup_context);
  job.cleanup_context = nullptr;
}

}  // namespace weft::addon
