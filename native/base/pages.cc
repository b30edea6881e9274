#include "base/pages.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

namespace weft {

namespace {
constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kLargePageBytes = 2 * 1024 * 1024;

// Where a large page can begin: older kernels put a mapping anywhere.
std::byte* trim(std::byte* start, uint64_t mapped, uint64_t length) {
  const uint64_t head = -reinterpret_cast<uint64_t>(start) % kLargePageBytes;
  const uint64_t kept = (length + kPageBytes - 1) / kPageBytes * kPageBytes;
  // One that cannot be cut costs address space, no memory.
  if (head > 0) static_cast<void>(::munmap(start, head));
  if (mapped > head + kept) static_cast<void>(::munmap(start + head + kept, mapped - head - kept));
  return start + head;
}
}  // namespace

Result<std::byte*> map_pages(uint64_t length, Touch touch) {
  const bool large = length >= kLargePageBytes;
  // A length at the end of the address space stays what it is, and is refused.
  const uint64_t mapped = large ? std::max(length, length + kLargePageBytes) : length;
  void* memory = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return Status(Code::OUT_OF_MEMORY, join_text("mapping ", length, " bytes failed: ", errno_text(errno)));
  }
  auto* start = static_cast<std::byte*>(memory);
  if (large) start = trim(start, mapped, length);
  // Without them it works as well.
  if (large) static_cast<void>(::madvise(start, length, MADV_HUGEPAGE));
  if (touch == Touch::kAll) {
    for (uint64_t at = 0; at < length; at += kPageBytes) start[at] = std::byte{0};
  }
  return start;
}

}  // namespace weft
