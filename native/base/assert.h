// WEFT_ASSERT: a programmer error. It stays on in production: stopping beats writing wrong bytes.
#pragma once

namespace weft {
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);
}

#define WEFT_ASSERT(expression) \
  ((expression) ? static_cast<void>(0) : ::weft::assertion_failed(#expression, __FILE__, __LINE__))
