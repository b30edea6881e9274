// Each part adds its functions to the module's exports.
#pragma once

#include <napi.h>

#include <memory>

#include "handle.h"

namespace weft::addon {

void add_job(Napi::Env env, Napi::Object exports);
void add_completions(Napi::Env env, Napi::Object exports);
void add_communicator(Napi::Env env, Napi::Object exports);
void add_topic(Napi::Env env, Napi::Object exports);
void add_region(Napi::Env env, Napi::Object exports);
void add_producer(Napi::Env env, Napi::Object exports);
void add_consumer(Napi::Env env, Napi::Object exports);
void add_server(Napi::Env env, Napi::Object exports);
void add_doctor(Napi::Env env, Napi::Object exports);

template <Napi::Value (*function)(const Napi::CallbackInfo&)>
void add(Napi::Env env, Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<function>(env, name));
}

// What is left of the handle of a job (a child's parent chain leads to it); null once the job is gone.
std::shared_ptr<Job> job_of(const std::shared_ptr<Handle>& handle);

}  // namespace weft::addon
