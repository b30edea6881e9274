#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace weft {
void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "weftline: assertion failed: %s at %s:%d\n", expression, file, line);
  std::abort();
}
}  // namespace weft
