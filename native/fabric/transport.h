// The seam inside the fabric: one way to reach other lanes (in this process, over shared memory, over a libfabric
// provider). A Lane owns several and gives each peer one.
//
// Threads: everything on the lane's progress thread, except register_memory(), the destructor of a Registration, the
// constant descriptions, and counters(). A transport never calls the lane's events from inside send() or submit(); only
// from progress() and from its descriptors' events.
//
// What a transport promises: messages of one link arrive whole, at most once; in any order, since the lane numbers
// them. Each operation that was taken completes exactly once, whatever becomes of the link. A link that was closed
// stays in memory until its last operation completed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "fabric/address.h"
#include "fabric/fabric.h"
#include "fabric/protocol.h"

namespace weft::fabric {

// Local memory as one transport knows it; its destructor takes the access back.
class Registration {
 public:
  virtual ~Registration() = default;
  RemoteMemory remote{};
};

// One peer as a transport knows it.
class Link {
 public:
  virtual ~Link() = default;
  PeerId peer = 0;  // the lane's; 0 when the lane has forgotten it
};

struct RegionCore;

// One piece of a transfer, as long as a transport takes. Owned by the lane's pool; the transport's from submit() until
// on_operation_done().
struct Operation {
  alignas(16) std::byte context[128] = {};  // the provider's
  Link* link = nullptr;
  bool is_write = false;
  std::byte* local = nullptr;
  uint64_t length = 0;
  const Registration* local_registration = nullptr;
  RemoteMemory remote{};
  uint64_t remote_at = 0;
  Operation* next = nullptr;

  // The lane's.
  Transfer* transfer = nullptr;       // nullptr: the transfer was given up, the memory is quarantined
  Operation* sibling_next = nullptr;  // of the same transfer
  Operation* sibling_previous = nullptr;
  PeerId peer = 0;
  std::shared_ptr<RegionCore> region;
};

enum class Outcome {
  kTaken,
  kAgain,   // full now; try again after some progress
  kFailed,  // the link is of no use any more; Transport::failure() says why
};

// What a transport tells the lane.
class TransportEvents {
 public:
  virtual ~TransportEvents() = default;
  // `link`: over which it came, nullptr where the transport does not know. The bytes are valid during the call.
  virtual void on_wire_message(class Transport& transport, Link* link, std::span<const std::byte> wire) = 0;
  virtual void on_operation_done(class Transport& transport, Operation* operation, const Status& status) = 0;
  // `revoked`: nothing that the peer began can touch our memory any more.
  virtual void on_link_lost(class Transport& transport, Link* link, const Status& reason, bool revoked) = 0;
  // A link that no peer has is freed by its transport: an answer that waits for it is forgotten.
  virtual void on_stranger_gone(Link* link) = 0;
};

// A descriptor in the lane's epoll set.
class EventSource {
 public:
  virtual ~EventSource() = default;
  virtual void on_event(uint32_t epoll_events) = 0;
};
class Watcher {
 public:
  virtual ~Watcher() = default;
  // Returns the number to give to unwatch(), which must come before the descriptor is closed.
  virtual Result<uint64_t> watch(int descriptor, EventSource* source) = 0;
  virtual void unwatch(uint64_t watch_number) = 0;
};

// Written on the progress thread only, read by any.
struct TransportCounts {
  std::atomic<uint64_t> messages_sent{0}, messages_received{0}, message_bytes_sent{0}, message_bytes_received{0};
  std::atomic<uint64_t> reads{0}, read_bytes{0}, writes{0}, write_bytes{0};
  std::atomic<uint64_t> errors{0};
  static void add(std::atomic<uint64_t>& counter, uint64_t amount) {
    counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
};

class Transport {
 public:
  virtual ~Transport() = default;

  // ---- constant, any thread
  virtual const std::string& name() const = 0;
  // The transport's entry in the lane's address; "" if it cannot be reached by others.
  virtual const std::string& address() const = 0;
  virtual std::string describe() const = 0;
  // A message's longest body, and the longest operation.
  virtual uint64_t body_bytes_max() const = 0;
  virtual uint64_t operation_bytes_max() const = 0;
  // False where a peer cannot fall silent without our noticing.
  virtual bool needs_heartbeats() const = 0;
  // An operation that completes proves that the peer's process runs.
  virtual bool operations_prove_life() const = 0;

  // ---- any thread
  // nullptr where the transport needs none for this access.
  virtual Result<std::unique_ptr<Registration>> register_memory(void* memory, uint64_t length, uint32_t access) = 0;

  // ---- progress thread
  // Before any other; descriptors go into the watcher.
  virtual Status start(TransportEvents* events, Watcher* watcher) = 0;
  // Why it cannot reach this lane; ok when it may try.
  virtual Status can_reach(const LaneAddress& address) = 0;
  virtual Result<Link*> open_link(const LaneAddress& address) = 0;
  virtual void close_link(Link* link) = 0;
  virtual Outcome send(Link* link, const LaneHeader& header, Pieces pieces) = 0;
  virtual Outcome submit(Operation* operation) = 0;
  // Moves what can be moved; the number of things that happened.
  virtual uint32_t progress() = 0;
  // True when the thread may sleep on the descriptors; false when there is work. woke() follows a true.
  virtual bool prepare_sleep() = 0;
  virtual void woke() {}
  // It has no descriptor that announces everything: progress() must be called from time to time.
  virtual bool must_be_polled() const { return false; }
  // Cheap to poll (no system call): worth spinning for.
  virtual bool worth_spinning() const { return false; }
  // Sends and operations that the transport has taken and not completed.
  virtual uint64_t under_way() const = 0;
  // Ends everything; operations still under way complete with an error. Nothing else follows but the destructor.
  virtual void close() = 0;

  // Why the last send() or submit() failed.
  const Status& failure() const { return failure_; }
  TransportCounts counts;

 protected:
  Status failure_;
};

}  // namespace weft::fabric
