// A partition in memory: two areas, allocated and touched when it is opened, used as rings. Empty at each start.
//
// Threads: one writer; readers copy out under a shared lock that only remove_below takes alone, so that memory is not
// used again under a reader's hands. What append publishes is seen through one atomic count.
// Positions are virtual: they only grow, and the place in the ring is the position modulo its size; so a position also
// says whether its bytes are still there. An extent never wraps: where the ring's end is too near, it is skipped.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <shared_mutex>

#include "base/pages.h"
#include "log/format.h"
#include "log/producer_table.h"

namespace weft::log {

namespace {

// One index entry is kept per this many bytes of the metadata limit: batches are rarely smaller.
constexpr uint64_t kBytesPerBatchEntry = 256;
constexpr uint64_t kPageBytes = 4096;

// Memory from the system, touched, so that the first events do not pay for page faults.
class Area {
 public:
  Status allocate(uint64_t bytes) {
    bytes_ = wire::align_up(std::max(bytes, kPageBytes), kPageBytes);
    Result<std::byte*> memory = map_pages(bytes_, Touch::kAll);
    if (!memory.ok()) return memory.status().with_context("a memory partition, whose limits may be too large");
    start_ = memory.value();
    return {};
  }
  ~Area() {
    if (start_ != nullptr) static_cast<void>(::munmap(start_, bytes_));
  }
  Area() = default;
  Area(const Area&) = delete;
  Area& operator=(const Area&) = delete;

  uint64_t size() const { return bytes_; }
  std::byte* at(uint64_t position) const { return start_ + position % bytes_; }
  std::span<std::byte> all() const { return {start_, bytes_}; }

 private:
  std::byte* start_ = nullptr;
  uint64_t bytes_ = 0;
};

// The virtual position where `length` bytes lie in one piece, at or behind `tail`.
uint64_t place_in_ring(uint64_t tail, uint64_t length, uint64_t ring_bytes) {
  const uint64_t left = ring_bytes - tail % ring_bytes;
  return length <= left ? tail : tail + left;
}

class MemoryLog final : public PartitionLog {
 public:
  explicit MemoryLog(const MemoryLogOptions& options)
      : clock_(options.clock ? *options.clock : Clock::system()), epoch_(options.epoch) {}

  Status allocate(const MemoryLogOptions& options) {
    WEFT_RETURN_IF_ERROR(data_.allocate(options.data_limit_bytes));
    WEFT_RETURN_IF_ERROR(metadata_.allocate(options.metadata_limit_bytes));
    batches_.resize(metadata_.size() / kBytesPerBatchEntry + 1);
    reservations_.resize(64);
    return {};
  }
  std::span<std::byte> data_area() const { return data_.all(); }

  Result<DataExtent> reserve(uint64_t data_bytes) override {
    if (closed_) return closed();
    if (data_bytes == 0) return DataExtent{};
    const uint64_t length = wire::align_up(data_bytes, wire::kDataAlignmentBytes);
    if (data_bytes > data_.size() || length > data_.size()) {
      return Status(Code::EVENT_TOO_LARGE, join_text("a batch with ", data_bytes,
                                                     " bytes of data; this memory partition "
                                                     "can hold ",
                                                     data_.size(), "; raise its data limit"));
    }
    const uint64_t position = place_in_ring(data_tail_, length, data_.size());
    // An empty ring starts where the extent lies: what was skipped to get there is free as well.
    if (reservation_head_ == reservation_tail_) data_head_.store(position, std::memory_order_release);
    if (position + length - data_head_.load(std::memory_order_relaxed) > data_.size()) {
      return Status(Code::NO_SPACE, join_text("the memory partition's ", data_.size(), " bytes for data are in use; ",
                                              data_bytes, " are asked for: remove events or raise its data limit"));
    }
    data_tail_ = position + length;
    push_reservation({position, length, Reservation::kOpen, 0});
    return DataExtent{0, position, data_bytes};
  }

  std::byte* memory(const DataExtent& extent) override {
    return extent.length == 0 ? nullptr : data_.at(extent.position);
  }

  Status write_data(const DataExtent& extent, uint64_t at, std::span<const std::byte> bytes) override {
    if (at > extent.length || bytes.size() > extent.length - at) {
      return Status(Code::INVALID_ARGUMENT, join_text("writing ", bytes.size(), " bytes at ", at, " of an extent of ",
                                                      extent.length, " bytes; stay inside it"));
    }
    if (!bytes.empty()) std::memcpy(data_.at(extent.position) + at, bytes.data(), bytes.size());
    return {};
  }

  void abandon(const DataExtent& extent) override {
    if (extent.length == 0) return;
    reservation_of(extent).state = Reservation::kAbandoned;
    // The newest go back at once: while events are kept the head stays, and what failed batches took would be lost for
    // good. One between committed extents waits until those before it are removed.
    while (reservation_tail_ > reservation_head_) {
      const Reservation& newest = reservations_[(reservation_tail_ - 1) % reservations_.size()];
      if (newest.state != Reservation::kAbandoned) break;
      data_tail_ = newest.position;
      --reservation_tail_;
      if (reservation_tail_ == reservation_head_) break;
      // With what was skipped at the ring's end.
      const Reservation& before = reservations_[(reservation_tail_ - 1) % reservations_.size()];
      data_tail_ = before.position + before.length;
    }
    free_reservations(first_offset_.load(std::memory_order_relaxed));
  }

  Result<AppendResult> append(const AppendRequest& request) override;

  // Memory is as durable as it will be.
  Status sync() override { return closed_ ? closed() : Status(); }

  Status remove_below(uint64_t offset) override {
    const std::unique_lock lock(remove_mutex_);
    uint64_t head = batch_head_.load(std::memory_order_relaxed);
    const uint64_t tail = batch_tail_.load(std::memory_order_relaxed);
    while (head < tail && entry(head).first_offset + entry(head).event_count <= offset) {
      first_offset_ = entry(head).first_offset + entry(head).event_count;
      metadata_head_ = entry(head).position + entry(head).bytes;
      stored_metadata_ -= entry(head).bytes;
      stored_data_ -= entry(head).data_bytes;
      ++head;
    }
    batch_head_.store(head, std::memory_order_relaxed);
    free_reservations(first_offset_);
    return {};
  }

  const ProducerState* producer(const wire::ProducerId& id) const override { return producers_.find(id); }

  Status close() override {
    closed_ = true;
    return {};
  }

  PartitionState state() const override {
    PartitionState state;
    state.epoch = epoch_;
    state.first_offset = first_offset_;
    state.next_offset = next_offset_;
    state.synced_offset = state.next_offset;
    state.metadata_bytes = stored_metadata_;
    state.data_bytes = stored_data_;
    return state;
  }

  Status read_batch(uint64_t offset, StoredBatch& into, ReadAhead* ahead) const override;
  Status read_data(const StoredBatch& batch, uint64_t at, std::span<std::byte> into) const override;
  const std::byte* data_memory(const StoredBatch& batch) const override {
    if (batch.extent.length == 0 || batch.extent.position < data_head_.load(std::memory_order_acquire)) return nullptr;
    return data_.at(batch.extent.position);
  }
  uint64_t offset_within(uint64_t bytes) const override;
  Result<uint64_t> offset_at_time(uint64_t time_ns) const override;

 private:
  struct Batch {
    uint64_t first_offset;
    uint64_t append_time_ns;
    uint64_t position;  // virtual, in the metadata ring
    uint64_t bytes;
    uint64_t data_bytes;
    uint32_t event_count;
  };
  struct Reservation {
    enum State : uint32_t { kOpen, kCommitted, kAbandoned };
    uint64_t position;
    uint64_t length;
    State state;
    uint64_t end_offset;  // of the batch that committed it
  };

  static Status closed() { return Status(Code::CLOSED, "the memory partition is closed"); }
  const Batch& entry(uint64_t index) const { return batches_[index % batches_.size()]; }

  void push_reservation(const Reservation& reservation) {
    if (reservation_tail_ - reservation_head_ == reservations_.size()) {
      std::vector<Reservation> larger(reservations_.size() * 2);
      for (uint64_t at = reservation_head_; at < reservation_tail_; ++at) {
        larger[at % larger.size()] = reservations_[at % reservations_.size()];
      }
      reservations_.swap(larger);
    }
    reservations_[reservation_tail_++ % reservations_.size()] = reservation;
  }
  Reservation& reservation_of(const DataExtent& extent) {
    // From the newest: the one looked for is almost always among the last few.
    for (uint64_t at = reservation_tail_; at > reservation_head_; --at) {
      Reservation& found = reservations_[(at - 1) % reservations_.size()];
      if (found.position == extent.position) return found;
    }
    WEFT_ASSERT(!"an extent of another log, or one that was given up already");
    std::abort();
  }
  // Gives back the oldest extents that nobody needs.
  void free_reservations(uint64_t removed_below) {
    while (reservation_head_ < reservation_tail_) {
      const Reservation& oldest = reservations_[reservation_head_ % reservations_.size()];
      const bool done = oldest.state == Reservation::kAbandoned ||
                        (oldest.state == Reservation::kCommitted && oldest.end_offset <= removed_below);
      if (!done) break;
      ++reservation_head_;
    }
    const uint64_t head = reservation_head_ < reservation_tail_
                              ? reservations_[reservation_head_ % reservations_.size()].position
                              : data_tail_;
    data_head_.store(head, std::memory_order_release);
  }

  Clock& clock_;
  const uint32_t epoch_;
  Area data_;
  Area metadata_;

  // ---- writer
  ProducerTable producers_;
  uint64_t data_tail_ = 0;
  std::vector<Reservation> reservations_;  // a ring, oldest first
  uint64_t reservation_head_ = 0;
  uint64_t reservation_tail_ = 0;
  uint64_t metadata_head_ = 0;
  uint64_t metadata_tail_ = 0;
  uint64_t last_time_ns_ = 0;
  bool closed_ = false;

  // ---- shared
  mutable std::shared_mutex remove_mutex_;  // alone: memory is given back
  std::vector<Batch> batches_;              // a ring of batch_head_ .. batch_tail_
  std::atomic<uint64_t> batch_head_{0};
  std::atomic<uint64_t> batch_tail_{0};
  std::atomic<uint64_t> data_head_{0};
  std::atomic<uint64_t> first_offset_{0};
  std::atomic<uint64_t> next_offset_{0};
  std::atomic<uint64_t> stored_metadata_{0};
  std::atomic<uint64_t> stored_data_{0};
};

Result<AppendResult> MemoryLog::append(const AppendRequest& request) {
  if (closed_) return closed();
  if (request.header == nullptr || request.body.size() != request.header->body_bytes ||
      request.extent.length != request.header->data_bytes ||
      request.block_checksums.size() != block_count_of(request.extent.length)) {
    return Status(Code::INVALID_ARGUMENT,
                  "append: header, body, extent and block checksums do not belong together; give those of one batch");
  }
  WEFT_RETURN_IF_ERROR(wire::BatchView::check_header(*request.header));
  const wire::BatchHeader& batch = *request.header;
  RecordHeader record{};
  record.record_bytes = record_bytes_of(batch.body_bytes, request.block_checksums.size());
  if (record.record_bytes > metadata_.size()) {
    return Status(Code::EVENT_TOO_LARGE, join_text("a batch with ", record.record_bytes,
                                                   " bytes of metadata; this "
                                                   "memory partition can hold ",
                                                   metadata_.size(), "; raise its metadata limit"));
  }
  const uint64_t position = place_in_ring(metadata_tail_, record.record_bytes, metadata_.size());
  const uint64_t index = batch_tail_.load(std::memory_order_relaxed);
  if (index == batch_head_.load(std::memory_order_relaxed)) metadata_head_ = position;
  if (position + record.record_bytes - metadata_head_ > metadata_.size() ||
      index - batch_head_.load(std::memory_order_relaxed) == batches_.size()) {
    return Status(Code::NO_SPACE,
                  join_text("the memory partition's ", metadata_.size(),
                            " bytes for metadata are in use: remove events or raise its metadata limit"));
  }
  record.magic = kRecordMagic;
  record.partition_epoch = epoch_;
  record.first_offset = next_offset_.load(std::memory_order_relaxed);
  record.append_time_ns = std::max(clock_.realtime_ns(), last_time_ns_);
  record.data_position = request.extent.position;
  record.data_length = request.extent.length;
  record.block_count = static_cast<uint32_t>(request.block_checksums.size());
  std::byte* at = metadata_.at(position);
  const auto put = [&at](const void* bytes, uint64_t length) {
    if (length > 0) std::memcpy(at, bytes, length);
    at += length;
  };
  put(&record, sizeof record);
  put(&batch, sizeof batch);
  put(request.body.data(), request.body.size());
  put(request.block_checksums.data(), request.block_checksums.size_bytes());
  batches_[index % batches_.size()] = {record.first_offset, record.append_time_ns, position,
                                       record.record_bytes, record.data_length,    batch.event_count};
  metadata_tail_ = position + record.record_bytes;
  last_time_ns_ = record.append_time_ns;
  const uint64_t end = record.first_offset + batch.event_count;
  if (request.extent.length > 0) {
    Reservation& reservation = reservation_of(request.extent);
    reservation.state = Reservation::kCommitted;
    reservation.end_offset = end;
  }
  producers_.note(batch, record.first_offset, record.append_time_ns);
  stored_metadata_ += record.record_bytes;
  stored_data_ += record.data_length;
  batch_tail_.store(index + 1, std::memory_order_release);
  next_offset_.store(end, std::memory_order_release);
  return AppendResult{record.first_offset, record.append_time_ns, epoch_};
}

Status MemoryLog::read_batch(uint64_t offset, StoredBatch& into, ReadAhead* /*ahead*/) const {
  const std::shared_lock lock(remove_mutex_);
  const uint64_t next = next_offset_.load(std::memory_order_acquire);
  const uint64_t first = first_offset_.load(std::memory_order_relaxed);
  if (offset == next) return Status(Code::END_OF_STREAM, "there are no more events");
  if (offset > next) {
    into.first_offset = next;
    return Status(Code::TRUNCATED,
                  join_text("offset ", offset, " is behind the end of the memory partition; continue at ", next));
  }
  if (offset < first) {
    into.first_offset = first;
    return Status(Code::OFFSET_GONE, join_text("offset ", offset, " was removed; continue at ", first));
  }
  // The last batch that starts at or before the offset.
  uint64_t low = batch_head_.load(std::memory_order_relaxed);
  uint64_t high = batch_tail_.load(std::memory_order_acquire);
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    (entry(middle).first_offset <= offset ? low : high) = middle;
  }
  const std::byte* at = metadata_.at(entry(low).position);
  RecordHeader record;
  std::memcpy(&record, at, sizeof record);
  std::memcpy(&into.header, at + sizeof record, sizeof into.header);
  into.first_offset = record.first_offset;
  into.append_time_ns = record.append_time_ns;
  into.partition_epoch = record.partition_epoch;
  into.extent = {0, record.data_position, record.data_length};
  const std::byte* body = at + kRecordFixedBytes;
  into.body.assign(body, body + into.header.body_bytes);
  into.block_checksums.resize(record.block_count);
  if (record.block_count > 0) {
    std::memcpy(into.block_checksums.data(), body + into.header.body_bytes, record.block_count * sizeof(uint32_t));
  }
  return {};
}

Status MemoryLog::read_data(const StoredBatch& batch, uint64_t at, std::span<std::byte> into) const {
  if (at > batch.extent.length || into.size() > batch.extent.length - at) {
    return Status(Code::SELECTION_OUTSIDE, join_text("reading ", into.size(), " bytes at ", at, " of ",
                                                     batch.extent.length, " bytes; select within them"));
  }
  if (into.empty()) return {};
  const std::shared_lock lock(remove_mutex_);
  const std::byte* from = data_memory(batch);
  if (from == nullptr) {
    return Status(Code::OFFSET_GONE, join_text("the data of offset ", batch.first_offset, " was removed; continue at ",
                                               first_offset_.load()));
  }
  std::memcpy(into.data(), from + at, into.size());
  return {};
}

uint64_t MemoryLog::offset_within(uint64_t bytes) const {
  const std::shared_lock lock(remove_mutex_);
  uint64_t stored = stored_metadata_ + stored_data_;
  uint64_t at = batch_head_.load(std::memory_order_relaxed);
  const uint64_t tail = batch_tail_.load(std::memory_order_acquire);
  for (; at < tail && stored > bytes; ++at) stored -= entry(at).bytes + entry(at).data_bytes;
  return at < tail ? entry(at).first_offset : next_offset_.load(std::memory_order_acquire);
}

Result<uint64_t> MemoryLog::offset_at_time(uint64_t time_ns) const {
  const std::shared_lock lock(remove_mutex_);
  uint64_t low = batch_head_.load(std::memory_order_relaxed);
  const uint64_t tail = batch_tail_.load(std::memory_order_acquire);
  uint64_t high = tail;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (entry(middle).append_time_ns < time_ns) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low < tail) return entry(low).first_offset;
  return next_offset_.load(std::memory_order_acquire);
}

}  // namespace

Result<std::unique_ptr<PartitionLog>> open_memory_log(const MemoryLogOptions& options) {
  auto log = std::make_unique<MemoryLog>(options);
  WEFT_RETURN_IF_ERROR(log->allocate(options));
  return std::unique_ptr<PartitionLog>(std::move(log));
}

std::span<std::byte> data_area(PartitionLog& log) {
  auto* memory = dynamic_cast<MemoryLog*>(&log);
  return memory == nullptr ? std::span<std::byte>() : memory->data_area();
}

}  // namespace weft::log
