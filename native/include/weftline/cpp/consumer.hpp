// Consuming events: one at a time, with a selection of their data, or frame by frame.
#ifndef WEFTLINE_CPP_CONSUMER_HPP
#define WEFTLINE_CPP_CONSUMER_HPP

#include <cstring>

#include "region.hpp"
#include "selection.hpp"

namespace weftline {

// The members of weft_consumer_options, with its defaults. Texts and partitions are read by the call that takes them.
struct consumer_options : weft_consumer_options {
  consumer_options() : weft_consumer_options(WEFT_CONSUMER_OPTIONS_DEFAULT) {}
  consumer_options& read(std::span<const uint32_t> list) {
    partitions = list.data();
    partition_count = static_cast<uint32_t>(list.size());
    return *this;
  }
};

// One event: a view, whose metadata is good until the next pull on its consumer. Its data is fetched.
class event {
 public:
  uint32_t partition() const { return raw_.partition; }
  uint64_t offset() const { return raw_.offset; }
  uint32_t partition_epoch() const { return raw_.partition_epoch; }
  uint64_t time_ns() const { return raw_.time_ns; }
  uint64_t append_time_ns() const { return raw_.append_time_ns; }
  std::string_view metadata() const {
    return {reinterpret_cast<const char*>(raw_.metadata), static_cast<size_t>(raw_.metadata_length)};
  }
  std::span<const uint8_t> metadata_bytes() const { return {raw_.metadata, static_cast<size_t>(raw_.metadata_length)}; }
  // The fixed part of a packed record, copied; WEFT_METADATA_INVALID if it is shorter than T.
  template <typename T>
  requires std::is_trivially_copyable_v<T> result<T> record()
  const {
    T made;
    if (raw_.metadata_length < sizeof made) {
      return status(WEFT_METADATA_INVALID,
                    "WEFT_METADATA_INVALID: event " + std::to_string(raw_.offset) + " of partition " +
                        std::to_string(raw_.partition) + " has " + std::to_string(raw_.metadata_length) +
                        " bytes of metadata; its record " + "was expected to have " + std::to_string(sizeof made));
    }
    std::memcpy(&made, raw_.metadata, sizeof made);
    return made;
  }
  uint64_t data_length() const { return raw_.data_length; }

  // The selected bytes into `destination`, which must be long enough. Plain memory gets a copy.
  template <typename T, size_t N>
  requires std::is_trivially_copyable_v<T> status fetch(const selection& wanted, std::span<T, N> destination)
  const { return fetch_raw(wanted, destination.data(), destination.size_bytes(), nullptr); }
  // ... into a region, which the server writes itself.
  status fetch(const selection& wanted, const region_slice& destination) const {
    auto* memory = static_cast<std::byte*>(weft_region_memory(destination.get()));
    if (memory == nullptr) return detail::closed("region");
    return fetch_raw(wanted, memory + destination.at(), destination.length(), destination.get());
  }
  status fetch(const selection& wanted, const region& destination) const {
    return fetch(wanted, region_slice(destination));
  }
  // Done: consumer_options::ack_every_events says when that is committed.
  status ack() const { return status(weft_ack(consumer_, raw_.partition, raw_.offset)); }
  // The consumer's name goes on behind this event; waits until that is durable.
  status commit(int64_t timeout_ms = forever) const {
    return status(weft_commit(consumer_, raw_.partition, raw_.offset + 1, timeout_ms));
  }
  const weft_event& get() const { return raw_; }

 private:
  friend class consumer;
  event(weft_consumer* consumer, const weft_event& raw) : consumer_(consumer), raw_(raw) {}
  status fetch_raw(const selection& wanted, void* destination, uint64_t length, weft_region* region) const {
    const weft_run whole{0, raw_.data_length, 0, nullptr};
    const std::span<const weft_run> runs = wanted.is_all() ? std::span(&whole, 1) : wanted.runs();
    const weft_selection one{raw_.offset, 0, runs.data(), static_cast<uint32_t>(runs.size())};
    return status(weft_data_fetch(consumer_, raw_.partition, &one, 1, destination, length, region));
  }
  weft_consumer* consumer_;
  weft_event raw_;
};

// A batch of events as it is stored, in memory of the library; given back at its end. It must not outlive its consumer.
class frame {
 public:
  frame(frame&& other) noexcept : consumer_(std::exchange(other.consumer_, nullptr)), raw_(other.raw_) {}
  frame& operator=(frame&& other) noexcept {
    std::swap(consumer_, other.consumer_);
    std::swap(raw_, other.raw_);
    return *this;
  }
  ~frame() {
    if (consumer_ != nullptr) weft_frame_release(consumer_, raw_.partition, raw_.id);
  }
  // Columns and metadata; events before `skip` were not asked for.
  const weft_frame& get() const { return raw_; }
  std::string_view metadata(uint32_t index) const {
    const uint32_t begin = index == 0 ? 0 : raw_.metadata_end[index - 1];
    return {reinterpret_cast<const char*>(raw_.metadata) + begin, raw_.metadata_end[index] - begin};
  }

 private:
  friend class consumer;
  frame(weft_consumer* consumer, const weft_frame& raw) : consumer_(consumer), raw_(raw) {}
  weft_consumer* consumer_;
  weft_frame raw_;
};

class consumer {
 public:
  struct lag_facts {
    uint64_t next_offset;
    uint64_t visible_end;
  };

  consumer() = default;
  consumer(consumer&& other) noexcept : job_(std::move(other.job_)), handle_(std::exchange(other.handle_, nullptr)) {}
  consumer& operator=(consumer&& other) noexcept {
    if (this != &other) {
      end();
      job_ = std::move(other.job_);
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  // Commits what was acknowledged; close() tells whether that went well.
  ~consumer() { end(); }

  weft_consumer* get() const { return job_ != nullptr && job_->handle != nullptr ? handle_ : nullptr; }
  explicit operator bool() const { return get() != nullptr; }

  // The next event of any partition. WEFT_TIMED_OUT loses nothing; WEFT_END_OF_STREAM: there are no more. So a loop is
  //   while (auto event = in.pull()) …
  // and the code of what ended it says whether that was the end.
  result<event> pull(int64_t timeout_ms = forever) {
    weft_event raw{};
    const int code = weft_pull(get(), timeout_ms, &raw);
    if (code != WEFT_OK) return status(code);
    return event(handle_, raw);
  }
  // A frame if one is there; never blocks. Not beside pull.
  result<std::optional<frame>> poll() {
    weft_frame raw{};
    raw.size = sizeof raw;
    int found = 0;
    const int code = weft_consumer_poll(get(), &raw, &found);
    if (code != WEFT_OK) return status(code);
    std::optional<frame> came;
    if (found != 0) came.emplace(frame(handle_, raw));
    return result<std::optional<frame>>(std::move(came));
  }
  // Selections of up to 1,024 events of one partition in growing order of offset, with one request: weft_data_fetch.
  status fetch(uint32_t partition, std::span<const weft_selection> selections, std::span<std::byte> destination) {
    return status(weft_data_fetch(get(), partition, selections.data(), static_cast<uint32_t>(selections.size()),
                                  destination.data(), destination.size(), nullptr));
  }
  status fetch(uint32_t partition, std::span<const weft_selection> selections, const region_slice& destination) {
    auto* memory = static_cast<std::byte*>(weft_region_memory(destination.get()));
    if (memory == nullptr) return detail::closed("region");
    return status(weft_data_fetch(get(), partition, selections.data(), static_cast<uint32_t>(selections.size()),
                                  memory + destination.at(), destination.length(), destination.get()));
  }
  // Makes durable how far all events are acknowledged.
  status commit_acknowledged(int64_t timeout_ms = forever) {
    return status(weft_commit_acknowledged(get(), timeout_ms));
  }
  // `offset` is the next one wanted.
  status commit(uint32_t partition, uint64_t offset, int64_t timeout_ms = forever) {
    return status(weft_commit(get(), partition, offset, timeout_ms));
  }
  // Goes on from another place in these partitions, or in all that it reads; between pulls.
  status seek(weft_from from, uint64_t value = 0, std::span<const uint32_t> partitions = {}) {
    return status(weft_consumer_seek(get(), partitions.empty() ? nullptr : partitions.data(),
                                     static_cast<uint32_t>(partitions.size()), static_cast<uint32_t>(from), value));
  }
  result<lag_facts> lag(uint32_t partition) {
    lag_facts facts{};
    const int code = weft_consumer_lag(get(), partition, &facts.next_offset, &facts.visible_end);
    if (code != WEFT_OK) return status(code);
    return facts;
  }
  status close() {
    if (get() == nullptr) return detail::closed("consumer");
    return status(weft_consumer_close(std::exchange(handle_, nullptr)));
  }

 private:
  friend class job;
  consumer(std::shared_ptr<detail::job_state> job, weft_consumer* handle) : job_(std::move(job)), handle_(handle) {}
  void end() {
    if (get() != nullptr) weft_consumer_close(handle_);
    handle_ = nullptr;
  }
  std::shared_ptr<detail::job_state> job_;
  weft_consumer* handle_ = nullptr;
};

}  // namespace weftline

#endif
