// A producer's handle: the batch interface for bindings, and the plain one-event calls on top of it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <vector>

#include "client/producer.h"
#include "library/free_lines.h"
#include "library/job.h"
#include "library/packed_layout.h"
#include "library/region.h"
#include "library/spin.h"

namespace weft::library {
// What weft_push is told when the producer is opened.
struct PushOptions {
  uint32_t linger_ms = 2;
  weft_when_full when_full = WEFT_FULL_BLOCK;
  weft_ordering ordering = WEFT_ORDERING_STRICT;
};
}  // namespace weft::library

struct weft_batch {
  static constexpr auto kKind = weft::library::Kind::kBatch;
  std::atomic<weft::library::Kind> kind{kKind};
  weft_producer* producer = nullptr;
  weft::client::Batch* batch = nullptr;
  bool with_caller = false;           // between open and submit
  std::vector<weft_region*> regions;  // in use by its pieces

  // The plain interface's: what has been put in so far.
  bool plain = false;
  uint64_t number = 0;
  uint32_t count = 0;
  uint64_t metadata_bytes = 0;
  uint64_t extent_bytes = 0;
  uint64_t copied_bytes = 0;
  uint64_t base_time_ns = 0;
  bool has_data = false;
  std::vector<weft_batch_piece> pieces;
};

struct weft_producer {
  static constexpr auto kKind = weft::library::Kind::kProducer;
  std::atomic<weft::library::Kind> kind{kKind};
  weft_job* job = nullptr;
  std::shared_ptr<weft::client::Producer> producer;
  weft::library::PushOptions options;  // of the plain interface
  std::string selector;                // of the topic, for events pushed without a partition; "" is round-robin
  std::vector<uint32_t> local;         // partitions on this host, for same-node; constant once it is open
  weft::library::PackedLayout packed;  // of the topic's records; checks nothing where they are not packed

  std::mutex mutex;                 // guards what follows
  std::condition_variable changed;  // an outcome came: for those who wait for a receipt, or for all
  std::condition_variable room;     // batches are free again: for pushes
  uint32_t receipt_waiters = 0;
  uint64_t room_at = 0;  // batches outstanding at which pushes that wait go on
  std::map<weft::client::Batch*, std::unique_ptr<weft_batch>> batches;
  std::atomic<uint64_t> outstanding{0};  // submitted and not answered; read without the lock while spinning
  weft::library::Spin spin;              // of those who wait for outcomes
  uint32_t next_partition = 0;           // counts on for round robin
  std::map<uint32_t, weft_batch*> open;  // by partition: being filled by weft_push
  uint64_t last_number = 0;
  struct Outcome {
    weft::Status status;
    uint32_t partition;
    uint32_t epoch;
    uint64_t first_offset;
  };
  std::map<uint64_t, Outcome> outcomes;  // by batch number; bounded
  weft::Status first_error;              // since the last flush
  weft::library::FreeLines lines;        // of events without a partition; empty: they go event by event to the next one
  uint32_t line = 0;                     // the partition of the batch that such events are filling
  weft::fabric::Timer linger;
  bool linger_armed = false;
};

namespace weft::library {

constexpr size_t kOutcomesMax = 4096;
// Data up to this size is copied into the batch: cheaper than a remote piece of its own.
constexpr uint64_t kCopiedPieceBytesMax = 16 * 1024;
// A batch is sent once it refers to so much data, so that transfers overlap with what the caller does next.
constexpr uint64_t kBatchExtentBytesSent = 4 * 1024 * 1024;

Result<client::ProducerOptions> read_producer_options(const weft_producer_options* given, PushOptions* push);
// Null: the job is being closed.
weft_producer* make_producer(weft_job* job, std::shared_ptr<client::Producer> producer, const PushOptions& push,
                             PackedLayout packed);
// Under the producer's lock; sends a batch (of either interface). On an error it stays with the caller.
Status submit_locked(weft_producer* producer, weft_batch* batch, uint32_t partition, uint32_t count,
                     uint64_t metadata_bytes, uint64_t base_time_ns, const weft_batch_piece* pieces,
                     uint32_t piece_count);
void record_outcome_locked(weft_producer* producer, uint64_t number, weft_producer::Outcome outcome);
Status open_batch_locked(weft_producer* producer, weft_batch** batch);
// Under the lock: sends all that weft_push has begun.
Status submit_open_locked(weft_producer* producer);
Status submit_open_batches_with(weft_region* region);
int close_producer(weft_producer* producer, int64_t timeout_ms);

}  // namespace weft::library
