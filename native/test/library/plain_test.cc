// What plain programs can ask for beyond push and pull: where a consumer ends, acknowledgements, static groups, a
// selection out of a selection, and what a producer does when its queue is full or it has no order to keep.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "server_process.h"

namespace {

using weft_test::Server;
using weft_test::TemporaryFolder;

constexpr int64_t kTimeoutMs = 20'000;

class Plain : public testing::Test {
 protected:
  void SetUp() override {
    server_ = std::make_unique<Server>(folder_.path(),
                                       std::vector<weft_test::TopicPlan>{{"one", 1}, {"four", 4}, {"three", 3}});
    ASSERT_WEFT_OK(weft_attach(server_->group().c_str(), nullptr, &job_));
  }
  void TearDown() override { EXPECT_WEFT_OK(weft_close(job_)); }

  void push(const char* topic, int count, int partition = -1) {
    weft_producer* producer = nullptr;
    ASSERT_WEFT_OK(weft_producer_open(job_, topic, nullptr, &producer));
    for (int i = 0; i < count; ++i) {
      const std::string text = std::to_string(i);
      ASSERT_WEFT_OK(weft_push_pieces(producer, partition, text.data(), text.size(), nullptr, 0, nullptr));
    }
    ASSERT_WEFT_OK(weft_producer_close(producer, kTimeoutMs));
  }
  static weft_consumer_options options(weft_until until, uint64_t value = 0, const char* name = nullptr) {
    weft_consumer_options all = WEFT_CONSUMER_OPTIONS_DEFAULT;
    all.until = until;
    all.until_value = value;
    all.name = name;
    return all;
  }
  weft_consumer* open(const char* topic, const weft_consumer_options& with) {
    weft_consumer* consumer = nullptr;
    EXPECT_WEFT_OK(weft_consumer_open(job_, topic, &with, &consumer));
    return consumer;
  }
  // Offsets by partition until the stream ends; what ended it has to be its end.
  static std::map<uint32_t, std::vector<uint64_t>> drain(weft_consumer* consumer) {
    std::map<uint32_t, std::vector<uint64_t>> offsets;
    weft_event event;
    int code = WEFT_OK;
    while ((code = weft_pull(consumer, kTimeoutMs, &event)) == WEFT_OK)
      offsets[event.partition].push_back(event.offset);
    EXPECT_EQ(code, WEFT_END_OF_STREAM) << weft_error_text(nullptr);
    EXPECT_EQ(weft_pull(consumer, 0, &event), WEFT_END_OF_STREAM) << "from then on always";
    return offsets;
  }
  static size_t total(const std::map<uint32_t, std::vector<uint64_t>>& offsets) {
    return std::accumulate(offsets.begin(), offsets.end(), size_t{0},
                           [](size_t sum, const auto& one) { return sum + one.second.size(); });
  }

  TemporaryFolder folder_;
  std::unique_ptr<Server> server_;
  weft_job* job_ = nullptr;
};

TEST_F(Plain, UntilTheEndIsWhatWasVisibleAtTheOpening) {
  push("four", 100);
  weft_consumer* consumer = open("four", options(WEFT_UNTIL_END));
  push("four", 50);
  EXPECT_EQ(total(drain(consumer)), 100u);
  ASSERT_WEFT_OK(weft_consumer_close(consumer));
  consumer = open("three", options(WEFT_UNTIL_END));
  EXPECT_EQ(total(drain(consumer)), 0u) << "of an empty topic it is at once";
  ASSERT_WEFT_OK(weft_consumer_close(consumer));
}

TEST_F(Plain, UntilAnOffsetEndsEachPartitionBeforeIt) {
  push("one", 100);
  weft_consumer* consumer = open("one", options(WEFT_UNTIL_OFFSET, 37));
  const auto offsets = drain(consumer);
  ASSERT_EQ(offsets.at(0).size(), 37u);
  EXPECT_EQ(offsets.at(0).back(), 36u);
  ASSERT_WEFT_OK(weft_consumer_close(consumer));
}

TEST_F(Plain, UntilATimeThatIsStillToComeEndsWithoutAnEvent) {
  push("four", 8);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto at = std::chrono::duration_cast<std::chrono::nanoseconds>(now + std::chrono::milliseconds(700)).count();
  weft_consumer* consumer = open("four", options(WEFT_UNTIL_TIME, static_cast<uint64_t>(at)));
  EXPECT_EQ(total(drain(consumer)), 8u);
  EXPECT_GE(std::chrono::system_clock::now().time_since_epoch(), std::chrono::nanoseconds(at));
  ASSERT_WEFT_OK(weft_consumer_close(consumer));
  push("four", 8);  // appended later
  consumer = open("four", options(WEFT_UNTIL_TIME, static_cast<uint64_t>(at)));
  EXPECT_EQ(total(drain(consumer)), 8u);
  ASSERT_WEFT_OK(weft_consumer_close(consumer));
}

TEST_F(Plain, ASealedTopicEndsWhenAllItsPartitionsHave) {
  push("four", 40);
  weft_consumer* consumer = open("four", options(WEFT_UNTIL_STOPPED));
  weft_partition_rules rules = WEFT_PARTITION_RULES_DEFAULT;
  rules.sealed = 1;
  uint8_t uuid[16] = {'f', 'o', 'u', 'r'};
  for (uint32_t partition = 0; partition < 4; ++partition)
    ASSERT_WEFT_OK(weft_server_partition_alter_async(server_->server, uuid, partition, &rules, 1));
  EXPECT_EQ(total(drain(consumer)), 40u);
  ASSERT_WEFT_OK(weft_consumer_close(consumer));
}

TEST_F(Plain, AcknowledgementsMoveThePositionOverWhatIsDoneWithoutAGap) {
  push("one", 10);
  weft_consumer_options named = options(WEFT_UNTIL_END, 0, "reader");
  named.ack_every_events = 0;
  weft_consumer* consumer = open("one", named);
  EXPECT_EQ(weft_ack(consumer, 0, 0), WEFT_INVALID_ARGUMENT) << "it was not handed out";
  EXPECT_EQ(weft_ack(consumer, 1, 0), WEFT_PARTITION_RANGE);
  drain(consumer);
  for (const uint64_t offset : {2, 0, 1, 5, 4, 2}) ASSERT_WEFT_OK(weft_ack(consumer, 0, offset));
  uint64_t next = 0;
  uint64_t end = 0;
  ASSERT_WEFT_OK(weft_consumer_lag(consumer, 0, &next, &end));
  EXPECT_EQ(next, 10u);
  EXPECT_EQ(end, 10u);
  ASSERT_WEFT_OK(weft_commit_acknowledged(consumer, kTimeoutMs));
  weft_consumer* again = open("one", named);
  EXPECT_EQ(drain(again).at(0).front(), 3u) << "event 3 is not done";
  ASSERT_WEFT_OK(weft_consumer_close(again));
  ASSERT_WEFT_OK(weft_ack(consumer, 0, 3));
  ASSERT_WEFT_OK(weft_consumer_close(consumer));
  consumer = open("one", named);
  EXPECT_EQ(drain(consumer).at(0).front(), 6u) << "closing commits what was acknowledged";
  ASSERT_WEFT_OK(weft_consumer_close(consumer));
  consumer = open("one", options(WEFT_UNTIL_END));
  drain(consumer);
  EXPECT_EQ(weft_ack(consumer, 0, 0), WEFT_INVALID_ARGUMENT) << "it has no name";
  ASSERT_WEFT_OK(weft_consumer_close(consumer));
}

TEST_F(Plain, ManyAcknowledgementsAreCommittedByThemselves) {
  push("one", 100);
  weft_consumer_options named = options(WEFT_UNTIL_END, 0, "counting");
  named.ack_every_events = 10;
  weft_consumer* consumer = open("one", named);
  drain(consumer);
  for (uint64_t offset = 0; offset < 30; ++offset) ASSERT_WEFT_OK(weft_ack(consumer, 0, offset));
  // Nobody waited for them, so it is looked at until it is so.
  uint64_t first = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kTimeoutMs);
  while (first != 30 && std::chrono::steady_clock::now() < deadline) {
    weft_consumer* other = open("one", named);
    first = drain(other).at(0).front();
    ASSERT_WEFT_OK(weft_consumer_close(other));
  }
  EXPECT_EQ(first, 30u);
  ASSERT_WEFT_OK(weft_consumer_close(consumer));
}

TEST_F(Plain, MembersOfAStaticGroupShareThePartitions) {
  push("three", 30);
  std::set<uint32_t> seen;
  for (uint32_t rank = 0; rank < 5; ++rank) {
    weft_consumer_options member = options(WEFT_UNTIL_END);
    member.share_rank = rank;
    member.share_size = 5;
    weft_consumer* consumer = open("three", member);
    const auto offsets = drain(consumer);
    EXPECT_EQ(offsets.size(), rank < 3 ? 1u : 0u);
    for (const auto& [partition, events] : offsets) {
      EXPECT_EQ(partition % 5, rank);
      EXPECT_TRUE(seen.insert(partition).second);
      EXPECT_EQ(events.size(), 10u);
    }
    ASSERT_WEFT_OK(weft_consumer_close(consumer));
  }
  weft_consumer_options wrong = options(WEFT_UNTIL_END);
  wrong.share_rank = wrong.share_size = 2;
  weft_consumer* consumer = nullptr;
  EXPECT_EQ(weft_consumer_open(job_, "three", &wrong, &consumer), WEFT_INVALID_ARGUMENT);
}

TEST_F(Plain, AFullQueueIsAnErrorOrDropsTheNewest) {
  for (const uint32_t when_full : {WEFT_FULL_ERROR, WEFT_FULL_DROP_NEWEST}) {
    weft_producer_options given = WEFT_PRODUCER_OPTIONS_DEFAULT;
    given.batch_events = 1;
    given.batches_in_flight = 1;
    given.when_full = when_full;
    weft_producer* producer = nullptr;
    ASSERT_WEFT_OK(weft_producer_open(job_, "one", &given, &producer));
    weft_topic* topic = nullptr;
    ASSERT_WEFT_OK(weft_topic_open(job_, "one", &topic));
    uint64_t before = 0;
    ASSERT_WEFT_OK(weft_partition_query(topic, 0, nullptr, &before));
    uint64_t pushed = 0;
    int code = WEFT_OK;
    for (int i = 0; i < 1'000'000 && code == WEFT_OK; ++i) {
      code = weft_push(producer, "1", 1, nullptr, 0, 0, nullptr);
      pushed += code == WEFT_OK ? 1 : 0;
    }
    EXPECT_EQ(code, when_full == WEFT_FULL_ERROR ? WEFT_BUSY : WEFT_DROPPED) << weft_error_text(nullptr);
    EXPECT_WEFT_OK(weft_flush(producer, kTimeoutMs)) << "what was not taken is no failure of the others";
    uint64_t after = 0;
    ASSERT_WEFT_OK(weft_partition_query(topic, 0, nullptr, &after));
    EXPECT_EQ(after - before, pushed);
    weft_topic_close(topic);
    ASSERT_WEFT_OK(weft_producer_close(producer, kTimeoutMs));
  }
}

TEST_F(Plain, WithoutOrderWholeBatchesGoToOnePartition) {
  weft_producer_options given = WEFT_PRODUCER_OPTIONS_DEFAULT;
  given.batch_events = 16;
  given.linger_ms = 10'000;
  given.ordering = WEFT_ORDERING_LOOSE;
  weft_producer* producer = nullptr;
  ASSERT_WEFT_OK(weft_producer_open(job_, "four", &given, &producer));
  for (int i = 0; i < 64; ++i) ASSERT_WEFT_OK(weft_push(producer, "1", 1, nullptr, 0, 0, nullptr));
  ASSERT_WEFT_OK(weft_push_pieces(producer, 2, "2", 1, nullptr, 0, nullptr));  // stays where it was sent to
  ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
  weft_consumer* consumer = open("four", options(WEFT_UNTIL_END));
  size_t frames = 0;
  size_t events = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kTimeoutMs);
  while (events < 65 && std::chrono::steady_clock::now() < deadline) {
    weft_frame frame{};
    int found = 0;
    ASSERT_WEFT_OK(weft_consumer_poll(consumer, &frame, &found));
    if (found == 0) continue;
    ++frames;
    events += frame.count;
    ASSERT_WEFT_OK(weft_frame_release(consumer, frame.partition, frame.id));
  }
  EXPECT_EQ(events, 65u);
  EXPECT_EQ(frames, 5u) << "four full batches, and the one event";
  ASSERT_WEFT_OK(weft_consumer_close(consumer));
  ASSERT_WEFT_OK(weft_producer_close(producer, kTimeoutMs));
}

// Bytes of a selection, one by one.
std::vector<uint64_t> bytes_of(const weft_run* runs, uint32_t count) {
  std::vector<uint64_t> bytes;
  for (uint32_t i = 0; i < count; ++i) {
    std::vector<uint64_t> starts{runs[i].start};
    for (uint32_t level = 0; level < runs[i].level_count; ++level) {
      std::vector<uint64_t> next;
      for (uint64_t repeat = 0; repeat < runs[i].levels[level].count; ++repeat)
        for (const uint64_t start : starts) next.push_back(start + repeat * runs[i].levels[level].stride);
      starts = next;
    }
    for (const uint64_t start : starts)
      for (uint64_t at = 0; at < runs[i].length; ++at) bytes.push_back(start + at);
  }
  return bytes;
}

TEST(Narrow, ChoosesAmongTheBytesOfTheOuterSelection) {
  const uint64_t shape[3] = {8, 8, 16};
  const uint64_t origin[3] = {1, 2, 3};
  const uint64_t size[3] = {3, 4, 5};
  weft_run outer;
  weft_run_level outer_levels[2];
  ASSERT_WEFT_OK(weft_box(3, shape, origin, size, 8, &outer, outer_levels));
  const std::vector<uint64_t> outer_bytes = bytes_of(&outer, 1);
  ASSERT_EQ(outer_bytes.size(), 3u * 4 * 5 * 8);

  const uint64_t inner_origin[3] = {1, 0, 2};
  const uint64_t inner_size[3] = {2, 4, 1};
  weft_run inner;
  weft_run_level inner_levels[2];
  ASSERT_WEFT_OK(weft_box(3, size, inner_origin, inner_size, 8, &inner, inner_levels));
  std::vector<weft_run> runs(1024);
  std::vector<weft_run_level> levels(1024 * 8);
  uint32_t count = 1024;
  ASSERT_WEFT_OK(weft_narrow(&outer, 1, &inner, 1, runs.data(), &count, levels.data()));
  EXPECT_EQ(count, 1u) << "a box of a box is one run";
  std::vector<uint64_t> expected;
  for (const uint64_t at : bytes_of(&inner, 1)) expected.push_back(outer_bytes[at]);
  EXPECT_EQ(bytes_of(runs.data(), count), expected);

  const weft_run beyond{outer_bytes.size() - 4, 8, 0, nullptr};
  count = 1024;
  EXPECT_EQ(weft_narrow(&outer, 1, &beyond, 1, runs.data(), &count, levels.data()), WEFT_SELECTION_OUTSIDE);
  const weft_run_level every_third{3, 20};
  const weft_run single{0, 1, 1, &every_third};
  count = 1;
  EXPECT_EQ(weft_narrow(&outer, 1, &single, 1, runs.data(), &count, levels.data()), WEFT_LIMIT);
  count = 1024;
  ASSERT_WEFT_OK(weft_narrow(&outer, 1, &single, 1, runs.data(), &count, levels.data()));
  expected.clear();
  for (const uint64_t at : bytes_of(&single, 1)) expected.push_back(outer_bytes[at]);
  EXPECT_EQ(bytes_of(runs.data(), count), expected);
}

}  // namespace
