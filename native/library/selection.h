// Selections of the C API as the wire wants them.
#pragma once

#include <string>

#include "base/status.h"
#include "weftline/weftline.h"

namespace weft::library {

// Checks the counts and the arithmetic; `bytes` selected in all. The event's length is checked by the server.
Result<std::string> encode_selection(const weft_selection& selection, uint64_t destination_at, uint64_t* bytes);

}  // namespace weft::library
