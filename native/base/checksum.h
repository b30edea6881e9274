// CRC32C (Castagnoli), as used over every stored byte and every message.
// Any thread. The implementation is ISA-L's, which picks the instructions of the processor at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace weft {

// CRC32C of the bytes; pass the result as `seed` to go on with the next piece. crc32c("123456789") = 0xE3069283.
uint32_t crc32c(std::span<const std::byte> bytes, uint32_t seed = 0);
inline uint32_t crc32c(const void* bytes, size_t length, uint32_t seed = 0) {
  return crc32c({static_cast<const std::byte*>(bytes), length}, seed);
}

}  // namespace weft
