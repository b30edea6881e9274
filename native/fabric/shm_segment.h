// A sealed memfd and its mapping, and the passing of descriptors over a unix socket. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"

namespace weft::fabric {

// A descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return value_; }
  bool valid() const { return value_ >= 0; }
  int release() {
    const int value = value_;
    value_ = -1;
    return value;
  }

 private:
  int value_ = -1;
};

class ShmSegment {
 public:
  ShmSegment() = default;
  ShmSegment(ShmSegment&& other) noexcept;
  ShmSegment& operator=(ShmSegment&& other) noexcept;
  ~ShmSegment();

  // Zero-filled; sealed, so that no one can shrink it under a reader (SIGBUS).
  static Result<ShmSegment> make(const char* name, uint64_t length);
  // Checks seals and length.
  static Result<ShmSegment> adopt(Descriptor descriptor, uint64_t length);

  std::byte* data() const { return data_; }
  int descriptor() const { return descriptor_.get(); }

 private:
  Status map(uint64_t length);

  Descriptor descriptor_;
  std::byte* data_ = nullptr;
  uint64_t length_ = 0;
};

constexpr size_t kPassedDescriptorsMax = 4;
// errno, or 0.
int send_with_descriptors(int socket, std::span<const std::byte> packet, std::span<const int> descriptors);
// Bytes received, 0 at the end of the connection, -errno.
int64_t receive_with_descriptors(int socket, std::span<std::byte> packet, std::span<Descriptor> descriptors,
                                 size_t& received);

}  // namespace weft::fabric
