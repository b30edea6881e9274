// The messages between a client and a server, as laid out on the wire (docs/formats/wire.md).
// Every message is a MessageHeader, one fixed body (below), and for some a tail; all little-endian, 8-aligned, used in
// place. A decoder never trusts a length: `MessageReader` checks each against the message, and `check_*` the fields.
//
// One rule shapes all of it: servers never show their memory. A server reads from producers and writes into consumers;
// a client that misbehaves can only spoil memory that it lent itself.
//
//   client                                server
//   HELLO {nonce, versions, job}     →
//                                    ←    CHALLENGE {nonce, proof}     the server proves the secret first
//   PROVE {proof}                    →
//                                    ←    WELCOME {session, limits} or REFUSE {code, text}
//   CONTROL {json}                   →    to the control plane          ←  CONTROL_REPLY
//   TOPIC_LOOKUP {name}              →                                  ←  TOPIC_INFO
//   PRODUCER_OPEN                    →                                  ←  PRODUCER_OPENED
//   BATCH …                          →    pulled, written, synced       ←  BATCH_ACK (many in one)
//   CONSUMER_OPEN {ring}             →                                  ←  CONSUMER_OPENED
//                                         writes into the ring          ←  FRAME
//   CREDIT                           →
//   DATA_REQUEST {selections, memory}→    writes selected bytes         ←  DATA_REPLY
//   COMMIT                           →    durable                       ←  COMMITTED
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "wire/batch.h"

namespace weft::wire {

constexpr uint16_t kProtocolVersion = 1;  // the newest this build speaks
constexpr uint16_t kProtocolVersionMin = 1;

constexpr uint32_t kNameBytesMax = 200;  // topics, producers, consumers
constexpr uint32_t kControlBytesMax = 48 * 1024;
constexpr uint32_t kBatchSegmentsMax = 512;  // remote pieces of one batch's data
constexpr uint32_t kSelectionsMax = 1024;    // of one DATA_REQUEST
constexpr uint32_t kRunsMax = 1024;          // of one selection
constexpr uint32_t kRunLevelsMax = 8;

enum class MessageType : uint16_t {
  kHello = 1,
  kChallenge = 2,
  kProve = 3,
  kWelcome = 4,
  kRefuse = 5,
  kGoodbye = 6,
  kTopicLookup = 10,
  kTopicInfo = 11,
  kControl = 12,
  kControlReply = 13,
  kPartitionQuery = 14,
  kPartitionState = 15,
  kProducerOpen = 20,
  kProducerOpened = 21,
  kBatch = 22,
  kBatchAck = 23,
  kProducerClose = 24,
  kSync = 25,
  kSynced = 26,
  kConsumerOpen = 30,
  kConsumerOpened = 31,
  kFrame = 32,
  kCredit = 33,
  kDataRequest = 34,
  kDataReply = 35,
  kConsumerFailed = 36,
  kConsumerClose = 37,
  kConsumerClosed = 38,  // no more writes into the ring follow
  kCommit = 40,
  kCommitted = 41,
};

struct MessageHeader {
  MessageType type;
  uint16_t flags;
  uint32_t length;      // the whole message
  uint64_t request_id;  // of the asking side; 0 where nothing is answered
  uint64_t session;     // from WELCOME; 0 before
};
static_assert(sizeof(MessageHeader) == 24);

// As fabric::RemoteMemory; wire does not know fabric.
struct Memory {
  uint64_t address;
  uint64_t key;
  uint64_t length;
};
static_assert(sizeof(Memory) == 24);

using Nonce = std::array<uint8_t, 32>;
using Proof = std::array<uint8_t, 32>;
using Uuid = std::array<uint8_t, 16>;

struct Hello {
  uint16_t version_min;
  uint16_t version_max;
  uint32_t slot;  // the slot that the client means
  Nonce nonce;
  Uuid job;
  Uuid client;  // of this process; for the log
  // tail: name of the client for the log ("rank 3 pid 812 on n4")
};
struct Challenge {
  uint16_t version;  // the one chosen
  uint16_t reserved0;
  uint32_t slot;
  Nonce nonce;
  Proof proof;
};
struct Prove {
  Proof proof;
};
struct Welcome {
  uint64_t session;
  uint32_t slot;
  uint32_t slot_epoch;
  uint32_t message_bytes_max;
  uint32_t batches_in_flight_max;     // per producer and partition
  uint64_t data_bytes_in_flight_max;  // per session
};
// tail: text
struct Refuse {
  int32_t code;
  uint32_t reserved0;
};

// tail: topic name
struct TopicLookup {
  uint64_t reserved0;
};
enum class Storage : uint8_t { kDisk = 0, kMemory = 1 };
enum class Durability : uint8_t { kMemory = 0, kWritten = 1, kSynced = 2 };
enum class Serializer : uint8_t { kJson = 0, kRaw = 1, kPacked = 2, kCustom = 3 };
constexpr uint8_t kTopicDemandsJavaScript = 1;  // a validator, selector or serializer that only JavaScript can run
constexpr uint8_t kTopicAllowsUnvalidated = 2;
// tail when code == 0: u32 slot[partition_count] (padded to 8), then the topic's description as JSON; else text
struct TopicInfo {
  int32_t code;
  uint32_t partition_count;
  Uuid topic;
  Storage storage;
  Durability durability;
  Serializer serializer;
  uint8_t flags;
  uint32_t tail_json_bytes;
  uint64_t event_data_bytes_max;  // what the storage of one partition can take
};
// tail: JSON
struct Control {
  uint64_t reserved0;
};
// tail: JSON when code == 0, else text
struct ControlReply {
  int32_t code;
  uint32_t reserved0;
};
struct PartitionQuery {
  Uuid topic;
  uint32_t partition;
  uint32_t reserved0;
};
// tail: text if code != 0
struct PartitionStateReply {
  int32_t code;
  uint32_t epoch;
  uint64_t first_offset;
  uint64_t visible_end;  // the offset behind the last visible event
};

constexpr uint32_t kProducerNewEpoch = 0;
constexpr uint32_t kProducerEpochMax = 0xFFFFFFFE;  // the next one would come round to kProducerNewEpoch
// tail: name of the producer ("" if none)
struct ProducerOpen {
  Uuid topic;
  uint32_t partition;
  uint32_t epoch;  // kProducerNewEpoch: fence the older ones; else go on with this epoch (after a reconnect)
  ProducerId producer;
};
// tail: text if code != 0
struct ProducerOpened {
  int32_t code;
  uint32_t handle;
  uint32_t epoch;
  uint32_t batches_in_flight_max;
  uint64_t next_sequence;  // what the partition accepts next
  uint64_t last_offset;    // behind the last event stored by this producer name; 0 if none
};

// MessageHeader::flags of HELLO: another slot of the job, not one of its clients
constexpr uint16_t kHelloOfServer = 1;
constexpr uint16_t kBatchBodyInline = 1;  // MessageHeader::flags of BATCH
constexpr uint16_t kBatchDataInline = 2;
// tail: Segment[segment_count], then the body if inline, padded to 8, then the data extent if inline
struct Batch {
  uint32_t handle;
  uint32_t segment_count;
  Memory body;       // where the body is pulled from, if not inline
  uint64_t body_at;  // offset in it
  BatchHeader header;
};
static_assert(sizeof(Batch) == 136);
// A piece of the data extent in the producer's memory. Pieces follow each other at 64-aligned positions where an event
// begins; `extent_at` says where.
struct Segment {
  Memory memory;
  uint64_t memory_at;
  uint64_t length;
  uint64_t extent_at;
};
static_assert(sizeof(Segment) == 48);

// tail: Ack[count], then text of the first error if any
struct BatchAck {
  uint32_t handle;
  uint32_t count;
};
struct Ack {
  uint64_t sequence;
  int32_t code;
  uint32_t partition_epoch;
  uint64_t first_offset;
  uint64_t expected_sequence;
};
struct ProducerClose {
  uint32_t handle;
  uint32_t reserved0;
};

enum class From : uint8_t { kEarliest = 0, kLatest = 1, kOffset = 2, kTime = 3, kCursor = 4 };
// tail: name of the consumer ("" if none)
struct ConsumerOpen {
  Uuid topic;
  uint32_t partition;
  From from;  // kCursor: where the name's cursor is, else earliest
  uint8_t reserved0[3];
  uint64_t value;       // offset or time_ns
  uint32_t epoch;       // of the partition that `value` belongs to, 0 if unknown
  uint32_t events_max;  // given out and not returned, 0: no limit; a larger batch goes alone
  Memory ring;          // the consumer's memory that frames' bodies are written into; its length is the credit in bytes
};
// tail: text if code != 0
struct ConsumerOpened {
  int32_t code;
  uint32_t handle;
  uint32_t partition_epoch;
  uint32_t had_cursor;
  uint64_t start_offset;
  uint64_t first_offset;
  uint64_t visible_end;
};
constexpr uint16_t kFrameBodyInline = 1;
// The body's place in the ring is ring_at..+body_bytes, whether it was written there or comes inline (then the consumer
// copies it there). ring_end is the cumulative count of ring bytes given out including this frame (skipped ends
// included): the consumer returns it in CREDIT when it and all frames before are released. tail: the body if inline
struct Frame {
  uint32_t handle;
  uint32_t skip;  // events at the front of the batch that are before the wanted offset
  uint64_t first_offset;
  uint64_t append_time_ns;
  uint32_t partition_epoch;
  uint32_t reserved0;
  uint64_t visible_end;
  uint64_t ring_at;
  uint64_t ring_end;
  BatchHeader header;
};
static_assert(sizeof(Frame) == 152);
struct Credit {
  uint32_t handle;
  uint32_t events_end;  // of that place: events of all frames up to it that were not skipped, modulo 2^32
  uint64_t ring_end;
};

// Bytes of a selection, in order: a run of `length` bytes at `start`, repeated by each level, the first level fastest.
// An n-d box is one run with n-1 levels; a list of ranges is several runs with none.
struct Run {
  uint64_t start;
  uint64_t length;
  uint32_t level_count;
  uint32_t reserved0;
};
struct RunLevel {
  uint64_t stride;
  uint64_t count;
};
// tail of a selection in a DATA_REQUEST: for each run: Run, RunLevel[level_count]
struct Selection {
  uint64_t offset;          // of the event
  uint64_t destination_at;  // in the destination memory
  uint32_t run_count;
  uint32_t handle;  // of the consumer, in a request whose own is 0
};
// tail: selection_count times a Selection with its runs, those of one consumer in a row and in growing order of offset
struct DataRequest {
  uint32_t handle;  // of the consumer; 0: each selection names its own
  uint32_t selection_count;
  Memory destination;
};
// tail: text if code != 0
struct DataReply {
  int32_t code;
  uint32_t failed_selection;
  uint64_t bytes_sent;
  uint64_t bytes_read;  // from the storage, whole blocks
};
// tail: text. The consumer's stream ends here: truncated, gone or corrupt at `offset`.
struct ConsumerFailed {
  uint32_t handle;
  int32_t code;
  uint64_t offset;
};
struct ConsumerClose {
  uint32_t handle;
  uint32_t reserved0;
};
// Makes the events below `offset`, as they were acknowledged in this epoch of the partition, survive a power loss.
struct Sync {
  Uuid topic;
  uint32_t partition;
  uint32_t partition_epoch;
  uint64_t offset;
};
// tail: text if code != 0
struct Synced {
  int32_t code;
  uint32_t reserved0;
};
// tail: name of the consumer
struct Commit {
  Uuid topic;
  uint32_t partition;
  uint32_t partition_epoch;
  uint64_t offset;  // of the next event wanted
};
// tail: text if code != 0
struct Committed {
  int32_t code;
  uint32_t reserved0;
};

// Builds one message in a buffer that keeps its memory between uses.
class MessageWriter {
 public:
  void begin(MessageType type, uint64_t session, uint64_t request_id, uint16_t flags = 0);
  template <typename T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 8 == 0);
    append(&value, sizeof value);
  }
  void append(const void* bytes, size_t length);
  void text(std::string_view words) { append(words.data(), words.size()); }
  void pad();  // to 8
  // Fills in the length (plus bytes that the caller sends behind as a further piece).
  std::span<const std::byte> finish(size_t bytes_behind = 0);
  size_t size() const { return buffer_.size(); }

 private:
  std::vector<std::byte> buffer_;
};

// Reads one message in place; every step is checked.
class MessageReader {
 public:
  // WEFT_CORRUPT-free: bad input is WEFT_INVALID_ARGUMENT naming the field.
  static Result<MessageReader> open(std::span<const std::byte> message);
  const MessageHeader& header() const { return *header_; }
  // The next fixed part; nullptr when the message is too short.
  template <typename T>
  const T* take() {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 8 == 0);
    return reinterpret_cast<const T*>(take_bytes(sizeof(T)));
  }
  template <typename T>
  std::span<const T> take_array(uint64_t count) {
    if (count > rest_.size() / sizeof(T)) return {};
    return {reinterpret_cast<const T*>(take_bytes(count * sizeof(T))), static_cast<size_t>(count)};
  }
  const std::byte* take_bytes(size_t length);
  std::span<const std::byte> rest() const { return rest_; }
  std::string_view rest_text() const { return {reinterpret_cast<const char*>(rest_.data()), rest_.size()}; }

 private:
  const MessageHeader* header_ = nullptr;
  std::span<const std::byte> rest_;
};

// One decoded selection: views into the message.
struct SelectionView {
  const Selection* selection;
  struct RunView {
    const Run* run;
    std::span<const RunLevel> levels;
  };
  std::vector<RunView> runs;
  uint64_t bytes;  // selected in all
  uint64_t end;    // behind the last byte touched in the event's data
};
// The next selection of a DATA_REQUEST. Rejects counts over the limits and any arithmetic overflow; the vector in
// `into` is reused.
Status take_selection(MessageReader& reader, SelectionView& into);

// Names that travel and become file names: 1 to 200 of [A-Za-z0-9._-], not starting with a dot.
Status check_name(std::string_view what, std::string_view name);

}  // namespace weft::wire
