// The lengths that a packed record must have, out of its topic's schema (docs/formats/packed.md): what the C API checks
// of metadata that is pushed. The values of fields are the caller's business: any bytes are some value.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace weft::library {

struct PackedLayout {
  uint64_t fixed_bytes = 0;          // of the C struct; 0: records are not checked
  std::vector<uint32_t> lengths_at;  // in the fixed part: a u32 for each field of the variable part
};

// Of a topic's description; without a schema nothing is checked. WEFT_FORMAT_NEWER, WEFT_CONFIG_INVALID.
Result<PackedLayout> packed_layout_of(std::string_view topic, std::string_view description);

// WEFT_METADATA_INVALID when the record has not the length that it must have.
Status check_record(const PackedLayout& layout, std::string_view topic, std::string_view record);

}  // namespace weft::library
