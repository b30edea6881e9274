// What the broker keeps in memory about sessions, partitions, batches, consumers and data requests. Everything here
// belongs to the progress thread, except fields marked "writer" or "reader", which belong to that thread from the
// moment the object's job is pushed until it came back.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/broker.h"
#include "broker/counters.h"
#include "broker/gather.h"
#include "broker/job.h"
#include "broker/limits.h"
#include "broker/ring_queue.h"
#include "broker/slab_pool.h"
#include "log/cursor_file.h"

namespace weft::broker {

struct BatchOp;
struct CommitOp;
struct Consumer;
struct DataOp;
struct FrameOp;
struct Partition;
struct Producer;
struct ProducerEntry;
struct Session;
struct SyncOp;

inline fabric::RemoteMemory remote_memory(const wire::Memory& memory) {
  return {memory.address, memory.key, memory.length};
}
// Whether at..at+length lies in `memory`.
inline bool holds(const wire::Memory& memory, uint64_t at, uint64_t length) {
  return at <= memory.length && length <= memory.length - at;
}

// Before an object goes back to its pool: one large batch must not make each pooled object large in turn.
inline void drop_large(std::vector<std::byte>& buffer) {
  if (buffer.capacity() > kPooledBytesMax) std::vector<std::byte>().swap(buffer);
}

// ---- sessions

enum class Phase : uint8_t {
  kSilent,      // connected, said nothing
  kChallenged,  // said HELLO, has to prove
  kProved,      // let in
  kEnded,       // had its last word; only waits to be disconnected
};

struct Session {
  fabric::PeerId peer = 0;
  uint64_t token = 0;
  Phase phase = Phase::kSilent;
  bool is_server = false;    // another slot's
  bool gone = false;         // the peer is lost or forgotten: nothing is sent any more
  uint64_t deadline_ns = 0;  // of the handshake, or of the linger
  uint32_t references = 0;   // operations that still name it
  wire::Hello hello{};
  uint16_t version = 0;
  wire::Nonce nonce{};
  std::string name;
  std::vector<Producer*> producers;  // by handle; nullptr: free
  std::vector<Consumer*> consumers;
  uint64_t memory_bytes = 0;  // of its batches in flight, as BrokerImpl::memory_bytes_
  uint32_t control_outstanding = 0;
  uint32_t commits_outstanding = 0;
  uint32_t syncs_outstanding = 0;
  uint32_t consumers_opening = 0;
  uint32_t data_requests = 0;
  uint32_t batches = 0;               // in flight
  uint64_t data_bytes_in_flight = 0;  // of batches whose pull has begun
  uint32_t ingest_slabs = 0;
  uint32_t egress_slabs = 0;
  RingQueue<BatchOp*> pulls;  // that have units to begin
  bool in_pull_ring = false;
  std::vector<std::vector<std::byte>> outbox;  // replies that the lane did not take yet, oldest first
  uint64_t outbox_bytes = 0;
  bool in_outbox_list = false;
};

// ---- partitions

struct PartitionKey {
  wire::Uuid uuid;
  uint32_t partition;
  bool operator==(const PartitionKey&) const = default;
};
struct PartitionKeyHash {
  size_t operator()(const PartitionKey& key) const {
    uint64_t half = 0;
    std::memcpy(&half, key.uuid.data(), sizeof half);  // a random uuid is a good hash already
    return static_cast<size_t>(half ^ (uint64_t{key.partition} * 0x9E3779B97F4A7C15u));
  }
};
struct ProducerIdHash {
  size_t operator()(const wire::ProducerId& id) const {
    uint64_t half = 0;
    std::memcpy(&half, id.bytes, sizeof half);
    return static_cast<size_t>(half);
  }
};

// A producer that the end of a partition waits for.
struct RegisteredProducer {
  enum class State : uint8_t { kOpen, kClosed, kAway };
  State state = State::kOpen;
  uint64_t away_since_ns = 0;
};

struct Partition {
  PartitionSpec spec;
  std::string label;  // "partition 3 of topic 'field' on slot 1"
  std::unique_ptr<log::PartitionLog> log;
  std::unique_ptr<log::CursorFile> cursor_file;  // disk; writer
  std::unique_ptr<SharedMemory> area;            // memory storage: where data lies
  LogWriter* writer = nullptr;                   // disk storage
  uint32_t epoch = 0;
  uint64_t visible_end = 0;
  bool read_only = false;
  std::string read_only_reason;
  bool closing = false;
  bool close_begun = false;  // the log is the close job's: it may be gone already
  bool remove = false;
  Status close_status;
  std::vector<std::function<void(Status)>> closed;  // told at the end
  uint32_t operations = 0;                          // jobs, batches and data requests that use the log
  std::unordered_map<wire::ProducerId, std::unique_ptr<ProducerEntry>, ProducerIdHash> producers;
  std::vector<Consumer*> consumers;
  std::map<std::string, log::Cursor, std::less<>> cursors;
  bool feed_wanted = false;
  // The end of the stream (ending.cc).
  std::map<std::string, RegisteredProducer, std::less<>> registered;  // by name
  bool is_ending = false;                                             // it ends when no batch is in flight any more
  Status ended;                                     // not OK: what consumers behind the last event get
  std::vector<std::function<void(Status)>> sealed;  // told at the end
  // Retention (retention.cc).
  std::vector<DataOp*> data_requests;  // their events stay
  Job retention_job;
  bool retention_under_way = false;
  uint64_t retention_looked_ns = 0;
  uint64_t retention_below = 0;               // writer: asked for by consumers
  uint64_t retention_pinned = 0;              // writer: what is being read stays
  uint64_t retention_time_ns = 0;             // writer: events before it go; 0: none by time
  uint64_t retention_bytes = 0;               // writer
  Status retention_status;                    // writer
  AtomicCounters* broker_counters = nullptr;  // any thread

  Job close_job;
  BurstEnd group;                      // writer: group commit
  std::vector<BatchOp*> synced;        // writer: appended, wait for the sync
  std::vector<SyncOp*> syncs;          // writer: what clients asked for waits for the same sync
  BurstEnd cursor_group;               // writer
  std::vector<CommitOp*> commits;      // writer: set, wait for the write
  BurstEnd fence_group;                // writer
  std::vector<ProducerEntry*> fences;  // writer: noted, wait for the checkpoint

  bool in_memory() const { return spec.storage == wire::Storage::kMemory; }
};

// ---- producers

// One session's handle on one producer id in one partition.
struct Producer {
  Session* session = nullptr;
  ProducerEntry* entry = nullptr;  // nullptr: the partition is gone, or another one took over
  Partition* partition = nullptr;  // nullptr: gone
  bool is_deleted = false;         // … with its topic
  uint32_t handle = 0;
  uint32_t epoch = 0;
  bool fenced = false;
  bool ack_listed = false;
  std::vector<wire::Ack> acks;
  std::vector<BatchOp*> batches;  // in flight, unanswered
  std::string first_error;
};

// What the partition knows of one producer id.
struct ProducerEntry {
  struct Recent {
    uint64_t sequence = 0;
    uint64_t first_offset = 0;
  };
  struct PendingOpen {
    Session* session = nullptr;  // referenced
    uint64_t request_id = 0;
    uint32_t epoch = 0;
    std::string name;
  };
  wire::ProducerId id{};
  Partition* partition = nullptr;
  uint32_t epoch = 0;           // 0: never opened
  uint64_t admit_sequence = 0;  // of the next batch to take
  uint64_t next_sequence = 0;   // of the next batch to be stored
  uint64_t last_end = 0;        // the offset behind its last stored event
  RingQueue<Recent> recent;     // oldest first
  Producer* active = nullptr;
  RingQueue<BatchOp*> batches;  // in flight, by sequence; the first `committing` are with the log writer
  size_t committing = 0;
  uint64_t cuts = 0;        // times that a batch failed and those behind it were sent back
  uint32_t references = 0;  // batches and jobs that name it
  bool loaded = false;
  bool loading = false;
  std::vector<PendingOpen> opens;
  Job load_job;
  log::ProducerState loaded_state;  // writer
  bool loaded_found = false;        // writer
  std::string name;                 // of the newest opening; "" if it has none
  bool fencing = false;             // the first of `opens` waits until `fence_epoch` is durable
  uint32_t fence_epoch = 0;
  std::string fence_mark;  // writer: under which name it is registered; "" if it is not
  Job fence_job;
  Status fence_status;       // writer
  uint64_t writer_cuts = 0;  // writer: batches handed over before this many cuts are not stored
};

// A slab-sized part of a batch's body or data on its way.
struct PullUnit {
  BatchOp* batch = nullptr;
  bool is_body = false;
  std::byte* slab = nullptr;  // nullptr: straight into the partition's memory
  uint64_t at = 0;            // in the body or the extent
  uint64_t length = 0;
  uint32_t transfers = 0;   // under way
  uint64_t generation = 0;  // of the registration that they use
  bool failed = false;
  Job write_job;
  Status write_status;              // writer
  std::vector<uint32_t> checksums;  // writer: of its blocks
};

struct BatchOp {
  Session* session = nullptr;    // referenced
  Producer* producer = nullptr;  // nullptr once the answer is sent or nobody wants it
  ProducerEntry* entry = nullptr;
  Partition* partition = nullptr;
  wire::BatchHeader header{};
  wire::Memory body_memory{};
  uint64_t body_at = 0;
  std::vector<wire::Segment> segments;
  std::vector<std::byte> body;
  std::vector<std::byte> inline_data;
  std::vector<uint32_t> checksums;  // of all blocks
  uint64_t memory_bytes = 0;        // counted: its body, and data that came with it
  uint64_t data_bytes_counted = 0;
  uint64_t body_units = 0;
  uint64_t units = 0;
  uint64_t units_begun = 0;
  uint32_t units_outstanding = 0;
  uint64_t body_units_done = 0;
  size_t segment_hint = 0;  // units go forward through the segments
  bool in_pulls = false;
  bool queued = false;      // in the entry's queue
  bool committing = false;  // with the log writer
  bool reserved = false;    // writer (disk): an extent was reserved
  log::DataExtent extent;   // writer (disk)
  uint64_t cut_generation = 0;
  Status status;  // why it failed
  Job commit_job;
  Status commit_status;        // writer
  log::AppendResult appended;  // writer
  bool returned = false;       // the log writer is done with it
  bool cut_answered = false;   // one before it failed: it was sent back already
  // Of the registrations under which a read into the partition's memory failed; 0: none.
  uint64_t failed_generation_first = 0;
  uint64_t failed_generation_last = 0;
  bool cut = false;              // writer: a batch before it failed
  bool was_appended = false;     // writer: it is in the log, even if its sync failed
  bool read_only_seen = false;   // writer
  std::string read_only_reason;  // writer
};

// ---- consumers

struct Consumer {
  Session* session = nullptr;  // referenced
  Partition* partition = nullptr;
  uint32_t handle = 0;
  std::string name;
  wire::Memory ring{};
  uint64_t ring_given = 0;     // cumulative
  uint64_t ring_told = 0;      // cumulative: of frames that the consumer knows
  uint64_t ring_returned = 0;  // cumulative
  // Events in the same places, modulo 2^32; counted also where there is no limit.
  uint32_t events_max = 0;  // 0: no limit
  uint32_t events_given = 0;
  uint32_t events_told = 0;
  uint32_t events_returned = 0;
  uint64_t next_offset = 0;  // of the next batch to read
  uint64_t empty_until = 0;  // the visible end when next_offset turned out to lie in a gap with nothing behind it
  uint32_t operations = 0;   // jobs, transfers, data requests that name it
  uint32_t data_requests = 0;
  bool reading = false;
  bool failed = false;  // its stream has ended
  bool closed = false;
  bool close_wanted = false;  // tell CONSUMER_CLOSED at the end
  uint64_t close_request = 0;
  bool waits_for_slab = false;
  RingQueue<FrameOp*> read;    // not placed yet
  RingQueue<FrameOp*> placed;  // in the ring, not yet told
  Job read_job;
  std::vector<FrameOp*> read_frames;  // reader
  uint64_t read_from = 0;             // reader
  uint64_t read_end = 0;              // reader
  uint64_t read_bytes_max = 0;        // reader
  uint32_t read_events_max = 0;       // reader
  Status read_status;                 // reader
  size_t read_count = 0;              // reader
};

struct FrameOp {
  Consumer* consumer = nullptr;
  log::StoredBatch stored;
  uint32_t skip = 0;
  uint64_t ring_at = 0;
  uint64_t ring_end = 0;
  bool is_inline = false;
  uint32_t transfers = 0;
  uint64_t generation = 0;  // of the registration that they use
  std::vector<std::byte*> slabs;
  bool failed = false;
};

// ---- data requests

// One slab of selected bytes (or one direct piece) on its way to a consumer.
struct Fill {
  struct Piece {
    uint64_t slab_at;
    uint64_t length;
    uint64_t destination_at;
  };
  DataOp* request = nullptr;
  std::byte* slab = nullptr;  // nullptr: direct
  uint64_t used = 0;          // reader: bytes of the slab
  std::vector<Piece> pieces;  // reader
  const std::byte* direct = nullptr;
  uint64_t direct_length = 0;
  uint64_t direct_destination_at = 0;
  uint32_t transfers = 0;
  uint64_t generation = 0;  // of the registration that they use
  bool failed = false;
};

// One request of several consumers of a session: answered once, when the last of its parts is done.
struct DataJoin {
  uint32_t left = 0;  // parts
  Status status;      // of the first part that failed
  uint32_t failed_selection = 0;
  uint64_t bytes_sent = 0;
  uint64_t bytes_read = 0;
};
// A part of a request that is being read: the selections of one consumer.
struct DataPart {
  Consumer* consumer = nullptr;
  std::span<const std::byte> selections;
  uint32_t selection_first = 0;  // of the request
  uint32_t selection_count = 0;
  uint64_t first_offset = 0;
  DataOp* op = nullptr;
};

struct DataOp {
  Session* session = nullptr;    // referenced
  Consumer* consumer = nullptr;  // counted in its operations
  Partition* partition = nullptr;
  uint64_t request_id = 0;
  wire::Memory destination{};
  std::vector<std::byte> message;  // the selections, 8-aligned by the allocator
  uint32_t selection_count = 0;
  uint32_t selection_first = 0;  // of the request
  DataJoin* join = nullptr;      // nullptr: the request is of one consumer

  // The walk. With the reader while `reading`.
  bool reading = false;
  wire::MessageReader reader;
  uint32_t selection_index = 0;  // of the current one
  bool selection_open = false;
  wire::SelectionView selection;
  GatherWalk walk;
  uint64_t visible_end = 0;
  bool batch_loaded = false;
  log::StoredBatch batch;
  wire::BatchView view;
  uint32_t event = 0;                   // in the batch, of the last selection
  uint64_t event_position = 0;          // of its data in the extent
  std::unique_ptr<std::byte[]> blocks;  // kCachedBlocks of 64 KiB, from the first slab to the answer
  std::vector<uint64_t> block_numbers;  // which one each place holds
  uint64_t bytes_read = 0;
  bool walked = false;  // everything was gathered, or it failed
  Status status;
  uint32_t failed_selection = 0;
  uint64_t first_offset = 0;  // of the first selection

  bool write_failed = false;     // to be put into `status` when no reader has it
  bool transfer_failed = false;  // a write ran into its time limit: it may still arrive
  Status transfer_status;
  uint64_t bytes_sent = 0;
  uint32_t fills = 0;  // under way
  bool waits_for_slab = false;
  bool turn_listed = false;
  Fill* current = nullptr;  // being gathered
  Job fill_job;
};

// One RMA operation with what it belongs to.
struct Move {
  fabric::Transfer transfer;
  void* context = nullptr;
};

// A registered producer was closed: made durable, then it counts.
struct CloseMark {
  Partition* partition = nullptr;
  std::string name;
  Status status;  // writer
  Job job;
};

struct CommitOp {
  Session* session = nullptr;  // referenced
  Partition* partition = nullptr;
  uint64_t request_id = 0;
  std::string name;
  log::Cursor cursor;
  uint32_t given_epoch = 0;  // of the partition when the client read what it commits
  Status status;             // writer
  Job job;
};

// A client's wish that what it was told to be stored is durable.
struct SyncOp {
  Session* session = nullptr;  // referenced
  Partition* partition = nullptr;
  uint64_t request_id = 0;
  uint64_t offset = 0;
  uint32_t given_epoch = 0;     // of the partition when the events were acknowledged
  bool read_only_seen = false;  // writer, as what follows
  std::string read_only_reason;
  Status status;
  Job job;
};

}  // namespace weft::broker
