// Where a process looks for the slots, and to which it connects while it joins.
#include "library/slot_table.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>

#include "group/group_directory.h"

namespace weft::library {
namespace {

class GroupDirectory {
 public:
  GroupDirectory() {
    std::string path = testing::TempDir() + "slot-table-XXXXXX";
    path_ = mkdtemp(path.data());
  }
  ~GroupDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  void write(uint32_t slot, uint32_t epoch, const std::string& address) const {
    group::SlotRecord record;
    record.slot = slot;
    record.epoch = epoch;
    record.address = address;
    record.process = group::this_process();
    ASSERT_TRUE(group::write_slot(path_, record).ok());
  }

 private:
  std::string path_;
};

// A launch of thousands of ranks would otherwise open as many files for each slot, at the same moment.
TEST(SlotTable, TheFirstQuestionIsAnsweredWithoutTheGroupDirectoryAndLaterOnesWithIt) {
  const GroupDirectory directory;
  directory.write(3, 8, "later");
  SlotTable table;
  table.set_group(directory.path(), {});
  table.put(3, 7, "first");
  EXPECT_EQ(table.find_address(3).value(), "first");
  EXPECT_EQ(table.find_address(3).value(), "later");
  table.put(3, 9, "newest");
  EXPECT_EQ(table.find_address(3).value(), "newest");
  EXPECT_EQ(table.find_address(3).value(), "newest") << "an older epoch on record does not count";
}

TEST(SlotTable, WhatTheJoinSaidIsNotTrustedForLong) {
  class TestClock final : public Clock {
   public:
    uint64_t monotonic_ns() override { return now_ns; }
    uint64_t realtime_ns() override { return now_ns; }
    uint64_t now_ns = kNsPerSecond;
  } clock;
  const GroupDirectory directory;
  directory.write(3, 8, "later");
  SlotTable table(clock);
  table.put(3, 7, "first");
  clock.now_ns += 3600 * kNsPerSecond;
  EXPECT_EQ(table.find_address(3).value(), "first") << "without a group directory there is nothing better";
  table.set_group(directory.path(), {});
  table.put(3, 7, "first");
  clock.now_ns += 3600 * kNsPerSecond;
  EXPECT_EQ(table.find_address(3).value(), "later");
}

TEST(SlotTable, ASlotThatOnlyTheGroupDirectoryKnowsIsFound) {
  const GroupDirectory directory;
  directory.write(1, 1, "there");
  SlotTable table;
  table.set_group(directory.path(), {});
  EXPECT_EQ(table.find_address(1).value(), "there");
  EXPECT_EQ(table.find_address(2).status().code(), Code::GROUP_MISSING);
}

TEST(SlotTable, ASlotThatWasAnnouncedIsCountedAndReadWhenItIsAskedFor) {
  const GroupDirectory directory;
  SlotTable table;
  table.set_group(directory.path(), {});
  table.announce(7);
  EXPECT_EQ(table.slots(), std::vector<uint32_t>{7});
  EXPECT_EQ(table.find_address(7).status().code(), Code::GROUP_MISSING);
  directory.write(7, 2, "there");
  EXPECT_EQ(table.find_address(7).value(), "there");
  table.announce(7);
  EXPECT_EQ(table.find_address(7).value(), "there") << "what is known stays";
}

TEST(EarlySlots, AFewSlotsAreAllOfThem) {
  const std::vector<uint32_t> few = {0, 2, 5};
  const std::vector<uint32_t> early = early_slots(few, 12345);
  EXPECT_EQ(std::set<uint32_t>(early.begin(), early.end()), std::set<uint32_t>(few.begin(), few.end()));
  EXPECT_EQ(early.size(), few.size());
}

TEST(EarlySlots, OfManyTheFirstAndABoundedNumberOfOthersWhichSeedsSpreadEvenly) {
  std::vector<uint32_t> many;
  for (uint32_t slot = 0; slot < 1000; ++slot) many.push_back(slot);
  std::map<uint32_t, int> chosen;
  for (uint64_t seed = 0; seed < 999; ++seed) {
    const std::vector<uint32_t> early = early_slots(many, seed);
    EXPECT_EQ(early.size(), kEarlySlotsMax);
    EXPECT_EQ(early.front(), 0u);
    EXPECT_EQ(std::set<uint32_t>(early.begin(), early.end()).size(), kEarlySlotsMax);
    for (const uint32_t slot : early) ++chosen[slot];
  }
  EXPECT_EQ(chosen[0], 999);
  for (uint32_t slot = 1; slot < 1000; ++slot) EXPECT_EQ(chosen[slot], 15) << "slot " << slot;
}

TEST(EarlySlots, OneThatIsNotThereIsNoneOfThemAndNoMoreAreAskedForThanNeeded) {
  std::vector<uint32_t> many;
  for (uint32_t slot = 0; slot < 1000; ++slot) many.push_back(slot);
  size_t asked = 0;
  const std::vector<uint32_t> early = early_slots(many, 7, [&asked](uint32_t slot) {
    ++asked;
    return slot % 2 == 1;
  });
  EXPECT_EQ(early.size(), kEarlySlotsMax);
  for (const uint32_t slot : early) EXPECT_EQ(slot % 2, 1u);
  EXPECT_LE(asked, 2 * kEarlySlotsMax + 1);
  EXPECT_TRUE(early_slots(many, 7, [](uint32_t) { return false; }).empty());
  EXPECT_TRUE(early_slots({}, 7).empty());
  EXPECT_EQ(early_slots({3}, 7), std::vector<uint32_t>{3});
}

}  // namespace
}  // namespace weft::library
