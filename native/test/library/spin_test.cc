// What a thread does before it sleeps: it finds what comes soon, and costs next to nothing where answers take long.
#include "library/spin.h"

#include <gtest/gtest.h>

#include <mutex>

namespace weft::library {
namespace {

constexpr uint64_t kFarNs = UINT64_MAX;

TEST(Spin, EndsWhenItIsDoneAndHoldsTheLockAgain) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  Spin spin;
  for (int round = 0; round < 100; round++) {
    int looks = 0;
    spin.wait(lock, kFarNs, [&] {
      EXPECT_FALSE(lock.owns_lock());
      return ++looks > 0;
    });
    EXPECT_EQ(looks, 1) << "each time, as long as it pays";
    EXPECT_TRUE(lock.owns_lock());
  }
}

TEST(Spin, AfterWaitsInVainLooksEvery64thTime) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  Spin spin;
  int spins = 0;
  for (int wait = 0; wait < 64 * 20; wait++) {
    bool looked = false;
    spin.wait(lock, kFarNs, [&] {
      looked = true;
      return false;
    });
    spins += looked ? 1 : 0;
  }
  EXPECT_GE(spins, 20);
  EXPECT_LE(spins, 26);  // some more before the first 64
  bool found = false;
  for (int wait = 0; wait < 64 && !found; wait++) spin.wait(lock, kFarNs, [&] { return found = true; });
  EXPECT_TRUE(found);
  int looks = 0;
  spin.wait(lock, kFarNs, [&] { return ++looks > 0; });
  EXPECT_EQ(looks, 1) << "at once again, since it paid";
}

TEST(Spin, LooksNoLongerThanTheDeadline) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  Spin spin;
  int looks = 0;
  spin.wait(lock, 0, [&] { return ++looks < 0; });
  EXPECT_EQ(looks, 1);
}

}  // namespace
}  // namespace weft::library
