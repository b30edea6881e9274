#include "background.h"

#include <system_error>

#include "environment.h"

namespace weft::addon {

Napi::Value Background::start(Napi::Env env, Work work) {
  auto* self = new Background(env, std::move(work));
  Napi::Value promise = self->promise_.value();
  Napi::String name = Napi::String::New(env, self->work_.name);
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, self, on_call,
                                      &self->function_) != napi_ok) {
    self->promise_.reject(Environment::of(env).make_error(WEFT_OUT_OF_MEMORY, "no thread-safe function could be made"));
    delete self;
    return promise;
  }
  napi_add_env_cleanup_hook(env, on_environment_end, self);
  try {
    self->thread_ = std::thread([self] {
      int code = self->work_.run(*self);
      std::string text = code != WEFT_OK ? weft_error_text(nullptr) : "";
      {
        std::lock_guard lock(self->mutex_);
        self->code_ = code;
        self->error_text_ = std::move(text);
        self->finished_ = true;
      }
      // Cannot fail but by the environment's end, which joins this thread and needs no call.
      (void)napi_call_threadsafe_function(self->function_, nullptr, napi_tsfn_nonblocking);
    });
  } catch (const std::system_error&) {
    self->code_ = WEFT_OUT_OF_MEMORY;
    self->error_text_ = std::string("no thread could be started for ") + self->work_.name;
    self->finished_ = true;
    self->settle(env);
  }
  return promise;
}

void Background::say(std::string line) {
  {
    std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
  }
  (void)napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
}

void Background::on_call(napi_env raw, napi_value, void* context, void*) {
  if (raw == nullptr) return;  // the environment ends: on_environment_end has freed everything
  Napi::Env env(raw);
  Napi::HandleScope scope(env);
  auto* self = static_cast<Background*>(context);
  bool finished = false;
  {
    std::lock_guard lock(self->mutex_);
    finished = self->finished_;
  }
  self->deliver_lines(env);
  if (finished) self->settle(env);
}

void Background::deliver_lines(Napi::Env env) {
  std::vector<std::string> lines;
  {
    std::lock_guard lock(mutex_);
    lines.swap(lines_);
  }
  for (const std::string& line : lines) {
    if (work_.report.IsEmpty()) return;
    work_.report.Call({Napi::String::New(env, line)});
    if (env.IsExceptionPending()) napi_fatal_exception(env, env.GetAndClearPendingException().Value());
  }
}

void Background::settle(Napi::Env env) {
  if (thread_.joinable()) thread_.join();
  napi_remove_env_cleanup_hook(env, on_environment_end, this);
  if (code_ == WEFT_OK) {
    promise_.resolve(work_.result ? work_.result(env) : env.Undefined());
  } else {
    promise_.reject(Environment::of(env).make_error(code_, error_text_.c_str()));
  }
  napi_threadsafe_function function = function_;
  delete this;
  // Calls that are still queued (say) are dropped by the abort: their context is gone.
  napi_release_threadsafe_function(function, napi_tsfn_abort);
}

void Background::on_environment_end(void* context) {
  auto* self = static_cast<Background*>(context);
  if (self->thread_.joinable()) self->thread_.join();
  if (self->code_ == WEFT_OK && self->work_.abandon) self->work_.abandon();
  napi_release_threadsafe_function(self->function_, napi_tsfn_abort);
  delete self;
}

}  // namespace weft::addon
