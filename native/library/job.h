// What a weft_job is: the lane, the client side, the place in the MPI world, and what is open on it.
// A shared one, of another thread (shared_job.h), has the lane and the client side together with the job that joined,
// and the rest for itself. When that job is closed the client is stopped and the lane has left the network; both stay
// until the last shared job is closed, so that whatever it still asks for is answered with WEFT_CLOSED.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "client/client.h"
#include "fabric/fabric.h"
#include "library/completions.h"
#include "library/errors.h"
#include "library/slot_table.h"
#include "mpi/loader.h"
#include "weftline/weftline_server.h"
#include "wire/handshake.h"

namespace weft::library {

class EchoTopics;

// What the options say after the environment was asked.
struct JobSettings {
  bool echo = false;
  bool server = false;
  std::string name;
  std::string group;
  std::vector<std::string> transports;
  std::string bind_address;
  uint64_t timeout_ms = 30'000;
  uint64_t delivery_timeout_ms = 120'000;
  uint32_t slots_expected = 0;
};
Result<JobSettings> read_settings(const weft_join_options* options);

// The communicators that a join makes; all freed at close.
struct MpiPlace {
  const LoadedMpi* mpi = nullptr;
  weft_mpi_comm* world = nullptr;
  weft_mpi_comm* group = nullptr;  // of the ranks of one name
  // All ranks, for the application's own collectives; made in the join, so that asking for it waits for nobody.
  weft_mpi_comm* application = nullptr;
  bool initialized_here = false;
  int32_t rank = 0, size = 1, node_rank = 0, node_size = 1, group_rank = 0, group_size = 1;
  // What the join exchanged over MPI: calls, bytes that this rank gave, and got (those of all ranks).
  uint64_t exchanges = 0, exchanged_bytes_given = 0, exchanged_bytes_got = 0;
  const weft_mpi_table& table() const { return *mpi->table; }
};

// Of whatever was being opened while the job was closed.
Status job_closed();

// Waits for something that ends on the progress thread.
class Waiter {
 public:
  void set(Status status);
  // WEFT_TIMED_OUT after timeout_ms; negative: without limit.
  Status wait(int64_t timeout_ms, const char* what);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
  Status status_;
};

// A fresh one, which holds itself until it is closed.
weft_job* make_job_memory();

// Now plus a timeout of the C API as a monotonic deadline; UINT64_MAX for WEFT_FOREVER.
uint64_t deadline_after(int64_t timeout_ms);
bool wait_until(std::condition_variable& changed, std::unique_lock<std::mutex>& lock, uint64_t deadline_ns);

}  // namespace weft::library

struct weft_job {
  static constexpr auto kKind = weft::library::Kind::kJob;
  std::atomic<weft::library::Kind> kind{kKind};

  weft::library::JobSettings settings;
  weft::library::MpiPlace place;
  weft::wire::Uuid job_id{};
  weft::wire::Secret secret{};
  bool secret_known = false;
  std::string group;  // directory in use, "" if none
  std::string role;
  bool attached = false;
  uint32_t servers_known = 0;  // by what the ranks or the group directory said, before any of them is connected

  weft::library::Completions completions;
  std::vector<uint32_t> early_slots;  // a client connects to these while it joins
  std::shared_ptr<weft::library::SlotTable> slots = std::make_shared<weft::library::SlotTable>();
  std::shared_ptr<weft::fabric::Lane> lane;
  std::shared_ptr<weft::client::Client> client;
  bool lane_started = false;
  weft_server* server = nullptr;
  std::shared_ptr<weft::library::EchoTopics> echo;

  bool shared = false;  // of another thread: neither joined nor attached
  uint64_t ticket = 0;  // under which others may share it; 0: none was asked for. Under the lock of all tickets
  // Until it is closed. Whoever waits for an outcome on the progress thread holds it as well.
  std::shared_ptr<weft_job> self;

  std::mutex mutex;       // guards what is open, and what follows up to the sets
  bool ends = false;      // what is opened from now on is closed again at once
  uint32_t closings = 0;  // of ..._close_async, under way
  std::condition_variable closing_ended;
  std::set<weft_producer*> producers;
  std::set<weft_consumer*> consumers;
  std::set<weft_topic*> topics;
  std::set<weft_region*> regions;

  // Puts it among what is open. False: the job is being closed, and it must be closed as well.
  template <typename Handle>
  bool adopt(std::set<Handle*>& opened, Handle* made) {
    const std::lock_guard lock(mutex);
    if (!ends) opened.insert(made);
    return !ends;
  }
  void begin_closing();
  void end_closing();

  // Opens the client side on the lane and starts it, once; job id and secret are known.
  weft::Status start_lane();
};
