// The seam to the network. A Lane is one endpoint set with its progress thread: it carries messages and RMA between
// processes over libfabric (per peer: shm on the same host, else tcp or what both ends have) and, inside one process,
// over the in-process transport. Everything above (broker, client) runs as callbacks on the lane's progress thread, so
// that their state needs no locks; other threads hand work over with post().
//
// Fault model. A peer may die, be stopped, be cut off, or restart at the same address, at any moment. A lost peer is
// lost for good: its PeerId never comes back, a new connect() gives a new one. Every operation completes exactly once,
// with an error if the peer is lost or the time limit passes. An operation that the fabric provider still owns after
// that keeps its memory: the Region is quarantined (counted in counters()) until the provider completes it or the
// endpoint is closed. Messages arrive whole, in order, at most once; a message accepted by send() may be lost only with
// its peer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace weft::fabric {

// Names one peer for as long as it lives; never reused (generation). 0 is no peer.
using PeerId = uint64_t;

// Who handles a message in the receiving process.
enum class Channel : uint8_t { kFabric = 0, kServer = 1, kClient = 2 };

// A piece of a process's memory as others name it; travels in messages as it is.
struct RemoteMemory {
  uint64_t address;  // what the fabric provider wants as base: a virtual address or 0
  uint64_t key;      // random, so that a stale one does not reach another region
  uint64_t length;   // bytes
};
static_assert(sizeof(RemoteMemory) == 24);

enum Access : uint32_t {
  kLocalOnly = 0,    // source or target of our own RMA
  kRemoteRead = 1,   // a peer may read it
  kRemoteWrite = 2,  // a peer may write it
};

// Local memory registered with every transport of the lane. Destroy (any thread) only when no transfer uses it and, if
// it was shown to a peer, that peer confirmed that it is done or is lost; `Lane::release_when_safe` does the waiting.
class Region {
 public:
  virtual ~Region() = default;
  virtual std::byte* data() const = 0;
  virtual uint64_t length() const = 0;
  // How `peer` must name this region. Keys differ by transport.
  virtual RemoteMemory describe(PeerId peer) const = 0;
};

// One RMA operation. Owned by the caller, at a fixed place, from post until `done` has been called; reusable
// afterwards. read: remote → local; write: local → remote, `done` only when the bytes are in the target's memory
// (delivery complete).
struct Transfer {
  // On the progress thread, exactly once, never from inside read()/write().
  void (*done)(Transfer* transfer, const Status& status) = nullptr;
  void* owner = nullptr;
  PeerId peer = 0;
  const Region* region = nullptr;  // that holds `local`
  std::byte* local = nullptr;
  uint64_t length = 0;  // any; the lane cuts it into what the fabric provider takes
  RemoteMemory remote{};
  uint64_t remote_at = 0;  // offset from the start of `remote`
  uint32_t timeout_ms = 30'000;

  alignas(16) std::byte private_state[256] = {};  // the transport's
};

// Work handed to the progress thread; intrusive so that posting allocates nothing.
struct Task {
  void (*run)(Task* task) = nullptr;
  void* owner = nullptr;
  Task* next = nullptr;  // the queue's
};

struct Timer {
  void (*fire)(Timer* timer) = nullptr;
  void* owner = nullptr;
  uint64_t deadline_ns = 0;  // set by the lane; 0: not armed
};

// All calls on the progress thread. A handler must not block.
class Handler {
 public:
  virtual ~Handler() = default;
  // The bytes are valid during the call only, 8-aligned.
  virtual void on_message(PeerId peer, std::span<const std::byte> message) = 0;
  // The peer answered: send and RMA work. Called once for a peer that connect() returned; for a peer that connected to
  // us before its first message.
  virtual void on_peer_up(PeerId peer) = 0;
  // The peer is gone, silent past the limit, or could not be reached. Called once; its transfers have completed before.
  // `proven_dead`: its process does not exist any more, or it runs over a transport where closing a registration
  // revokes access: memory shown to it is safe to reuse.
  virtual void on_peer_lost(PeerId peer, const Status& reason, bool proven_dead) = 0;
};

struct LaneOptions {
  // Transports that may be used, in order of preference; empty: automatic ("inprocess", "shm", then what the network
  // has). Names: "inprocess", "shm", "tcp", "cxi", "verbs", or any libfabric provider name.
  std::vector<std::string> transports;
  std::string bind_address;                     // numeric IP of the interface to use; empty: automatic
  uint32_t message_bytes_max = 64 * 1024;       // larger: send() refuses
  uint32_t receive_buffer_bytes = 1024 * 1024;  // each of receive_buffer_count multi-receive buffers
  uint32_t receive_buffer_count = 4;
  uint32_t send_queue_max = 1024;  // messages per peer not yet taken by the provider; then WEFT_BUSY
  uint32_t connect_timeout_ms = 10'000;
  uint32_t heartbeat_ms = 1'000;             // sent when nothing else was
  uint32_t peer_timeout_ms = 10'000;         // silence after which a peer is lost
  uint32_t spin_us = 20;                     // at rings, before the thread sleeps; 0: sleep at once, also with tcp
  uint32_t quarantine_bytes_max = 1u << 30;  // beyond: the lane refuses new transfers (WEFT_LIMIT)
  Clock* clock = nullptr;                    // nullptr: Clock::system()
};

struct TransportCounters {
  std::string transport;  // "tcp", "shm", "inprocess"
  uint64_t messages_sent, messages_received, message_bytes_sent, message_bytes_received;
  uint64_t reads, read_bytes, writes, write_bytes;
  uint64_t errors;
};
struct LaneCounters {
  std::vector<TransportCounters> transports;
  uint64_t peers_up, peers_lost, quarantined_bytes, registrations, wakeups, pauses, doorbells;
};

class Lane {
 public:
  // Loads libfabric when a network or shm transport is allowed. Fails with WEFT_FABRIC naming what was tried.
  static Result<std::unique_ptr<Lane>> open(const LaneOptions& options);
  // close(), then stops the thread.
  virtual ~Lane() = default;

  // Before start().
  virtual void set_handler(Channel channel, Handler* handler) = 0;
  virtual Status start() = 0;
  // Leaves the network: outstanding transfers complete with WEFT_CLOSED, no peer reaches memory of this process through
  // this lane any more, and no memory is registered any more (WEFT_CLOSED). The thread goes on running tasks, and
  // nothing else: no timers, no handlers. A second call does nothing. Not on the progress thread; one thread at a time.
  virtual void close() = 0;

  // ---- any thread
  // What others need to connect(): opaque bytes, at most 1 KiB, the same for the life of the lane.
  virtual const std::string& address() const = 0;
  // Runs the task on the progress thread. Wakes it only if it sleeps.
  virtual void post(Task* task) = 0;
  virtual Result<std::unique_ptr<Region>> register_memory(void* memory, uint64_t length, uint32_t access) = 0;
  // Destroys the region as soon as no provider operation holds it, then calls `then` on the progress thread.
  virtual void release_when_safe(std::unique_ptr<Region> region, std::function<void()> then) = 0;
  virtual LaneCounters counters() const = 0;
  virtual bool on_progress_thread() const = 0;
  // A line per transport: name, address, why it was or was not taken. For `doctor`.
  virtual std::vector<std::string> describe() const = 0;

  // ---- progress thread
  // Begins to connect; Handler of `channel` hears on_peer_up or on_peer_lost. `channel` is also the handler that
  // messages of this peer's *replies* go to; a peer that connects to us is given to Channel::kServer's handler.
  virtual PeerId connect(std::span<const std::byte> address, Channel channel) = 0;
  // Tells the peer and forgets it; no on_peer_lost follows here (the other side gets one).
  virtual void disconnect(PeerId peer) = 0;
  // One message of the pieces joined; copied before return. WEFT_BUSY when the peer's queue is full (on_peer_writable
  // does not exist: bound what is in flight by credits), WEFT_PEER_LOST, WEFT_LIMIT when longer than message_bytes_max.
  virtual Status send(PeerId peer, std::span<const std::span<const std::byte>> pieces) = 0;
  virtual void read(Transfer* transfer) = 0;
  virtual void write(Transfer* transfer) = 0;
  virtual std::string transport_of(PeerId peer) const = 0;
  virtual void arm(Timer* timer, uint64_t after_ns) = 0;
  virtual void disarm(Timer* timer) = 0;
  virtual uint64_t now_ns() = 0;
};

}  // namespace weft::fabric
