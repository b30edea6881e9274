// What ranks of c_driver.cc have in common with those of bench/driver: the collectives, the clock, processor time.
// On the main thread only, which joined.
#pragma once

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "weftline/weftline.h"

namespace weft::bench {

inline double now_us() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

// At once if that is over.
inline void sleep_until(double us) {
  const auto ns = static_cast<int64_t>(us * 1e3);
  const timespec until{ns / 1'000'000'000, ns % 1'000'000'000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) != 0) {
  }
}

inline double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// 48 bits of the boot's identity, as clock.ts takes them.
inline double host_number() {
  char text[64] = "";
  std::FILE* file = std::fopen("/proc/sys/kernel/random/boot_id", "r");
  if (file == nullptr || std::fgets(text, sizeof text, file) == nullptr) std::exit(1);
  std::fclose(file);
  std::string digits;
  for (const char* at = text; *at != '\0' && digits.size() < 12; ++at) {
    if (*at != '-') digits += *at;
  }
  return static_cast<double>(std::strtoull(digits.c_str(), nullptr, 16));
}

class World {
 public:
  explicit World(weft_job* job) { WEFT_TRY(weft_communicator_world(job, &world_)); }
  void barrier() {
    weft_collective* collective = nullptr;
    WEFT_TRY(weft_barrier_start(world_, &collective));
    finish(collective);
  }
  // Every rank's numbers, in order of rank; all give as many.
  std::vector<double> gather(const std::vector<double>& numbers) {
    int32_t size = 0;
    WEFT_TRY(weft_communicator_size(world_, nullptr, &size));
    std::vector<double> all(numbers.size() * static_cast<size_t>(size));
    weft_collective* collective = nullptr;
    WEFT_TRY(weft_allgather_start(world_, numbers.data(), numbers.size() * sizeof(double), all.data(), &collective));
    finish(collective);
    return all;
  }
  // As many as each has: gatherSamples of topic-run.ts.
  void gather_samples(std::vector<double> samples) {
    const std::vector<double> lengths = gather({static_cast<double>(samples.size())});
    samples.resize(static_cast<size_t>(std::max(1.0, *std::max_element(lengths.begin(), lengths.end()))));
    gather(samples);
  }

 private:
  static void finish(weft_collective* collective) {
    for (int done = 0;;) {
      WEFT_TRY(weft_collective_test(collective, &done));
      if (done != 0) return;
      usleep(200);
    }
  }
  weft_communicator* world_ = nullptr;
};

}  // namespace weft::bench
