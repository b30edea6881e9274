// Memory straight from the system, in whole pages: for what peers read and write, and for what is large.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/status.h"

namespace weft {

// `length` zero bytes, to be given back with munmap. In large pages where the system has them: a peer on the same host
// reads and writes them twice as fast (docs/performance.md). `touched`: all of them are there at once, since RMA into
// fresh pages is several times slower. OUT_OF_MEMORY names no object: the caller does.
enum class Touch { kAll, kWhenUsed };
Result<std::byte*> map_pages(uint64_t length, Touch touch);

}  // namespace weft
