// Compiled, not run: all of the C++ face with every warning, without exceptions and without run-time types.
#include <weftline/weftline.hpp>

#if defined(__cpp_exceptions)
#error "compile this with -fno-exceptions"
#endif

double sum_of_corners(const char* group) {
  auto job = weftline::job::attach(group);
  if (!job) return static_cast<double>(job.code());
  auto out = job->open_producer("field");
  double values[64] = {};
  auto region = job->register_memory(std::span(values));
  if (!out || !region) return -1;
  if (!out->push("{}", *region) || !out->push(weftline::record(42)) || !out->flush()) return -1;
  auto in = job->open_consumer("field");
  auto box = weftline::selection::box<2>({8, 8}, {0, 0}, {2, 2}, sizeof(double)).value();
  double sum = 0;
  while (auto event = in.value().pull(1000)) {
    double corner[4] = {};
    if (!event->fetch(box, std::span(corner))) break;
    sum += corner[0] + corner[3];
    if (!event->ack()) break;
  }
  return sum;
}
