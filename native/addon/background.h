// A blocking call of the library on a thread of its own, with a promise for its outcome. libuv's pool is the user's,
// and a thread per call is cheap for calls that are made once in a program's life (attach, close, verify, doctor).
// The environment's end joins the thread first (it is bounded by the call's own time limit) and undoes what it made.
#pragma once

#include <napi.h>

#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "promise.h"

namespace weft::addon {

class Background {
 public:
  // All but `run` are called on the JavaScript thread.
  struct Work {
    const char* name;
    std::function<int(Background&)> run;           // on the thread; returns a code
    std::function<Napi::Value(Napi::Env)> result;  // after WEFT_OK; may be empty: undefined
    std::function<void()> abandon;                 // the environment ended: undo what `run` made; may be empty
    Napi::FunctionReference report;                // gets the lines of say(); may be empty
  };
  static Napi::Value start(Napi::Env env, Work work);
  // From the thread: a line for `report`.
  void say(std::string line);

 private:
  Background(Napi::Env env, Work work) : work_(std::move(work)), promise_(env) {}
  static void on_call(napi_env env, napi_value callback, void* context, void* data);
  static void on_environment_end(void* context);
  void deliver_lines(Napi::Env env);
  void settle(Napi::Env env);

  Work work_;
  Promise promise_;
  napi_threadsafe_function function_ = nullptr;
  std::thread thread_;
  std::mutex mutex_;
  std::vector<std::string> lines_;
  bool finished_ = false;
  int code_ = 0;
  std::string error_text_;
};

}  // namespace weft::addon
