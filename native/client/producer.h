// A producer: batches on their way to the partitions of one topic.
// take() and submit(): any thread, one batch belongs to one caller between them. The rest of a batch's life is on the
// progress thread (ProducerPartition). A batch's `done` is called there, once; then it goes back to the free list.
// `done` gives plain memory that the batch refers to back to its owner. So after the delivery's deadline it waits, for
// such a batch alone, until the server has answered or is lost, or 30 s.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "client/arena.h"
#include "client/client.h"

namespace weft::client {

class Producer;
class ProducerPartition;

class Batch;

struct BatchResult {
  uint64_t first_offset = 0;
  uint32_t partition_epoch = 0;
};

struct ProducerOptions {
  std::string name;  // "": a random id
  uint32_t batch_events = 128;
  uint64_t batch_bytes = 512 * 1024;
  uint64_t batch_data_bytes = 1024 * 1024;
  uint32_t batches_in_flight = 16;  // per partition
  // Echo mode: answers a batch at once, on the progress thread; no partition is opened anywhere.
  std::function<Status(Batch&, BatchResult&)> echo;
};
constexpr uint32_t kBatchesInFlightMax = 64;
constexpr size_t kArenasMax = 256;  // of one producer
// A producer without a name opens so many partitions at once, and others with the first batch for them: all producers
// in all partitions would be state of the servers that grows as producers times partitions. One with a name opens all,
// since that fences older ones of its name everywhere.
constexpr size_t kPartitionsOpenedEarlyMax = 16;
constexpr uint64_t kInlineBytesMax = 12 * 1024;  // body and data together; see docs/performance.md

// A piece of the data extent.
struct BatchPiece {
  const std::byte* address;
  uint64_t length;
  uint64_t extent_at;
  const fabric::Region* region;  // nullptr: the batch's own data, or registered for this use
};

class Batch {
 public:
  Batch(Producer& its_producer, std::unique_ptr<Arena> its_arena)
      : producer(its_producer), arena(std::move(its_arena)) {}

  Producer& producer;
  std::unique_ptr<Arena> arena;
  uint32_t partition = 0;
  void (*done)(Batch* batch, const Status& status, const BatchResult& result) = nullptr;
  // When no peer can reach the memory of its pieces any more: before `done` where that is certain then, else later, and
  // perhaps twice; not called if that is never certain.
  void (*released)(Batch* batch) = nullptr;
  // After that, when another batch can be taken again; the batch itself may be somebody else's or gone by then.
  void (*room)(void* owner) = nullptr;
  void* owner = nullptr;
  uint64_t tag = 0;

  // Set by submit(); then the progress thread's.
  wire::BatchHeader header{};
  std::span<std::byte> body;
  std::vector<BatchPiece> pieces;
  std::vector<std::unique_ptr<fabric::Region>> registered_here;
  bool data_inline = false;
  uint64_t deadline_ns = 0;
  bool sent = false;      // and not answered
  bool reported = false;  // `done` was called, but a peer may still read the memory
  bool exposed = false;   // shown to a server that has not answered since and may still read it
  bool was_lost = false;  // shown over a connection that was lost: its keys must not be used again
  fabric::Task task;
};

class Producer {
 public:
  // Opens the partitions, or some of them (kPartitionsOpenedEarlyMax); `done` on the progress thread.
  static void open(Client& client, std::shared_ptr<const TopicRecord> topic, ProducerOptions options,
                   std::function<void(Result<std::shared_ptr<Producer>>)> done);
  ~Producer();

  const TopicRecord& topic() const { return *topic_; }
  const ProducerOptions& options() const { return options_; }
  const ArenaShape& arena_shape() const { return arena_shape_; }
  Client& client() { return client_; }
  const wire::ProducerId& id() const { return id_; }

  // ---- any thread
  // WEFT_BUSY when every batch that may exist is in flight.
  Result<Batch*> take();
  void give_back(Batch* batch);
  // Behind the last event that was stored under its name before it was opened, 0 if none: without a name there is none.
  // WEFT_PARTITION_UNAVAILABLE while the partition's slot has not answered.
  Result<uint64_t> stored_before(uint32_t partition) const;
  // Checks what the caller wrote and sends it. On an error nothing was sent and the batch is still the caller's.
  Status submit(Batch* batch, uint32_t partition, uint32_t count, uint64_t metadata_bytes, uint64_t base_time_ns,
                std::span<const BatchPiece> pieces);
  // Makes durable what was acknowledged so far, wherever it is not yet; `done` on the progress thread, with the first
  // failure. WEFT_TRUNCATED: events that were acknowledged are lost. WEFT_SYNC_FAILED, WEFT_TIMED_OUT,
  // WEFT_PARTITION_UNAVAILABLE; WEFT_UNSUPPORTED in memory.
  void sync(std::function<void(const Status&)> done);
  // After the last batch was answered (the caller saw to that): closes on the servers, releases memory. Waits not.
  static void close(std::shared_ptr<Producer> producer, std::function<void()> done);

  // ---- progress thread
  void finish(Batch* batch, const Status& status, const BatchResult& result);
  // A reported batch whose memory no peer can reach any more.
  void recycle(Batch* batch);
  // `done` with an error, then recycle() or lose(), as its memory demands.
  void give_up(Batch* batch, const Status& status);
  // One whose memory a peer may still read: kept away until the client ends.
  void lose(Batch* batch);
  // Whether any partition was opened so far.
  void note_opened() { opened_any_ = true; }
  bool opened_any() const { return opened_any_; }

 private:
  Producer(Client& client, std::shared_ptr<const TopicRecord> topic, ProducerOptions options);
  Status measure(const Batch& batch, uint32_t count, uint64_t metadata_bytes, std::span<const BatchPiece> pieces,
                 uint64_t* data_bytes) const;
  Status register_pieces(Batch* batch);
  void erase(Batch* batch);

  Client& client_;
  std::shared_ptr<const TopicRecord> topic_;
  ProducerOptions options_;
  ArenaShape arena_shape_{};
  wire::ProducerId id_{};
  std::vector<std::unique_ptr<ProducerPartition>> partitions_;
  bool opened_any_ = false;  // the progress thread's
  std::weak_ptr<Producer> self_;

  std::mutex mutex_;
  std::vector<std::unique_ptr<Batch>> batches_;  // all
  std::vector<Batch*> free_;
};

}  // namespace weft::client
