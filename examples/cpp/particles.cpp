// A producer of packed records: the metadata is a struct, which the topic's schema describes, and the data are
// positions in memory of the library, two buffers in turn: one is written while the other is sent.
//   particles 20        in an MPI launch beside a server, or alone with WEFTLINE_GROUP
// The topic's configuration is
//   particles: { packed: { fields: [ { name: step, type: u32 }, { name: time, type: f64 }, { name: count, type: u64 } ]
//   } }
#include <array>
#include <cstdio>
#include <cstdlib>
#include <weftline/weftline.hpp>

namespace {
struct Step {
  uint32_t step;
  double time;
  uint64_t count;
};
constexpr uint64_t kParticles = 4096;

int run(uint32_t steps) {
  weftline::join_options options;
  options.name = "particles";
  auto job = weftline::job::join(options).value();
  weftline::producer_options named;
  named.name = "particles-0";
  auto out = job.open_producer("particles", named).value();
  std::array<weftline::region, 2> buffers;
  for (auto& buffer : buffers) buffer = job.allocate(kParticles * 3 * sizeof(double)).value();

  for (uint32_t step = 0; step < steps; ++step) {
    weftline::region& buffer = buffers[step % 2];
    buffer.wait().value();  // nothing of it is under way
    double position = step;
    for (double& coordinate : buffer.as<double>()) coordinate = position += 0.5;
    const Step record{step, step / 4.0, kParticles};
    out.push(weftline::record(record), buffer).value();
  }
  out.flush().value();
  std::printf("%u steps are stored\n", steps);
  out.close().value();
  for (auto& buffer : buffers) buffer.release().value();
  job.close().value();
  return EXIT_SUCCESS;
}
}  // namespace

int main(int argc, char** argv) {
  const long steps = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 20;
  if (steps < 1) {
    std::fprintf(stderr, "usage: particles [STEPS]\n");
    return 2;
  }
  try {
    return run(static_cast<uint32_t>(steps));
  } catch (const weftline::error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return EXIT_FAILURE;
  }
}
