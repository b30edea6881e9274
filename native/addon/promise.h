// A promise that this side settles. Node-API makes none in a worker thread that is being terminated: whoever would have
// waited is gone then, and settling it does nothing. JavaScript thread.
#pragma once

#include <napi.h>

namespace weft::addon {

class Promise {
 public:
  explicit Promise(Napi::Env env) : env_(env) {
    if (napi_create_promise(env, &deferred_, &promise_) == napi_ok) return;
    deferred_ = nullptr;
    promise_ = nullptr;
  }

  // For JavaScript, in the call that made it.
  Napi::Value value() const { return promise_ == nullptr ? env_.Undefined() : Napi::Value(env_, promise_); }

  void resolve(Napi::Value result) { settle(napi_resolve_deferred, result); }
  void reject(Napi::Value error) { settle(napi_reject_deferred, error); }

 private:
  void settle(decltype(&napi_resolve_deferred) how, Napi::Value with) {
    if (deferred_ == nullptr) return;
    (void)how(env_, deferred_, with);  // fails only where JavaScript runs no more
    deferred_ = nullptr;
  }

  Napi::Env env_;
  napi_deferred deferred_ = nullptr;
  napi_value promise_ = nullptr;
};

}  // namespace weft::addon
