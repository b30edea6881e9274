// Slabs whose transfer failed, on a lane that lets registrations go when the test says so.
#include "broker/slab_pool.h"

#include <gtest/gtest.h>

#include <map>

namespace weft::broker {
namespace {

class Region final : public fabric::Region {
 public:
  std::byte* data() const override { return nullptr; }
  uint64_t length() const override { return 0; }
  fabric::RemoteMemory describe(fabric::PeerId) const override { return {}; }
};

// Registrations are numbered from 1, in the order in which they are given up.
class ReleasingLane final : public fabric::Lane {
 public:
  Result<std::unique_ptr<fabric::Region>> register_memory(void*, uint64_t, uint32_t) override {
    return std::unique_ptr<fabric::Region>(std::make_unique<Region>());
  }
  void release_when_safe(std::unique_ptr<fabric::Region>, std::function<void()> then) override {
    held_[++released_] = std::move(then);
  }
  void let_go(uint64_t number) {
    const auto then = std::move(held_.at(number));
    held_.erase(number);
    then();
  }
  void set_handler(fabric::Channel, fabric::Handler*) override {}
  Status start() override { return {}; }
  void close() override {}
  const std::string& address() const override { return address_; }
  void post(fabric::Task*) override {}
  fabric::LaneCounters counters() const override { return {}; }
  bool on_progress_thread() const override { return true; }
  std::vector<std::string> describe() const override { return {}; }
  fabric::PeerId connect(std::span<const std::byte>, fabric::Channel) override { return 0; }
  void disconnect(fabric::PeerId) override {}
  Status send(fabric::PeerId, std::span<const std::span<const std::byte>>) override { return {}; }
  void read(fabric::Transfer*) override {}
  void write(fabric::Transfer*) override {}
  std::string transport_of(fabric::PeerId) const override { return "none"; }
  void arm(fabric::Timer*, uint64_t) override {}
  void disarm(fabric::Timer*) override {}
  uint64_t now_ns() override { return 0; }

  std::map<uint64_t, std::function<void()>> held_;
  uint64_t released_ = 0;

 private:
  std::string address_;
};

class Quarantine : public testing::Test {
 protected:
  std::byte* take(uint64_t* generation) {
    EXPECT_NE(pool_->region(), nullptr);
    *generation = pool_->generation();
    return pool_->take();
  }
  ReleasingLane lane_;
  std::unique_ptr<SlabPool> pool_ = SlabPool::create(lane_, kSlabsMin* kSlabBytes).take();
};

// An operation of one peer that never completes once kept every slab that failed later.
TEST_F(Quarantine, WaitsOnlyForTheRegistrationThatWasUsed) {
  uint64_t stuck_generation = 0;
  std::byte* stuck = take(&stuck_generation);
  pool_->quarantine(stuck, stuck_generation, [] { FAIL() << "its registration was not let go"; });
  int freed = 0;
  for (uint32_t round = 0; round < 3 * kSlabsMin; ++round) {
    uint64_t generation = 0;
    std::byte* slab = take(&generation);
    ASSERT_NE(slab, nullptr) << round;
    EXPECT_GT(generation, stuck_generation);
    pool_->quarantine(slab, generation, [&] { ++freed; });
    EXPECT_EQ(pool_->quarantined(), 2u);
    lane_.let_go(lane_.released_);
    EXPECT_EQ(freed, static_cast<int>(round) + 1);
  }
  EXPECT_EQ(pool_->in_use(), 1u);
  EXPECT_EQ(pool_->quarantined(), 1u);
}

TEST_F(Quarantine, ALaterFailureUnderTheSameRegistrationGivesUpNoOther) {
  uint64_t generation = 0;
  std::byte* first = take(&generation);
  std::byte* second = take(&generation);
  std::byte* third = take(&generation);
  int freed = 0;
  pool_->quarantine(first, generation, [&] { ++freed; });
  EXPECT_NE(pool_->region(), nullptr);
  pool_->quarantine(second, generation, [&] { ++freed; });
  EXPECT_EQ(lane_.released_, 1u);
  EXPECT_EQ(freed, 0);
  lane_.let_go(1);
  EXPECT_EQ(freed, 2);
  // Let go before the last one failed.
  pool_->quarantine(third, generation, [&] { ++freed; });
  EXPECT_EQ(freed, 3);
  EXPECT_EQ(pool_->in_use(), 0u);
  EXPECT_EQ(lane_.released_, 1u);
}

TEST_F(Quarantine, TheEndWaitsForAll) {
  uint64_t generation = 0;
  std::byte* first = take(&generation);
  pool_->quarantine(first, generation, [] {});
  std::byte* second = take(&generation);
  pool_->quarantine(second, generation, [] {});
  EXPECT_NE(pool_->region(), nullptr);
  bool ended = false;
  pool_->release([&] { ended = true; });
  EXPECT_EQ(lane_.released_, 3u);
  lane_.let_go(2);
  lane_.let_go(3);
  EXPECT_FALSE(ended);
  lane_.let_go(1);
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace weft::broker
