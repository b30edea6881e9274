// Bounded little-endian reading and writing for the lane's own messages and addresses. Any thread.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weft::fabric {

static_assert(std::endian::native == std::endian::little, "the layouts are copied as they are in memory");

class ByteWriter {
 public:
  template <typename Value>
  void put(Value value) {
    static_assert(std::is_trivially_copyable_v<Value>);
    const auto* start = reinterpret_cast<const std::byte*>(&value);
    out_.insert(out_.end(), start, start + sizeof value);
  }
  void put_bytes(std::span<const std::byte> bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  void put_text(std::string_view text) { put_bytes(std::as_bytes(std::span(text.data(), text.size()))); }
  std::span<const std::byte> view() const { return out_; }
  std::vector<std::byte> take() { return std::move(out_); }

 private:
  std::vector<std::byte> out_;
};

// After a read past the end ok() is false and every value is zero or empty.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : rest_(bytes) {}
  template <typename Value>
  Value get() {
    static_assert(std::is_trivially_copyable_v<Value>);
    Value value{};
    const std::span<const std::byte> bytes = get_bytes(sizeof(Value));
    if (ok_) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::span<const std::byte> get_bytes(size_t length) {
    if (!ok_ || length > rest_.size()) {
      ok_ = false;
      return {};
    }
    const std::span<const std::byte> bytes = rest_.first(length);
    rest_ = rest_.subspan(length);
    return bytes;
  }
  std::string get_text(size_t length) {
    const std::span<const std::byte> bytes = get_bytes(length);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  bool ok() const { return ok_; }
  size_t left() const { return rest_.size(); }

 private:
  std::span<const std::byte> rest_;
  bool ok_ = true;
};

}  // namespace weft::fabric
