// Pushing events: one at a time, or whole batches written into the library's memory.
#ifndef WEFTLINE_CPP_PRODUCER_HPP
#define WEFTLINE_CPP_PRODUCER_HPP

#include "region.hpp"

namespace weftline {

// The members of weft_producer_options, with its defaults. Texts are read by the call that takes them.
struct producer_options : weft_producer_options {
  producer_options() : weft_producer_options(WEFT_PRODUCER_OPTIONS_DEFAULT) {}
};

// Stands for one event that was pushed: producer::wait.
struct receipt {
  uint64_t number = 0;
};

inline constexpr int32_t any_partition = -1;

// A part of an event's data: a slice of a region, or plain memory, which is copied up to 16 KiB and else read by the
// server: it must stay unchanged until the receipt.
class piece {
 public:
  piece(bytes_view bytes) : raw_{bytes.data(), bytes.size(), nullptr} {}
  piece(const region_slice& slice)
      : raw_{static_cast<const std::byte*>(weft_region_memory(slice.get())) + slice.at(), slice.length(), slice.get()} {
  }
  piece(const region& whole) : piece(region_slice(whole)) {}
  template <typename T, size_t N>
  requires std::is_trivially_copyable_v<T> piece(std::span<T, N> values) : piece(bytes_view(values)) {}

 private:
  weft_piece raw_;
};
static_assert(sizeof(piece) == sizeof(weft_piece));

// A batch that the caller fills: weft_batch_open. Given back at its end unless it was submitted. It must not outlive
// its producer.
class batch {
 public:
  batch(batch&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  batch& operator=(batch&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~batch() {
    if (handle_ != nullptr) weft_batch_cancel(handle_);
  }
  weft_batch* get() const { return handle_; }
  // Where columns, metadata and copied data are written.
  result<weft_batch_memory> memory() const {
    weft_batch_memory memory{};
    memory.size = sizeof memory;
    status described(weft_batch_describe(handle_, &memory));
    if (!described.ok()) return described;
    return memory;
  }
  // The completion of kind WEFT_COMPLETION_BATCH with this tag (job::poll) says the offsets. An error leaves the batch.
  status submit(uint32_t partition, uint32_t count, uint64_t metadata_bytes, uint64_t base_time_ns,
                std::span<const weft_batch_piece> pieces, uint64_t tag) {
    status submitted(weft_batch_submit(handle_, partition, count, metadata_bytes, base_time_ns, pieces.data(),
                                       static_cast<uint32_t>(pieces.size()), tag));
    if (submitted.ok()) handle_ = nullptr;
    return submitted;
  }

 private:
  friend class producer;
  explicit batch(weft_batch* handle) : handle_(handle) {}
  weft_batch* handle_;
};

class producer {
 public:
  producer() = default;
  producer(producer&& other) noexcept : job_(std::move(other.job_)), handle_(std::exchange(other.handle_, nullptr)) {}
  producer& operator=(producer&& other) noexcept {
    if (this != &other) {
      end();
      job_ = std::move(other.job_);
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  // Flushes, at most 30 s, whose outcome nobody hears: close() tells it.
  ~producer() { end(); }

  weft_producer* get() const { return job_ != nullptr && job_->handle != nullptr ? handle_ : nullptr; }
  explicit operator bool() const { return get() != nullptr; }

  // One event: metadata, which is copied, and the data of a region, which the server reads from there. weft_push says
  // where it goes, and what happens when the queue is full.
  result<receipt> push(bytes_view metadata) {
    receipt made;
    return done(weft_push(get(), metadata.data(), metadata.size(), nullptr, 0, 0, &made.number), made);
  }
  result<receipt> push(bytes_view metadata, const region_slice& data) {
    receipt made;
    return done(weft_push(get(), metadata.data(), metadata.size(), data.get(), data.at(), data.length(), &made.number),
                made);
  }
  result<receipt> push(bytes_view metadata, const region& data) { return push(metadata, region_slice(data)); }
  // Data as a list of pieces, joined in order into one event's data; a partition that is given is taken whatever the
  // topic's selector is.
  result<receipt> push_pieces(bytes_view metadata, std::span<const piece> pieces, int32_t partition = any_partition) {
    receipt made;
    const auto* raw = reinterpret_cast<const weft_piece*>(pieces.data());
    return done(weft_push_pieces(get(), partition, metadata.data(), metadata.size(), raw,
                                 static_cast<uint32_t>(pieces.size()), &made.number),
                made);
  }
  // The partition of a key, as the selector key-hash has it, for push_pieces.
  result<int32_t> partition_of_key(bytes_view key) const {
    int32_t partition = 0;
    return done(weft_partition_of_key(get(), key.data(), key.size(), &partition), partition);
  }
  // Until the event is stored at the topic's durability: where it is. WEFT_TIMED_OUT: still under way.
  result<weft_event_id> wait(receipt of, int64_t timeout_ms = forever) const {
    weft_event_id id{};
    return done(weft_receipt_wait(get(), of.number, timeout_ms, &id), id);
  }
  // Sends what is open and waits until all is stored; the first failed batch's code, once.
  status flush(int64_t timeout_ms = forever) { return status(weft_flush(get(), timeout_ms)); }
  // After it: what was acknowledged survives a loss of power, whatever the topic's durability.
  status sync(int64_t timeout_ms = forever) { return status(weft_sync(get(), timeout_ms)); }
  // Behind the last event stored in the partition under this producer's name before this one was opened; 0: none.
  result<uint64_t> stored_before(uint32_t partition) const {
    uint64_t next = 0;
    return done(weft_producer_stored_before(get(), partition, &next), next);
  }
  // WEFT_BUSY when all batches are under way.
  result<batch> open_batch() {
    weft_batch* opened = nullptr;
    status code(weft_batch_open(get(), &opened));
    if (!code.ok()) return code;
    return batch(opened);
  }
  // Flushes first; it is closed whatever that says.
  status close(int64_t timeout_ms = forever) {
    if (get() == nullptr) return detail::closed("producer");
    return status(weft_producer_close(std::exchange(handle_, nullptr), timeout_ms));
  }

 private:
  friend class job;
  producer(std::shared_ptr<detail::job_state> job, weft_producer* handle) : job_(std::move(job)), handle_(handle) {}
  template <typename T>
  static result<T> done(int code, const T& value) {
    if (code != WEFT_OK) return status(code);
    return value;
  }
  void end() {
    constexpr int64_t limit_ms = 30'000;
    if (get() != nullptr) weft_producer_close(handle_, limit_ms);
    handle_ = nullptr;
  }
  std::shared_ptr<detail::job_state> job_;
  weft_producer* handle_ = nullptr;
};

}  // namespace weftline

#endif
