// Joining, attaching, leaving. weft_join_begin, weft_join_finish and the close after them run on the JavaScript thread:
// MPI demands one thread. attach and its close run in the background, as the close of a shared job does.
#include "background.h"
#include "call.h"
#include "join_options.h"
#include "modules.h"
#include "promise.h"

namespace weft::addon {
namespace {

Napi::Value make_job(Napi::Env env, weft_job* native) {
  auto job = std::make_shared<Job>(native);
  Environment::watch_job(env, job);
  return wrap(env, job);
}

Napi::Value join_begin(const Napi::CallbackInfo& info) {
  Call call(info, "joinBegin");
  JoinOptions options;
  read_join_options(call, 0, options);
  if (!call.ok()) return info.Env().Undefined();
  weft_job* job = nullptr;
  int code = weft_join_begin(WEFT_COMM_WORLD, &options.options, &job);
  if (code != WEFT_OK) return call.fail(code);
  return make_job(info.Env(), job);
}

Napi::Value join_finish(const Napi::CallbackInfo& info) {
  Call call(info, "joinFinish");
  auto* job = call.native<weft_job>(0, Kind::kJob);
  weft_server* server = call.missing(1) ? nullptr : call.native<weft_server>(1, Kind::kServer);
  bool failed = !call.missing(2);
  std::string failure = failed ? call.text(2) : std::string();
  if (!call.ok()) return info.Env().Undefined();
  return call.done(weft_join_finish(job, server, failed ? failure.c_str() : nullptr), job);
}

Napi::Value attach(const Napi::CallbackInfo& info) {
  Call call(info, "attach");
  bool has_group = !call.missing(0);
  std::string group = has_group ? call.text(0) : std::string();
  auto options = std::make_shared<JoinOptions>();
  read_join_options(call, 1, *options);
  if (!call.ok()) return info.Env().Undefined();
  auto job = std::make_shared<weft_job*>(nullptr);
  Background::Work work{};
  work.name = "attach";
  work.run = [=](Background&) {
    return weft_attach(has_group ? group.c_str() : nullptr, &options->options, job.get());
  };
  work.result = [job](Napi::Env env) { return make_job(env, *job); };
  work.abandon = [job] { (void)weft_close(*job); };
  return Background::start(info.Env(), std::move(work));
}

Napi::Value job_share(const Napi::CallbackInfo& info) {
  Call call(info, "jobShare");
  auto* job = call.native<weft_job>(0, Kind::kJob);
  if (!call.ok()) return info.Env().Undefined();
  weft_ticket ticket{};
  int code = weft_job_share(job, &ticket);
  if (code != WEFT_OK) return call.fail(code, job);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("process", Napi::Buffer<uint8_t>::Copy(info.Env(), ticket.process, sizeof ticket.process));
  result.Set("number", static_cast<double>(ticket.number));
  return result;
}

Napi::Value open_shared(const Napi::CallbackInfo& info) {
  Call call(info, "openShared");
  Napi::Object object = call.object(0);
  weft_ticket ticket{};
  call.member_uuid(object, "process", ticket.process);
  call.member(object, "number", ticket.number);
  if (!call.ok()) return info.Env().Undefined();
  weft_job* job = nullptr;
  int code = weft_open_shared(&ticket, &job);
  if (code != WEFT_OK) return call.fail(code);
  return make_job(info.Env(), job);
}

Napi::Value job_close(const Napi::CallbackInfo& info) {
  Call call(info, "jobClose");
  Napi::Env env = info.Env();
  auto job = std::static_pointer_cast<Job>(unwrap(env, call.at(0), Kind::kJob));
  if (job == nullptr) return call.handle<Job>(0, Kind::kJob), env.Undefined();
  bool blocking = call.flag(1);
  weft_job* native = job->native();
  if (native != nullptr) {
    Environment::unwatch_job(env, *job);
    job->invalidate(env);
  }
  if (native == nullptr || blocking) {
    Promise closed(env);
    int code = weft_close(native);
    if (code == WEFT_OK)
      closed.resolve(env.Undefined());
    else
      closed.reject(Environment::of(env).make_error(code, weft_error_text(nullptr)));
    return closed.value();
  }
  Background::Work work{};
  work.name = "jobClose";
  work.run = [native](Background&) { return weft_close(native); };
  return Background::start(env, std::move(work));
}

Napi::Value job_facts(const Napi::CallbackInfo& info) {
  Call call(info, "jobFacts");
  auto* job = call.native<weft_job>(0, Kind::kJob);
  if (!call.ok()) return info.Env().Undefined();
  weft_job_facts facts{};
  facts.size = sizeof facts;
  int code = weft_job_describe(job, &facts);
  if (code != WEFT_OK) return call.fail(code, job);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("rank", facts.rank);
  result.Set("worldSize", facts.world_size);
  result.Set("nodeRank", facts.node_rank);
  result.Set("nodeSize", facts.node_size);
  result.Set("groupRank", facts.group_rank);
  result.Set("groupSize", facts.group_size);
  result.Set("serverCount", facts.server_count);
  result.Set("role", facts.role != nullptr ? facts.role : "");
  result.Set("name", facts.name != nullptr ? facts.name : "");
  result.Set("mpi", facts.mpi != nullptr ? facts.mpi : "none");
  result.Set("group", facts.group != nullptr ? facts.group : "");
  result.Set("jobId", Napi::Buffer<uint8_t>::Copy(info.Env(), facts.job_id, sizeof facts.job_id));
  return result;
}

Napi::Value job_group_communicator(const Napi::CallbackInfo& info) {
  Call call(info, "jobGroupCommunicator");
  auto* job = call.native<weft_job>(0, Kind::kJob);
  if (!call.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), static_cast<double>(weft_job_group_communicator(job)));
}

Napi::Value job_counters(const Napi::CallbackInfo& info) {
  Call call(info, "jobCounters");
  auto* job = call.native<weft_job>(0, Kind::kJob);
  if (!call.ok()) return info.Env().Undefined();
  char* json = nullptr;
  int code = weft_job_counters(job, &json);
  if (code != WEFT_OK) return call.fail(code, job);
  Napi::Value text = Napi::String::New(info.Env(), json);
  weft_free(json);
  return text;
}

}  // namespace

std::shared_ptr<Job> job_of(const std::shared_ptr<Handle>& handle) {
  std::shared_ptr<Handle> at = handle;
  while (at != nullptr && at->kind != Kind::kJob) at = at->parent.lock();
  return std::static_pointer_cast<Job>(at);
}

void add_job(Napi::Env env, Napi::Object exports) {
  add<join_begin>(env, exports, "joinBegin");
  add<join_finish>(env, exports, "joinFinish");
  add<attach>(env, exports, "attach");
  add<job_share>(env, exports, "jobShare");
  add<open_shared>(env, exports, "openShared");
  add<job_close>(env, exports, "jobClose");
  add<job_facts>(env, exports, "jobFacts");
  add<job_group_communicator>(env, exports, "jobGroupCommunicator");
  add<job_counters>(env, exports, "jobCounters");
}

}  // namespace weft::addon
