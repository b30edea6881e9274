// A consumer that takes a box out of each event, and no other bytes cross the network. Built without exceptions: each
// failure is looked at.
//   corner TOPIC ROWS COLUMNS [NAME]     in an MPI launch beside a server, or alone with WEFTLINE_GROUP
// Data are doubles in rows of COLUMNS. With a name it acknowledges; ends with the topic.
#include <cstdio>
#include <cstdlib>
#include <weftline/weftline.hpp>

namespace {
constexpr uint64_t kSide = 4;

int failed(const weftline::status& why) {
  std::fprintf(stderr, "%s\n", why.text().c_str());
  return EXIT_FAILURE;
}
}  // namespace

int main(int argc, char** argv) {
  const uint64_t rows = argc > 3 ? std::strtoull(argv[2], nullptr, 10) : 0;
  const uint64_t columns = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 0;
  if (rows < kSide || columns < kSide) {
    std::fprintf(stderr, "usage: corner TOPIC ROWS COLUMNS [NAME]\n");
    return 2;
  }
  weftline::join_options options;
  options.name = "corner";
  auto job = weftline::job::join(options);
  if (!job) return failed(job.why());
  weftline::consumer_options from;
  from.name = argc > 4 ? argv[4] : nullptr;
  auto in = job->open_consumer(argv[1], from);
  if (!in) return failed(in.why());
  const auto box = weftline::selection::box<2>({rows, columns}, {1, 1}, {kSide, kSide}, sizeof(double));
  if (!box) return failed(box.why());

  std::array<double, kSide * kSide> values{};
  auto event = in->pull();
  for (; event; event = in->pull()) {
    const auto fetched = event->fetch(*box, std::span(values));
    if (!fetched) return failed(fetched);
    double sum = 0;
    for (const double value : values) sum += value;
    const std::string_view metadata = event->metadata();
    std::printf("%u:%llu %.*s sum %.17g\n", event->partition(), static_cast<unsigned long long>(event->offset()),
                static_cast<int>(metadata.size()), metadata.data(), sum);
    if (from.name == nullptr) continue;
    const auto acknowledged = event->ack();
    if (!acknowledged) return failed(acknowledged);
  }
  if (event.code() != WEFT_END_OF_STREAM) return failed(event.why());
  const auto closed = in->close();
  if (!closed) return failed(closed);
  const auto left = job->close();
  return left ? EXIT_SUCCESS : failed(left);
}
