#include "base/checksum.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace weft {

uint32_t crc32c(std::span<const std::byte> bytes, uint32_t seed) {
  // ISA-L takes the length as int, and neither inverts before nor after.
  constexpr size_t kPieceBytes = size_t{1} << 30;
  uint32_t state = ~seed;
  while (!bytes.empty()) {
    const size_t length = std::min(bytes.size(), kPieceBytes);
    // const_cast: ISA-L's prototype lacks const; it only reads.
    auto* start = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
    state = crc32_iscsi(start, static_cast<int>(length), state);
    bytes = bytes.subspan(length);
  }
  return ~state;
}

}  // namespace weft
