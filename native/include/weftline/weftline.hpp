// Weftline's C++20 face, header-only, over the C API (weftline.h): the same calls with RAII, spans and typed results.
//
//   auto job = weftline::job::attach().value();
//   auto out = job.open_producer("field").value();
//   auto region = job.register_memory(std::span(field)).value();
//   out.push(R"({"step":1})", region).value();
//   out.flush().value();
//
// Errors. A call that can fail returns a `status`, or a `result` with the value or why there is none: a code of
// weft_errors.h and the library's words. Nothing here throws but value(), and that only where exceptions are on; with
// -fno-exceptions it writes the words to stderr and aborts.
// Ownership. An object closes its handle at the end of its life, quietly; close() does it with an answer. Objects of a
// job are closed with it: one that outlives it is empty. Objects can be moved, not copied. Threads, time limits,
// whether a call is collective: as weftline.h says of the C call of the same name. get() is the C handle, for what this
// face leaves out (collectives, completions of a binding of one's own). Nothing is allocated for an event that the C
// API does not allocate.
#ifndef WEFTLINE_WEFTLINE_HPP
#define WEFTLINE_WEFTLINE_HPP

#include "cpp/consumer.hpp"
#include "cpp/job.hpp"
#include "cpp/producer.hpp"
#include "cpp/region.hpp"
#include "cpp/selection.hpp"
#include "cpp/status.hpp"

#endif
