#include "fabric/shm_segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace weft::fabric {

namespace {
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    if (value_ >= 0) ::close(value_);
    value_ = other.release();
  }
  return *this;
}

Descriptor::~Descriptor() {
  if (value_ >= 0) ::close(value_);
}

ShmSegment::ShmSegment(ShmSegment&& other) noexcept
    : descriptor_(std::move(other.descriptor_)),
      data_(std::exchange(other.data_, nullptr)),
      length_(std::exchange(other.length_, 0)) {}

ShmSegment& ShmSegment::operator=(ShmSegment&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(data_, other.data_);
  std::swap(length_, other.length_);
  return *this;
}

ShmSegment::~ShmSegment() {
  if (data_ != nullptr) ::munmap(data_, length_);
}

Status ShmSegment::map(uint64_t length) {
  void* mapped = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_.get(), 0);
  if (mapped == MAP_FAILED) {
    return Status(Code::OUT_OF_MEMORY, join_text("mapping ", length, " bytes of shared memory: ", errno_text(errno)));
  }
  data_ = static_cast<std::byte*>(mapped);
  length_ = length;
  return {};
}

Result<ShmSegment> ShmSegment::make(const char* name, uint64_t length) {
  ShmSegment segment;
  segment.descriptor_ = Descriptor(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!segment.descriptor_.valid() || ::ftruncate(segment.descriptor(), static_cast<off_t>(length)) != 0 ||
      ::fcntl(segment.descriptor(), F_ADD_SEALS, kSeals) != 0) {
    return Status(Code::OUT_OF_MEMORY, join_text("making ", length, " bytes of shared memory: ", errno_text(errno)));
  }
  WEFT_RETURN_IF_ERROR(segment.map(length));
  return segment;
}

Result<ShmSegment> ShmSegment::adopt(Descriptor descriptor, uint64_t length) {
  ShmSegment segment;
  segment.descriptor_ = std::move(descriptor);
  struct stat entry {};
  const int seals = ::fcntl(segment.descriptor(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals || ::fstat(segment.descriptor(), &entry) != 0 ||
      static_cast<uint64_t>(entry.st_size) != length) {
    return Status(Code::PROTOCOL_VERSION, "the other side's shared memory is not sealed or of another size");
  }
  WEFT_RETURN_IF_ERROR(segment.map(length));
  return segment;
}

int send_with_descriptors(int socket, std::span<const std::byte> packet, std::span<const int> descriptors) {
  WEFT_ASSERT(descriptors.size() <= kPassedDescriptorsMax);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kPassedDescriptorsMax)] = {};
  iovec piece{const_cast<std::byte*>(packet.data()), packet.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  cmsghdr* part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(part), descriptors.data(), descriptors.size_bytes());
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return errno;
  return static_cast<size_t>(sent) == packet.size() ? 0 : EMSGSIZE;
}

int64_t receive_with_descriptors(int socket, std::span<std::byte> packet, std::span<Descriptor> descriptors,
                                 size_t& received) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kPassedDescriptorsMax)] = {};
  iovec piece{packet.data(), packet.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  received = 0;
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return -errno;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int value = -1;
      std::memcpy(&value, CMSG_DATA(part) + i * sizeof(int), sizeof value);
      Descriptor owned(value);
      if (received < descriptors.size()) descriptors[received++] = std::move(owned);
    }
  }
  return got;
}

}  // namespace weft::fabric
