// Memory that servers read and write without a copy: the caller's own, registered once, or the library's. And views of
// bytes, as metadata and data are given.
#ifndef WEFTLINE_CPP_REGION_HPP
#define WEFTLINE_CPP_REGION_HPP

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>

#include "status.hpp"

namespace weftline {

// Bytes of anything: text, spans of plain values. Borrowed for the call.
class bytes_view {
 public:
  bytes_view() = default;
  bytes_view(const void* data, size_t size) : data_(data), size_(size) {}
  bytes_view(std::string_view text) : data_(text.data()), size_(text.size()) {}
  bytes_view(const std::string& text) : data_(text.data()), size_(text.size()) {}
  bytes_view(const char* text) : bytes_view(std::string_view(text)) {}
  template <typename T, size_t N>
  requires std::is_trivially_copyable_v<T> bytes_view(std::span<T, N> values)
      : data_(values.data()), size_(values.size_bytes()) {}
  const void* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  const void* data_ = nullptr;
  size_t size_ = 0;
};

// The bytes of a struct: a packed record without a variable part, as `weftline topic header` writes it.
template <typename T>
requires std::is_trivially_copyable_v<T> bytes_view record(const T& value) { return {&value, sizeof value}; }

class region;

// A part of a region. The region must live as long.
class region_slice {
 public:
  region_slice(const region& whole);
  weft_region* get() const { return region_; }
  uint64_t at() const { return at_; }
  uint64_t length() const { return length_; }

 private:
  friend class region;
  region_slice(weft_region* region, uint64_t at, uint64_t length) : region_(region), at_(at), length_(length) {}
  weft_region* region_;
  uint64_t at_;
  uint64_t length_;
};

class region {
 public:
  region() = default;
  region(region&& other) noexcept : job_(std::move(other.job_)), handle_(std::exchange(other.handle_, nullptr)) {}
  region& operator=(region&& other) noexcept {
    if (this != &other) {
      end();
      job_ = std::move(other.job_);
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  // Waits, at most 30 s, until nothing of it is under way. Longer and it stays registered until the job is closed; the
  // caller's memory has to stay as long.
  ~region() { end(); }

  weft_region* get() const { return job_ != nullptr && job_->handle != nullptr ? handle_ : nullptr; }
  explicit operator bool() const { return get() != nullptr; }
  uint64_t length() const { return weft_region_length(get()); }
  std::span<std::byte> bytes() const {
    return {static_cast<std::byte*>(weft_region_memory(get())), static_cast<size_t>(length())};
  }
  // As whole values; bytes behind the last one are left out.
  template <typename T>
  requires std::is_trivially_copyable_v<T> std::span<T> as()
  const { return {static_cast<T*>(weft_region_memory(get())), static_cast<size_t>(length() / sizeof(T))}; }
  // In bytes; checked by the call that takes it.
  region_slice slice(uint64_t at, uint64_t length) const { return {get(), at, length}; }
  // Until no event that was pushed from it is under way: then it may be written again.
  status wait(int64_t timeout_ms = forever) const {
    return get() == nullptr ? detail::closed("region") : status(weft_region_wait(get(), timeout_ms));
  }
  // WEFT_BUSY while events or fetches of it are under way: then it stays as it is.
  status release() {
    if (get() == nullptr) return detail::closed("region");
    status released(weft_region_release(handle_));
    if (released.ok()) handle_ = nullptr;
    return released;
  }

 private:
  friend class job;
  region(std::shared_ptr<detail::job_state> job, weft_region* handle) : job_(std::move(job)), handle_(handle) {}
  void end() {
    constexpr int64_t limit_ms = 30'000;
    weft_region* handle = get();
    handle_ = nullptr;
    if (handle != nullptr && weft_region_wait(handle, limit_ms) == WEFT_OK) weft_region_release(handle);
  }
  std::shared_ptr<detail::job_state> job_;
  weft_region* handle_ = nullptr;
};

inline region_slice::region_slice(const region& whole) : region_(whole.get()), at_(0), length_(whole.length()) {}

}  // namespace weftline

#endif
