// One JavaScript environment (the main thread or a worker) that loaded the addon: its error factory, and the end of its
// jobs. The addon has no static state: several environments of a process load it without knowing of each other. What
// they share, they share through a ticket of the library (weft_job_share), each with a weft_job of its own.
//
// Teardown. JavaScript's own order is: close what you opened, then the event loop ends. Where a program forgot that,
// the environment's cleanup hooks do it, last opened first, before JavaScript's memory is freed:
//   1. A background thread is joined (bounded by the time limit of its call); what it made is closed.
//   2. An open job: the wake-up is switched off (weft_set_wake, then the lock that a running wake-up holds),
//      the job is closed (weft_close: afterwards no native thread touches memory of this environment), and the
//      thread-safe function is released.
// In a worker that is being terminated JavaScript cannot be called any more while the addon may still be inside a call:
// every N-API call fails then, and the addon takes that for a bad argument and returns; the hooks close what is open.
// Hooks do not run on process.exit() of the main thread. Then JavaScript's memory stays mapped until the process is
// gone, a late wake-up only writes to an event descriptor, and nothing here has a destructor that exit() would call.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "weftline/weftline.h"

namespace weft::addon {

struct Job;

class Environment {
 public:
  explicit Environment(Napi::Env env) : env_(env) {}
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  Napi::Env env() const { return env_; }
  void set_error_factory(Napi::Function factory) { error_factory_ = Napi::Persistent(factory); }
  // An Error with code, canRetry and next; never fails (a broken factory gives a plain Error).
  Napi::Value make_error(int code, const char* text) const;

  // Has the job closed at the environment's end; not any more.
  static void watch_job(Napi::Env env, const std::shared_ptr<Job>& job);
  static void unwatch_job(Napi::Env env, Job& job);

 private:
  Napi::Env env_;
  Napi::FunctionReference error_factory_;
};

}  // namespace weft::addon
