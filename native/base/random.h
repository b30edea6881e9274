// Randomness. secure_random: for keys, nonces and secrets, from the kernel. SeededRandom: for tests and fault plans,
// the same on every machine from the same seed (SplitMix64, Steele et al. 2014).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace weft {

// Aborts if the kernel refuses: no later code is safe without it. Any thread.
void secure_random(std::span<std::byte> out);
uint64_t secure_random_u64();

class SeededRandom {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  uint64_t next();
  // Uniform in [0, bound); bound > 0.
  uint64_t below(uint64_t bound);
  bool chance(uint64_t numerator, uint64_t denominator) { return below(denominator) < numerator; }

 private:
  uint64_t state_;
};

}  // namespace weft
