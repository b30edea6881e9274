#include "library/server.h"

#include <algorithm>
#include <system_error>
#include <thread>

#include "base/clock.h"
#include "group/group_directory.h"
#include "log/file.h"

namespace weft::library {

void ServerHost::on_control_request(uint64_t token, uint64_t session, std::string json) {
  weft_completion completion{};
  completion.kind = WEFT_COMPLETION_CONTROL_REQUEST;
  completion.tag = token;
  completion.value[0] = session;
  completions_.push(completion, json);
}

void ServerHost::on_log(broker::LogLevel level, std::string line) {
  weft_completion completion{};
  completion.kind = WEFT_COMPLETION_LOG;
  completion.value[0] = static_cast<uint64_t>(level);
  completions_.push(completion, line);
}

namespace {
constexpr uint64_t kThreadsEndMs = 5'000;

std::string job_text(const wire::Uuid& job) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : job) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// Slot and epoch from the data directory, which is locked first; without one the epoch is the time, which grows as
// well.
Status open_data(weft_server* server, const weft_server_options& options, uint32_t rank_among_servers) {
  server->force_lock = options.force_lock != 0;
  if (options.data == nullptr) {
    server->slot = options.slot >= 0 ? static_cast<uint32_t>(options.slot) : rank_among_servers;
    server->slot_epoch = static_cast<uint32_t>(Clock::system().realtime_ns() / kNsPerSecond);
    return {};
  }
  server->data = options.data;
  Result<std::unique_ptr<log::DirectoryLock>> lock =
      log::DirectoryLock::take(server->data, job_text(server->job->job_id), options.force_lock != 0);
  if (!lock.ok()) return lock.status();
  server->lock = lock.take();
  log::FileSystem& files = log::FileSystem::real();
  uint64_t slot = rank_among_servers;
  if (options.slot >= 0) {
    slot = static_cast<uint64_t>(options.slot);
  } else if (const Result<log::DataDirectoryInfo> before = log::read_data_directory(files, server->data); before.ok()) {
    slot = before.value().slot;
  }
  Result<log::DataDirectoryInfo> info = log::open_data_directory(files, server->data, slot);
  if (!info.ok()) return info.status();
  server->slot = static_cast<uint32_t>(info.value().slot);
  server->slot_epoch = static_cast<uint32_t>(info.value().slot_epoch);
  return {};
}

// Which group directory, and whether this is a slot that comes back into a job that is known there: only outside an MPI
// world does a server take up the id and secret that it finds, so that the clients of before go on.
Status find_group(weft_server* server, const weft_server_options& options) {
  weft_job* job = server->job;
  server->group = options.group != nullptr ? options.group : job->settings.group;
  if (server->group.empty() && server->slot == 0 && !server->data.empty()) server->group = server->data + "/group";
  if (server->group.empty()) return {};
  // Another data directory does not make it another slot: the clients of the one that runs would be led here.
  const Result<group::SlotRecord> rival = group::read_slot(server->group, server->slot);
  if (rival.ok() && group::proven_alive(rival.value().process)) {
    return Status(Code::DATA_DIRECTORY_LOCKED,
                  join_text("slot ", server->slot, " of the group directory '", server->group,
                            "' is served by process ", rival.value().process.pid,
                            " on this host; stop it, or give this server another slot or "
                            "group directory"));
  }
  if (job->place.size > 1) return {};
  const Result<group::JobRecord> record = group::read_job(server->group);
  if (!record.ok()) {
    const bool fresh = record.status().code() == Code::GROUP_MISSING;
    if (fresh && server->slot == 0) return {};
    return record.status();
  }
  job->job_id = record.value().job;
  job->secret = record.value().secret;
  server->rejoined = true;
  server->slot_count_before = record.value().slot_count;
  job->servers_known = std::max(server->slot_count_before, server->slot + 1);
  return {};
}

Status start(weft_server* server, const weft_server_options& options) {
  weft_job* job = server->job;
  WEFT_RETURN_IF_ERROR(open_data(server, options, static_cast<uint32_t>(job->place.group_rank)));
  WEFT_RETURN_IF_ERROR(find_group(server, options));
  broker::BrokerOptions broker_options;
  broker_options.slot = server->slot;
  broker_options.slot_epoch = server->slot_epoch;
  broker_options.secret = job->secret;
  broker_options.job = job->job_id;
  const uint32_t cores = std::max(1u, std::thread::hardware_concurrency());
  broker_options.threads = options.threads != 0 ? options.threads : std::min(4u, cores);
  if (options.slab_bytes != 0) broker_options.slab_bytes = options.slab_bytes;
  if (options.data_bytes_in_flight_max != 0) broker_options.data_bytes_in_flight_max = options.data_bytes_in_flight_max;
  server->host = std::make_unique<ServerHost>(job->completions);
  Result<std::unique_ptr<broker::Broker>> broker = broker::Broker::create(*job->lane, broker_options, *server->host);
  if (!broker.ok()) return broker.status();
  server->broker = broker.take();
  job->server = server;
  return job->start_lane();
}
}  // namespace

Status end_server(weft_server* server, int64_t timeout_ms) {
  const std::lock_guard lock(server->stop_mutex);
  if (server->stopped) return {};
  server->stopped = true;
  Status status;
  if (server->job->lane_started) {
    auto waiter = std::make_shared<Waiter>();
    server->broker->stop(static_cast<uint64_t>(std::clamp<int64_t>(timeout_ms, 0, INT32_MAX)),
                         [waiter](Status stopped) { waiter->set(std::move(stopped)); });
    status = waiter->wait(-1, "stopping the server");  // has its own deadline
  }
  if (server->published_group.empty()) return status;
  // Only our own: another process may have taken the slot over, or another job the directory.
  const std::string& directory = server->published_group;
  const wire::Uuid& job = server->job->job_id;
  const Result<group::SlotRecord> record = group::read_slot(directory, server->slot);
  if (!record.ok() || record.value().job != job || record.value().epoch != server->slot_epoch) return status;
  Status removed = group::remove_slot(directory, server->slot);
  if (removed.ok() && server->slot == 0) {
    const Result<group::JobRecord> job_record = group::read_job(directory);
    if (job_record.ok() && job_record.value().job == job) removed = group::remove_job(directory);
  }
  return status.ok() ? removed : status;
}

bool end_server_threads(weft_server* server) {
  if (server == nullptr) return true;
  std::vector<std::thread> stoppers;
  {
    const std::lock_guard lock(server->stoppers_mutex);
    stoppers.swap(server->stoppers);
  }
  for (std::thread& stopper : stoppers) stopper.join();
  return !server->broker || server->broker->end_threads(kThreadsEndMs);
}

void release_server(weft_server* server) {
  if (server == nullptr) return;
  server->kind = Kind::kClosed;
  delete server;
}

}  // namespace weft::library

using namespace weft::library;
using weft::Status;

extern "C" {

int weft_server_start(weft_job* job, const weft_server_options* options, weft_server** server) try {
  WEFT_CHECK_HANDLE(job);
  WEFT_CHECK_ARGUMENT(server);
  *server = nullptr;
  if (!job->settings.server)
    return report(weft::Code::INVALID_ARGUMENT, "this rank joined as a client; join with the role server");
  if (job->server != nullptr || job->echo)
    return report(weft::Code::INVALID_ARGUMENT, "this job hosts a server already, or is in echo mode");
  const weft_server_options defaults = WEFT_SERVER_OPTIONS_DEFAULT;
  weft_server_options all;
  const Status read = read_options(options, defaults, &all);
  if (!read.ok()) return report(read);
  auto owned = std::make_unique<weft_server>();
  weft_server* const made = owned.get();
  made->job = job;
  Status started;
  try {
    started = start(made, all);
  } catch (...) {
    started = caught_status();
  }
  // Once the broker is the lane's handler it lives until the lane ends, in weft_close.
  if (job->server == made) static_cast<void>(owned.release());
  if (!started.ok()) return report(started);
  *server = made;
  return WEFT_OK;
}
WEFT_CATCH

int weft_server_stop(weft_server* server, int64_t timeout_ms) try {
  WEFT_CHECK_HANDLE(server);
  return report(end_server(server, timeout_ms < 0 ? INT32_MAX : timeout_ms));
}
WEFT_CATCH

int weft_server_stop_async(weft_server* server, int64_t timeout_ms, uint64_t tag) try {
  WEFT_CHECK_HANDLE(server);
  // A thread of its own: it ends with file I/O, and neither the caller nor the progress thread may wait for that.
  // Joined in weft_close.
  const std::lock_guard lock(server->stoppers_mutex);
  try {
    server->stoppers.emplace_back([server, timeout_ms, tag] {
      const Status stopped = end_server(server, timeout_ms < 0 ? INT32_MAX : timeout_ms);
      server->job->completions.push_status(WEFT_COMPLETION_SERVER, tag, stopped);
    });
  } catch (const std::system_error& error) {
    return report(weft::Code::LIMIT,
                  weft::join_text("the thread that stops the server could not be started: ", error.what(),
                                  "; raise the limit of processes or threads, or use weft_close"));
  }
  return WEFT_OK;
}
WEFT_CATCH

int weft_server_describe(const weft_server* server, weft_server_facts* facts) try {
  WEFT_CHECK_HANDLE(server);
  WEFT_CHECK_ARGUMENT(facts);
  weft_server_facts all{};
  all.size = sizeof all;
  all.slot = server->slot;
  all.slot_epoch = server->slot_epoch;
  all.session_count = static_cast<uint32_t>(server->broker->counters().sessions_now);
  all.data = server->data.c_str();
  all.group = server->group.c_str();
  *facts = all;
  return WEFT_OK;
}
WEFT_CATCH

}  // extern "C"
