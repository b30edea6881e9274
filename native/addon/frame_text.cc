#include "frame_text.h"

#include <cstring>

namespace weft::addon {
namespace {

// The length of the UTF-8 character at `bytes`, 0 if it is none (RFC 3629: no surrogates, no overlong forms).
size_t character_length(const uint8_t* bytes, size_t room) {
  auto follows = [&](size_t index, uint8_t low, uint8_t high) {
    return index < room && bytes[index] >= low && bytes[index] <= high;
  };
  uint8_t lead = bytes[0];
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return follows(1, 0x80, 0xbf) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    uint8_t low = lead == 0xe0 ? 0xa0 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : 0xbf;
    return follows(1, low, high) && follows(2, 0x80, 0xbf) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    uint8_t low = lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xf4 ? 0x8f : 0xbf;
    return follows(1, low, high) && follows(2, 0x80, 0xbf) && follows(3, 0x80, 0xbf) ? 4 : 0;
  }
  return 0;
}

}  // namespace

bool is_ascii(const uint8_t* bytes, size_t length) {
  uint64_t seen = 0;
  size_t at = 0;
  for (; at + 8 <= length; at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes + at, 8);
    seen |= word;
  }
  for (; at < length; at++) seen |= bytes[at];
  return (seen & UINT64_C(0x8080808080808080)) == 0;
}

bool utf16_ends(const uint8_t* bytes, const uint32_t* byte_ends, uint32_t count, uint32_t* unit_ends) {
  size_t at = 0;
  uint32_t units = 0;
  for (uint32_t event = 0; event < count; event++) {
    size_t end = byte_ends[event];
    if (end < at) return false;
    while (at < end) {
      size_t length = character_length(bytes + at, end - at);
      if (length == 0) return false;
      units += length == 4 ? 2 : 1;
      at += length;
    }
    unit_ends[event] = units;
  }
  return true;
}

}  // namespace weft::addon
