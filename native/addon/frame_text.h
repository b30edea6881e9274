// A frame's metadata as text: JavaScript makes one string of all of it and cuts it per event, which is three times
// faster than a string per event. A string is cut by UTF-16 units, the frame counts bytes: the ends are converted here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::addon {

bool is_ascii(const uint8_t* bytes, size_t length);

// Writes the end of each event in UTF-16 units. False if the bytes of any event are not UTF-8 by themselves, in which
// case `unit_ends` is undefined.
bool utf16_ends(const uint8_t* bytes, const uint32_t* byte_ends, uint32_t count, uint32_t* unit_ends);

}  // namespace weft::addon
