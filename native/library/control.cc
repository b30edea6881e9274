// Requests to the control plane, and creating a topic through it.
#include "library/job.h"
#include "library/json_text.h"

using namespace weft::library;
using weft::Result;
using weft::Status;

namespace {
Status no_control_plane() {
  return Status(
      weft::Code::UNSUPPORTED,
      "a job in echo mode has no control plane: every name is a topic of it; join without echo to reach servers");
}
}  // namespace

extern "C" {

int weft_control_async(weft_job* job, uint32_t slot, const char* json, uint64_t length, int64_t timeout_ms,
                       uint64_t tag) try {
  WEFT_CHECK_HANDLE(job);
  WEFT_CHECK_ARGUMENT(json);
  if (job->echo) return report(no_control_plane());
  const uint64_t limit_ms = timeout_ms < 0 ? UINT32_MAX : static_cast<uint64_t>(timeout_ms);
  job->client->control(slot, std::string(json, length), limit_ms, [job = job->self, tag](Result<std::string> reply) {
    if (!reply.ok()) return job->completions.push_status(WEFT_COMPLETION_CONTROL, tag, reply.status());
    weft_completion completion{};
    completion.kind = WEFT_COMPLETION_CONTROL;
    completion.tag = tag;
    job->completions.push(completion, reply.value());
  });
  return WEFT_OK;
}
WEFT_CATCH

int weft_control(weft_job* job, uint32_t slot, const char* json, uint64_t length, int64_t timeout_ms,
                 char** reply) try {
  WEFT_CHECK_HANDLE(job);
  WEFT_CHECK_ARGUMENT(json);
  if (job->echo) return report(no_control_plane());
  const uint64_t limit_ms = timeout_ms < 0 ? UINT32_MAX : static_cast<uint64_t>(timeout_ms);
  auto waiter = std::make_shared<Waiter>();
  auto text = std::make_shared<std::string>();
  job->client->control(slot, std::string(json, length), limit_ms, [waiter, text](Result<std::string> answer) {
    if (answer.ok()) *text = answer.take();
    waiter->set(answer.status());
  });
  const Status status = waiter->wait(-1, "the control request");  // has its own deadline
  if (status.ok() && reply != nullptr) *reply = copy_text(*text);
  return report(status);
}
WEFT_CATCH

int weft_topic_create(weft_job* job, const char* name, const char* config, int64_t timeout_ms) try {
  WEFT_CHECK_HANDLE(job);
  WEFT_CHECK_ARGUMENT(name);
  const Status checked = weft::wire::check_name("topic", name);
  if (!checked.ok()) return report(checked);
  Result<std::string> request = topic_create_request(name, config);
  if (!request.ok()) return report(request.status());
  return weft_control(job, 0, request.value().data(), request.value().size(), timeout_ms, nullptr);
}
WEFT_CATCH

}  // extern "C"
