// Tickets, and the jobs that threads open with them. The table of tickets is the only thing that a process has once:
// a ticket is numbers, so that one that is stale or foreign is refused instead of followed.
#include "library/shared_job.h"

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/clock.h"
#include "base/random.h"
#include "library/consumer.h"
#include "library/producer.h"
#include "library/region.h"
#include "library/topic.h"

namespace weft::library {

namespace {
// Of all producers of a shared job together: its thread ends with it.
constexpr int64_t kFlushAllMs = 30'000;

struct Tickets {
  std::mutex mutex;  // guards all that follows; taken before no other
  pid_t pid = 0;
  wire::Uuid process{};
  uint64_t last_number = 0;
  std::map<uint64_t, weft_job*> jobs;
};

// Never destroyed: threads may come here while the process ends.
Tickets& tickets() {
  static Tickets* const only = new Tickets;
  return *only;
}

// Under the lock. A child of fork() has the memory of its parent's jobs, and none of their threads.
void know_process(Tickets& all) {
  if (all.pid == getpid()) return;
  all.pid = getpid();
  secure_random(std::as_writable_bytes(std::span(all.process)));
  all.jobs.clear();
  all.last_number = 0;
}

Status give_ticket(weft_job* job, weft_ticket* ticket) {
  Tickets& all = tickets();
  const std::lock_guard lock(all.mutex);
  know_process(all);
  if (job->ticket == 0) {
    const uint64_t number = all.last_number + 1;
    all.jobs.emplace(number, job);
    all.last_number = job->ticket = number;
  } else if (!all.jobs.contains(job->ticket)) {
    return Status(Code::CLOSED, "the job that this one shares was closed; join or attach again");
  }
  std::copy(all.process.begin(), all.process.end(), ticket->process);
  ticket->number = job->ticket;
  return {};
}

// What the new one has for itself stays fresh; MPI's communicators stay with the thread that joined.
void share(const weft_job& from, weft_job* made) {
  made->shared = true;
  made->ticket = from.ticket;
  made->settings = from.settings;
  made->place = from.place;
  made->place.world = made->place.group = made->place.application = nullptr;
  made->place.initialized_here = false;
  made->job_id = from.job_id;
  made->group = from.group;
  made->role = from.role;
  made->attached = from.attached;
  made->servers_known = from.servers_known;
  made->slots = from.slots;
  made->lane = from.lane;
  made->client = from.client;
  made->lane_started = true;
  made->echo = from.echo;
}

Status open_shared(const weft_ticket& ticket, weft_job** job) {
  Tickets& all = tickets();
  const std::lock_guard lock(all.mutex);
  know_process(all);
  if (!std::equal(all.process.begin(), all.process.end(), ticket.process)) {
    return Status(Code::INVALID_ARGUMENT,
                  "the ticket is of another process, or of none; open it in a thread of the process that shared the "
                  "job, and join or attach in other processes");
  }
  const auto found = all.jobs.find(ticket.number);
  if (found == all.jobs.end()) {
    if (ticket.number == 0 || ticket.number > all.last_number) {
      return Status(Code::INVALID_ARGUMENT, join_text("no job of this process was shared under the number ",
                                                      ticket.number, "; give the ticket that weft_job_share filled"));
    }
    return Status(Code::CLOSED, "the job of the ticket was closed; share one that is open");
  }
  weft_job* const made = make_job_memory();
  try {
    share(*found->second, made);
  } catch (...) {
    made->self.reset();
    throw;
  }
  *job = made;
  return {};
}

template <typename Handle>
Handle* first_of(weft_job* job, const std::set<Handle*>& opened) {
  const std::lock_guard lock(job->mutex);
  return opened.empty() ? nullptr : *opened.begin();
}
}  // namespace

void take_ticket_back(weft_job* job) {
  Tickets& all = tickets();
  const std::lock_guard lock(all.mutex);
  const auto found = all.jobs.find(job->ticket);
  if (found != all.jobs.end() && found->second == job) all.jobs.erase(found);
}

int close_shared(weft_job* job) {
  {
    const std::lock_guard lock(job->mutex);
    job->ends = true;
  }
  // Memory of the caller's that batches refer to is his again when they are answered.
  const uint64_t flushed_by_ns = deadline_after(kFlushAllMs);
  while (weft_producer* producer = first_of(job, job->producers)) {
    const uint64_t now_ns = Clock::system().monotonic_ns();
    const uint64_t left_ns = flushed_by_ns > now_ns ? flushed_by_ns - now_ns : 0;
    close_producer(producer, static_cast<int64_t>(left_ns / kNsPerMs));
  }
  // All at once: each may wait for a server.
  while (weft_consumer* consumer = first_of(job, job->consumers)) weft_consumer_close_async(consumer, 0);
  while (weft_topic* topic = first_of(job, job->topics)) weft_topic_close(topic);
  {
    // Each has its own deadline; until then a server may write, and outcomes refer to regions.
    std::unique_lock lock(job->mutex);
    job->closing_ended.wait(lock, [job] { return job->closings == 0; });
  }
  job->completions.set_wake(nullptr, nullptr);
  close_shared_regions(job);
  // The lane first: it calls the client until it ends.
  job->lane.reset();
  job->client.reset();
  job->kind = Kind::kClosed;
  job->self.reset();  // the last, unless an outcome is still waited for
  return WEFT_OK;
}

}  // namespace weft::library

using namespace weft::library;
using weft::Code;

extern "C" {

int weft_job_share(weft_job* job, weft_ticket* ticket) try {
  WEFT_CHECK_HANDLE(job);
  WEFT_CHECK_ARGUMENT(ticket);
  if (job->settings.server) {
    return report(Code::UNSUPPORTED, "the job of a server is not shared; attach to its group directory instead");
  }
  if (!job->lane_started) {
    return report(Code::UNSUPPORTED, "the job is not joined yet; share it after weft_join_finish");
  }
  return report(give_ticket(job, ticket));
}
WEFT_CATCH

int weft_open_shared(const weft_ticket* ticket, weft_job** job) try {
  WEFT_CHECK_ARGUMENT(ticket);
  WEFT_CHECK_ARGUMENT(job);
  *job = nullptr;
  return report(open_shared(*ticket, job));
}
WEFT_CATCH

}  // extern "C"
