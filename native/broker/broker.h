// The broker: a server's data plane. It lets clients in (handshake), takes batches from producers into partition logs,
// feeds consumers, serves selected data, and keeps cursors. docs/formats/wire.md is the protocol.
//
// Threads: it is the lane's Handler for Channel::kServer and all of its state lives on the lane's progress thread.
// Partitions in memory are served there; partitions on disk by log writer threads (one per group of partitions) and a
// pool of readers, which own nothing but the log while they run a job. Calls marked "any thread" hand over by a task.
//
// Life: create() before Lane::start(); stop() and wait for its callback; then destroy the lane; then the broker.
// (The lane may still call the handler until it is gone; stop() has released every registration by then.)
//
// What may fail: everything that a client does or omits. A malformed message ends that client's session only; a lost
// client leaves no trace but a line in the log. A partition whose file fails answers with coded errors; the others go
// on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "fabric/fabric.h"
#include "log/partition_log.h"
#include "wire/handshake.h"
#include "wire/messages.h"

namespace weft::broker {

struct BrokerOptions {
  uint32_t slot = 0;
  uint32_t slot_epoch = 1;
  wire::Secret secret{};
  wire::Uuid job{};
  uint32_t threads = 4;                                   // log writers and readers, half each, at least one each
  uint64_t slab_bytes = uint64_t{64} << 20;               // registered memory for pulls and answers
  uint64_t data_bytes_in_flight_max = uint64_t{1} << 30;  // of one session
  uint32_t message_bytes_max = 64 * 1024;                 // the lane's
  uint32_t batches_in_flight_max = 64;                    // of one producer in one partition
  uint32_t sessions_max = 65'536;                         // proved peers; docs/scaling.md has what one costs
  uint32_t unproved_peers_max = 256;                      // peers in the handshake
  uint32_t handshake_timeout_ms = 10'000;                 // from its first sign to its proof
  uint32_t control_requests_max = 64;                     // unanswered, of one session
  uint32_t transfer_timeout_ms = 30'000;                  // of one RMA operation
  Clock* clock = nullptr;                                 // nullptr: Clock::system()
};

enum class LogLevel : uint8_t { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };

// What the broker asks of the process around it. Called on the progress thread or one of the broker's own: must not
// block and must not call back into the broker synchronously, except control_reply().
class BrokerHost {
 public:
  virtual ~BrokerHost() = default;
  // A client's request to the control plane. Answer it once with control_reply(token, ...), at any time.
  virtual void on_control_request(uint64_t token, uint64_t session, std::string json) = 0;
  virtual void on_log(LogLevel level, std::string line) = 0;
};

// What clients may look up by name.
struct TopicEntry {
  std::string name;
  wire::Uuid uuid{};
  std::vector<uint32_t> slots;  // of each partition
  wire::Storage storage = wire::Storage::kDisk;
  wire::Durability durability = wire::Durability::kWritten;
  wire::Serializer serializer = wire::Serializer::kJson;
  uint8_t flags = 0;
  uint64_t event_data_bytes_max = 0;
  std::string json;  // the whole description
};

// What may change while a partition is open.
struct PartitionRules {
  bool sealed = false;  // no new batches; consumers end behind the last event
  // The partition ends when so many producers with names were opened and all of them closed; 0: only when sealed. One
  // that is lost for producer_timeout_ms counts as closed, and consumers are told of it.
  uint32_t producers = 0;
  uint32_t producer_timeout_ms = 60'000;
  // Retention: whole segments that one of these lets go are removed. 0 and empty: no rule.
  uint64_t retention_bytes = 0;                    // metadata and data beyond so much, the oldest first
  uint64_t retention_ms = 0;                       // appended longer ago
  std::vector<std::string> retention_consumed_by;  // all of these consumers have committed it
  bool retains() const { return retention_bytes > 0 || retention_ms > 0 || !retention_consumed_by.empty(); }
};

struct PartitionSpec {
  std::string topic;  // for messages
  wire::Uuid uuid{};  // the topic's
  uint32_t partition = 0;
  wire::Storage storage = wire::Storage::kDisk;
  wire::Durability durability = wire::Durability::kWritten;  // memory storage knows only kMemory
  std::string metadata_directory;                            // disk; cursors lie here too
  std::string data_directory;
  uint64_t segment_bytes = uint64_t{256} << 20;
  uint64_t memory_data_bytes = uint64_t{256} << 20;
  uint64_t memory_metadata_bytes = uint64_t{64} << 20;
  log::FileSystem* file_system = nullptr;  // nullptr: the real one
  bool force_lock = false;                 // disk: goes on where the file system has no locks
  PartitionRules rules;
};

struct PartitionOpened {
  uint64_t first_offset = 0;
  uint64_t next_offset = 0;
  uint32_t epoch = 0;
  std::string recovery;  // what recovery cut off, "" if nothing
};

// All since the start, except those marked "now".
struct BrokerCounters {
  uint64_t unproved_now, sessions_now, sessions_opened, sessions_refused;
  uint64_t clients_now, clients_opened;  // of the sessions, those of processes that host no slot
  uint64_t peers_lost, messages_malformed;
  uint64_t producers_now, consumers_now, partitions_now;
  uint64_t batches_received, batches_stored, batches_repeated, batches_refused, events_stored;
  uint64_t busy_answers;  // batches and requests sent back for want of room
  uint64_t body_bytes_inline, body_bytes_pulled, data_bytes_inline, data_bytes_pulled;  // in
  uint64_t frames_sent, frame_bytes_inline, frame_bytes_written, events_sent;           // out
  uint64_t data_requests, data_bytes_sent, data_bytes_read, data_bytes_direct;  // direct: RMA from partition memory
  uint64_t bytes_copied;                                                        // between buffers of ours
  uint64_t syncs, sync_batches, sync_batches_max;  // group commit: batches that all syncs covered; most
  uint64_t commits;                                // cursors
  uint64_t batches_in_flight_now, writer_queue_now, reader_queue_now;
  uint64_t slabs_total, slabs_in_use_now, slab_waits;
  uint64_t transfers_failed;
  uint64_t quarantined_now;  // slabs that wait for the fabric to let go of a failed transfer
};

class Broker : public fabric::Handler {
 public:
  // Registers its slabs with the lane and becomes its handler for Channel::kServer. The lane must not have started.
  static Result<std::unique_ptr<Broker>> create(fabric::Lane& lane, const BrokerOptions& options, BrokerHost& host);

  // ---- any thread. Callbacks come on the progress thread, exactly once.

  // Before admit(true) every HELLO is refused with WEFT_BUSY.
  virtual void admit(bool admitted) = 0;
  virtual void put_topic(TopicEntry entry) = 0;
  virtual void remove_topic(std::string name) = 0;
  // Opens or creates on a thread of its own: recovery may take long. WEFT_TOPIC_EXISTS if it is open already.
  virtual void open_partition(PartitionSpec spec, std::function<void(Result<PartitionOpened>)> done) = 0;
  // Ends its producers and consumers, finishes what was accepted, syncs, closes; with `remove` deletes its files.
  virtual void close_partition(wire::Uuid uuid, uint32_t partition, bool remove, std::function<void(Status)> done) = 0;
  // Sealed: told when what was accepted before is stored. WEFT_PARTITION_UNAVAILABLE if it is not open, or closes
  // first.
  virtual void alter_partition(wire::Uuid uuid, uint32_t partition, PartitionRules rules,
                               std::function<void(Status)> done) = 0;
  // As JSON. Waits for the progress thread (unless called on it), at most two seconds: WEFT_TIMED_OUT.
  virtual Result<std::string> describe_partition(wire::Uuid uuid, uint32_t partition) = 0;
  // Code OK: `text` is the JSON answer. Dropped when the session is gone.
  virtual void control_reply(uint64_t token, Code code, std::string text) = 0;
  // Drains: takes no new batch (WEFT_BUSY), finishes and syncs what it accepted, closes every partition with its
  // checkpoint, says goodbye to the sessions, ends the threads. What is not finished after `timeout_ms` is abandoned
  // unacknowledged (WEFT_TIMED_OUT); a file or a fabric that does not answer then holds it up for one more second.
  // Calling it again only waits for the same end.
  virtual void stop(uint64_t timeout_ms, std::function<void(Status)> done) = 0;
  // After stop(), before the lane is destroyed: ends the threads that hand work back through it. Any thread but those.
  // False: one does not come back from its file. The broker and the lane must stay then; it may be tried again.
  [[nodiscard]] virtual bool end_threads(uint64_t timeout_ms) = 0;
  virtual BrokerCounters counters() const = 0;
};

}  // namespace weft::broker
