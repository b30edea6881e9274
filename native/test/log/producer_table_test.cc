// Who is forgotten when a partition has seen more producers than it keeps.
#include "log/producer_table.h"

#include <gtest/gtest.h>

namespace weft::log {
namespace {

wire::BatchHeader batch_of(uint64_t producer, uint64_t sequence) {
  wire::BatchHeader header{};
  std::memcpy(header.producer_id.bytes, &producer, sizeof producer);
  header.producer_epoch = 1;
  header.sequence = sequence;
  header.event_count = 1;
  return header;
}

TEST(ProducerTable, ThoseThatCameOncePushOutNobodyWhoComesAgain) {
  ProducerTable table;
  uint64_t time_ns = 0;
  constexpr uint64_t kReturning = 10;
  for (uint64_t sequence = 0; sequence < 2; ++sequence) {
    for (uint64_t producer = 1; producer <= kReturning; ++producer) {
      table.note(batch_of(producer, sequence), time_ns, time_ns);
      ++time_ns;
    }
  }
  // Many ids of one client, each for one batch.
  const uint64_t end = 1000 + 2 * kProducersMax;
  for (uint64_t producer = 1000; producer < end; ++producer) {
    table.note(batch_of(producer, 0), time_ns, time_ns);
    ++time_ns;
  }
  EXPECT_EQ(table.size(), kProducersMax);
  for (uint64_t producer = 1; producer <= kReturning; ++producer) {
    const ProducerState* state = table.find(batch_of(producer, 0).producer_id);
    ASSERT_NE(state, nullptr) << producer;
    EXPECT_EQ(state->next_sequence, 2u);
  }
  // Of the others the newest are known.
  EXPECT_NE(table.find(batch_of(end - 1, 0).producer_id), nullptr);
  EXPECT_EQ(table.find(batch_of(1000, 0).producer_id), nullptr);
}

// A table full of producers that came back once, in earlier jobs: new ones that take turns are all kept.
TEST(ProducerTable, NewOnesHaveRoomBesideThoseOfEarlierJobs) {
  ProducerTable table;
  uint64_t time_ns = 0;
  for (uint64_t sequence = 0; sequence < 2; ++sequence) {
    for (uint64_t producer = 1; producer <= kProducersMax; ++producer) {
      table.note(batch_of(producer, sequence), time_ns, time_ns);
      ++time_ns;
    }
  }
  constexpr uint64_t kFirst = 1'000'000;
  constexpr uint64_t kNew = 64;
  for (uint64_t sequence = 0; sequence < 10; ++sequence) {
    for (uint64_t producer = kFirst; producer < kFirst + kNew; ++producer) {
      table.note(batch_of(producer, sequence), time_ns, time_ns);
      ++time_ns;
    }
  }
  for (uint64_t producer = kFirst; producer < kFirst + kNew; ++producer) {
    const ProducerState* state = table.find(batch_of(producer, 0).producer_id);
    ASSERT_NE(state, nullptr) << producer;
    EXPECT_EQ(state->recent.size(), 10u) << producer;
  }
}

TEST(ProducerTable, AnEpochThatWasGivenIsNotForgottenBeforeThoseThatCameOnce) {
  ProducerTable table;
  table.begin_epoch(batch_of(1, 0).producer_id, 7, 0);
  for (uint64_t producer = 1000; producer < 1000 + 2 * kProducersMax; ++producer) {
    table.note(batch_of(producer, 0), producer, producer);
  }
  const ProducerState* state = table.find(batch_of(1, 0).producer_id);
  ASSERT_NE(state, nullptr);
  EXPECT_EQ(state->epoch, 7u);
}

TEST(ProducerTable, TheEndOfAnEarlierEpochStaysUntilSomethingIsStoredBehindIt) {
  ProducerTable table;
  const auto id = batch_of(1, 0).producer_id;
  const auto end = [&] {
    std::vector<std::byte> saved;
    table.save(saved);
    ProducerTable loaded;
    EXPECT_TRUE(loaded.load(table.size(), saved).ok());
    const ProducerState* state = loaded.find(id);
    if (state == nullptr || state->recent.empty()) return uint64_t{0};
    return state->recent.back().first_offset + state->recent.back().event_count;
  };
  table.begin_epoch(id, 1, 0);
  EXPECT_EQ(end(), 0u);
  wire::BatchHeader batch = batch_of(1, 0);
  batch.producer_epoch = 1;
  batch.event_count = 5;
  table.note(batch, 10, 1);
  batch.sequence = 1;
  table.note(batch, 40, 2);
  for (uint32_t epoch = 2; epoch < 5; ++epoch) {
    table.begin_epoch(id, epoch, 3);
    EXPECT_EQ(end(), 45u);
    ASSERT_EQ(table.find(id)->recent.size(), 1u);
    EXPECT_EQ(table.find(id)->recent.front().sequence, kEarlierEpoch);
  }
  batch.sequence = 0;
  batch.producer_epoch = 4;
  table.note(batch, 60, 4);
  EXPECT_EQ(end(), 65u);
  ASSERT_EQ(table.find(id)->recent.size(), 1u);
  EXPECT_EQ(table.find(id)->recent.front().sequence, 0u);
}

}  // namespace
}  // namespace weft::log
