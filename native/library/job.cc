#include "library/job.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "base/random.h"
#include "library/consumer.h"
#include "library/echo.h"
#include "library/json_text.h"
#include "library/producer.h"
#include "library/region.h"
#include "library/server.h"
#include "library/shared_job.h"
#include "library/topic.h"

namespace weft::library {

namespace {
constexpr int64_t kFlushAtCloseMs = 30'000;
constexpr int64_t kServerStopMs = 60'000;
constexpr uint64_t kFinalizeMs = 10'000;

std::string from_environment(const char* given, const char* variable) {
  if (given != nullptr) return given;
  const char* value = std::getenv(variable);
  return value == nullptr ? "" : value;
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> items;
  std::istringstream stream(text);
  for (std::string item; std::getline(stream, item, ',');) {
    if (!item.empty()) items.push_back(item);
  }
  return items;
}
}  // namespace

Result<JobSettings> read_settings(const weft_join_options* given) {
  const weft_join_options defaults = WEFT_JOIN_OPTIONS_DEFAULT;
  weft_join_options options;
  WEFT_RETURN_IF_ERROR(read_options(given, defaults, &options));
  JobSettings settings;
  settings.echo = options.echo != 0;
  const std::string role = from_environment(options.role, "WEFTLINE_ROLE");
  if (!role.empty() && role != "client" && role != "server") {
    return Status(Code::INVALID_ARGUMENT, join_text("the role is '", role, "'; it must be client or server"));
  }
  settings.server = role == "server";
  settings.name = options.name != nullptr ? options.name : settings.server ? "server" : "client";
  WEFT_RETURN_IF_ERROR(wire::check_name("program", settings.name));
  settings.group = from_environment(options.group, "WEFTLINE_GROUP");
  settings.transports = split_list(from_environment(options.transports, "WEFTLINE_TRANSPORTS"));
  settings.bind_address = from_environment(options.bind_address, "WEFTLINE_BIND");
  if (options.timeout_ms <= 0 || options.delivery_timeout_ms <= 0) {
    return Status(Code::INVALID_ARGUMENT, "timeout_ms and delivery_timeout_ms must be positive");
  }
  settings.timeout_ms = std::min(static_cast<uint64_t>(options.timeout_ms), client::kTimeoutMsMax);
  settings.delivery_timeout_ms = std::min(static_cast<uint64_t>(options.delivery_timeout_ms), client::kTimeoutMsMax);
  settings.slots_expected = options.slots_expected;
  return settings;
}

void Waiter::set(Status status) {
  // Notified under the lock: the waiter may be gone right after.
  const std::lock_guard lock(mutex_);
  status_ = std::move(status);
  set_ = true;
  changed_.notify_all();
}

Status Waiter::wait(int64_t timeout_ms, const char* what) {
  const uint64_t deadline_ns = deadline_after(timeout_ms);
  std::unique_lock lock(mutex_);
  while (!set_) {
    if (!wait_until(changed_, lock, deadline_ns)) {
      return Status(Code::TIMED_OUT, join_text(what, " did not end within ", timeout_ms,
                                               " ms; it goes on: wait longer next time, or look at the server"));
    }
  }
  return status_;
}

uint64_t deadline_after(int64_t timeout_ms) {
  if (timeout_ms < 0) return UINT64_MAX;
  uint64_t deadline_ns = 0;
  const bool overflow = __builtin_mul_overflow(static_cast<uint64_t>(timeout_ms), kNsPerMs, &deadline_ns) ||
                        __builtin_add_overflow(deadline_ns, Clock::system().monotonic_ns(), &deadline_ns);
  return overflow ? UINT64_MAX : deadline_ns;
}

bool wait_until(std::condition_variable& changed, std::unique_lock<std::mutex>& lock, uint64_t deadline_ns) {
  // In slices: a deadline centuries away overflows the standard library's clock arithmetic.
  constexpr uint64_t kSliceNs = 3600 * kNsPerSecond;
  const uint64_t now_ns = Clock::system().monotonic_ns();
  if (now_ns >= deadline_ns) return false;
  changed.wait_for(lock, std::chrono::nanoseconds(std::min(kSliceNs, deadline_ns - now_ns)));
  return true;
}

weft_job* make_job_memory() {
  auto made = std::make_shared<weft_job>();
  made->self = made;
  return made.get();
}

Status job_closed() { return Status(Code::CLOSED, "the job was closed"); }

namespace {
void close_open_handles(weft_job* job) {
  // Each removes itself from the set.
  while (true) {
    weft_producer* producer = nullptr;
    {
      const std::lock_guard lock(job->mutex);
      if (job->producers.empty()) break;
      producer = *job->producers.begin();
    }
    close_producer(producer, kFlushAtCloseMs);
  }
  while (true) {
    weft_consumer* consumer = nullptr;
    {
      const std::lock_guard lock(job->mutex);
      if (job->consumers.empty()) break;
      consumer = *job->consumers.begin();
    }
    weft_consumer_close(consumer);
  }
  while (true) {
    weft_topic* topic = nullptr;
    {
      const std::lock_guard lock(job->mutex);
      if (job->topics.empty()) break;
      topic = *job->topics.begin();
    }
    weft_topic_close(topic);
  }
}

// The end of the MPI part. Collective, also for ranks that initialised MPI themselves: the others wait for them before
// they finalize. On those it only ends the membership.
Status close_mpi(MpiPlace& place) {
  if (place.mpi == nullptr || place.world == nullptr) return {};
  const weft_mpi_table& table = place.table();
  if (place.group != nullptr) table.comm_free(place.group);
  place.group = nullptr;
  // Refused, and left to MPI's end, while a collective that was given up is open on it.
  if (place.application != nullptr) static_cast<void>(table.comm_free(place.application));
  place.application = nullptr;
  weft_mpi_comm* world = place.world;
  place.world = nullptr;
  int32_t outcome = WEFT_MPI_FINALIZED;
  const int code = table.finalize(world, kFinalizeMs, &outcome);
  if (code != WEFT_MPI_OK) return mpi_status(table, code);
  if (outcome == WEFT_MPI_FINALIZED || outcome == WEFT_MPI_FINALIZE_NOT_OURS) return {};
  return Status(Code::RANK_LOST, join_text("MPI was not finalized: another rank did not close the job within ",
                                           kFinalizeMs / 1000, " s; end this process with _exit"));
}
}  // namespace

}  // namespace weft::library

weft::Status weft_job::start_lane() {
  if (lane_started) return {};
  weft::client::ClientOptions options;
  options.job = job_id;
  options.secret = secret;
  weft::secure_random(std::as_writable_bytes(std::span(options.process)));
  options.name = weft::join_text(settings.name, " rank ", place.rank, " pid ", static_cast<uint64_t>(getpid()));
  options.of_server = settings.server;
  options.request_timeout_ms = settings.timeout_ms;
  options.delivery_timeout_ms = settings.delivery_timeout_ms;
  client = std::make_shared<weft::client::Client>(*lane, options, slots);
  WEFT_RETURN_IF_ERROR(lane->start());
  lane_started = true;
  return {};
}

void weft_job::begin_closing() {
  const std::lock_guard lock(mutex);
  ++closings;
}

void weft_job::end_closing() {
  const std::lock_guard lock(mutex);
  if (--closings == 0) closing_ended.notify_all();
}

using weft::Status;
using namespace weft::library;

extern "C" {

int weft_close(weft_job* job) try {
  if (job == nullptr) return WEFT_OK;
  WEFT_CHECK_HANDLE(job);
  if (job->shared) return close_shared(job);
  take_ticket_back(job);
  close_open_handles(job);
  job->completions.set_wake(nullptr, nullptr);
  Status first_error;
  if (job->lane_started && job->client) {
    job->client->stop();
    if (job->echo) job->echo->close();
    close_open_handles(job);  // what was still being opened
  }
  if (job->server != nullptr) first_error = end_server(job->server, kServerStopMs);
  if (!end_server_threads(job->server)) {
    // A writer is inside a file that does not answer. It uses the broker and the lane when it comes back, so they stay;
    // the process can end. The caller's memory is not shown to anybody any more.
    close_regions(job, true);
    const Status mpi = close_mpi(job->place);
    static_cast<void>(mpi.ok());
    job->kind = Kind::kClosed;
    return report(weft::Code::TIMED_OUT,
                  "a thread of this server does not come back from its file; its memory stays until "
                  "the process ends: look at the device");
  }
  // No callback of this job's after this. Jobs that share the lane still post to it, and are told that it is closed.
  if (job->lane) job->lane->close();
  job->lane.reset();
  // Only now does nothing write any more: of a message that is half received, the rest comes whatever is registered.
  close_regions(job, false);
  release_server(job->server);
  job->client.reset();
  const Status mpi = close_mpi(job->place);
  if (first_error.ok()) first_error = mpi;
  job->kind = Kind::kClosed;
  job->self.reset();  // perhaps the last
  return report(first_error);
}
WEFT_CATCH

int weft_job_describe(const weft_job* job, weft_job_facts* facts) try {
  WEFT_CHECK_HANDLE(job);
  WEFT_CHECK_ARGUMENT(facts);
  weft_job_facts all{};
  all.size = sizeof all;
  const MpiPlace& place = job->place;
  all.rank = place.rank;
  all.world_size = place.size;
  all.node_rank = place.node_rank;
  all.node_size = place.node_size;
  all.group_rank = place.group_rank;
  all.group_size = place.group_size;
  all.server_count = static_cast<int32_t>(std::max(job->slots->count(), job->servers_known));
  all.role = job->role.c_str();
  all.name = job->settings.name.c_str();
  all.mpi = place.mpi == nullptr ? "none" : place.table().family;
  all.group = job->group.c_str();
  std::copy(job->job_id.begin(), job->job_id.end(), all.job_id);
  *facts = all;
  return WEFT_OK;
}
WEFT_CATCH

int64_t weft_job_group_communicator(const weft_job* job) try {
  if (!is_handle(job) || job->place.group == nullptr) return -1;
  int32_t handle = -1;
  const int code = job->place.table().comm_to_fortran(job->place.group, &handle);
  return code == WEFT_MPI_OK ? handle : -1;
} catch (...) {
  return -1;
}

int weft_job_counters(const weft_job* job, char** json) try {
  WEFT_CHECK_HANDLE(job);
  WEFT_CHECK_ARGUMENT(json);
  *json = copy_text(counters_json(*job));
  return WEFT_OK;
}
WEFT_CATCH

}  // extern "C"
