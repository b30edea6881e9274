// Frames out, rings, credits, selections against a naive reference, cursors.
#include "broker_client.h"

namespace weft::broker::test {
namespace {
#ifdef __SANITIZE_THREAD__
constexpr uint64_t kSelectionSeeds = 8;  // the same code with the same threads, 12 s in place of 0.5
#else
constexpr uint64_t kSelectionSeeds = 60;
#endif

struct Kind {
  const char* transport;
  bool in_memory;
};

class Consume : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    server_ = std::make_unique<TestServer>(GetParam().transport);
    ASSERT_TRUE(server_->open(spec()).ok());
    client_ = std::make_unique<RawClient>(GetParam().transport);
    client_->join(*server_);
    producer_ = client_->open_producer(make_uuid(1), 0, id_);
    reader_ = std::make_unique<RawClient>(GetParam().transport);
    reader_->join(*server_);
  }
  PartitionSpec spec() const {
    return GetParam().in_memory ? memory_spec() : disk_spec(directory_, wire::Durability::kWritten);
  }
  void push(const std::vector<TestEvent>& events) {
    batches_.push_back(make_batch(events, id_, producer_.epoch, sequence_++));
    client_->push_pulled(producer_.handle, batches_.back());
    ASSERT_EQ(client_->ack().code, 0);
  }
  const wire::ProducerId id_ = make_producer_id(1);
  TestDirectory directory_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<RawClient> client_, reader_;
  wire::ProducerOpened producer_{};
  std::deque<TestBatch> batches_;
  uint64_t sequence_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Broker, Consume,
                         testing::Values(Kind{"inprocess", true}, Kind{"inprocess", false}, Kind{"tcp", true},
                                         Kind{"tcp", false}),
                         [](const auto& test) {
                           return std::string(test.param.transport) + (test.param.in_memory ? "_memory" : "_disk");
                         });

TEST_P(Consume, RingWrapsAndCreditHoldsTheFeedBack) {
  Bytes ring(96 * 1024);
  const auto opened = reader_->open_consumer(make_uuid(1), 0, ring);
  ASSERT_EQ(opened.code, 0);
  constexpr int kBatches = 60;
  std::vector<std::string> words;
  for (int i = 0; i < kBatches; ++i) {
    words.push_back(std::string(100 + static_cast<size_t>(i) * 997 % 30'000, static_cast<char>('a' + i % 26)));
    push({{words.back(), {}}});
  }
  uint64_t given = 0;
  uint64_t returned = 0;
  for (int i = 0; i < kBatches; ++i) {
    const TestFrame frame = reader_->frame();
    ASSERT_EQ(frame.frame.first_offset, static_cast<uint64_t>(i));
    ASSERT_EQ(frame.frame.ring_at % 64, 0u);
    ASSERT_GE(frame.frame.ring_end, given);
    given = frame.frame.ring_end;
    ASSERT_LE(given - returned, ring.size());
    const auto view = wire::BatchView::parse(std::as_bytes(std::span(&frame.frame.header, 1)), frame.body, true).take();
    ASSERT_EQ(std::string(reinterpret_cast<const char*>(view.metadata(0).data()), view.metadata(0).size()),
              words[static_cast<size_t>(i)]);
    // Returned two by two: the feed has to wait in between.
    if (i % 2 == 1) {
      reader_->credit(opened.handle, given);
      returned = given;
    }
  }
  EXPECT_EQ(reader_->count(wire::MessageType::kFrame), 0u);
}

TEST_P(Consume, FramesBeyondTheRingAreNotSent) {
  Bytes ring(64 * 1024);
  const auto opened = reader_->open_consumer(make_uuid(1), 0, ring);
  for (int i = 0; i < 5; ++i) push({{std::string(30'000, 'x'), {}}});
  const TestFrame first = reader_->frame();
  const TestFrame second = reader_->frame();
  // Another consumer with room gets all: the first one costs it nothing.
  RawClient other(GetParam().transport);
  other.join(*server_);
  Bytes large(uint64_t{1} << 20);
  ASSERT_EQ(other.open_consumer(make_uuid(1), 0, large).code, 0);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(other.frame().frame.first_offset, static_cast<uint64_t>(i));
  EXPECT_EQ(reader_->count(wire::MessageType::kFrame), 0u);
  reader_->credit(opened.handle, first.frame.ring_end);
  EXPECT_EQ(reader_->frame().frame.first_offset, 2u);
  static_cast<void>(second);
}

TEST_P(Consume, EventCreditHoldsTheFeedBack) {
  constexpr uint32_t kEventsMax = 8;
  Bytes ring(uint64_t{1} << 20);
  // Batches of 1 to 5 events, one of 20 among them, from the middle of the first.
  std::vector<uint32_t> counts;
  for (uint32_t i = 0; i < 40; ++i) counts.push_back(i == 17 ? 20 : 1 + i * 7 % 5);
  counts[0] = 3;
  for (const uint32_t count : counts) push(std::vector<TestEvent>(count, TestEvent{"x", {}}));
  const auto opened = reader_->open_consumer(make_uuid(1), 0, ring, wire::From::kOffset, 2, "", nullptr, kEventsMax);
  ASSERT_EQ(opened.code, 0);
  // Whatever the others get says nothing about this one: one without a limit has all, and none beyond the limit came.
  RawClient other(GetParam().transport);
  other.join(*server_);
  Bytes large(uint64_t{1} << 20);
  ASSERT_EQ(other.open_consumer(make_uuid(1), 0, large).code, 0);
  for (size_t i = 0; i < counts.size(); ++i) other.frame();
  uint32_t given = 0;
  uint32_t returned = 0;
  std::deque<std::pair<uint64_t, uint32_t>> held;
  for (size_t i = 0; i < counts.size(); ++i) {
    const uint32_t wanted = counts[i] - (i == 0 ? 2 : 0);
    // Back to the server goes only as much as this batch needs: else it does not come.
    while (given != returned && given - returned + wanted > kEventsMax) {
      EXPECT_EQ(reader_->count(wire::MessageType::kFrame), 0u) << "before batch " << i;
      returned = held.front().second;
      reader_->credit(opened.handle, held.front().first, returned);
      held.pop_front();
    }
    const TestFrame frame = reader_->frame();
    ASSERT_EQ(frame.frame.header.event_count - frame.frame.skip, wanted) << "batch " << i;
    given += wanted;
    held.emplace_back(frame.frame.ring_end, given);
  }
  EXPECT_EQ(reader_->count(wire::MessageType::kFrame), 0u);
  reader_->credit(opened.handle, held.back().first, given + 1);
  EXPECT_EQ(reader_->take<wire::Refuse>(wire::MessageType::kRefuse).code, static_cast<int>(Code::INVALID_ARGUMENT));
}

TEST_P(Consume, CreditThatWasNotGivenOutEndsTheSession) {
  Bytes ring(64 * 1024);
  const auto opened = reader_->open_consumer(make_uuid(1), 0, ring);
  reader_->credit(opened.handle, 64);
  EXPECT_EQ(reader_->take<wire::Refuse>(wire::MessageType::kRefuse).code, static_cast<int>(Code::INVALID_ARGUMENT));
  push({{"others go on", {}}});
}

TEST_P(Consume, BatchLargerThanTheRingFailsTheStreamByName) {
  Bytes ring(8192);
  ASSERT_EQ(reader_->open_consumer(make_uuid(1), 0, ring).code, 0);
  push({{std::string(20'000, 'x'), {}}});
  std::string text;
  const auto failed = reader_->take<wire::ConsumerFailed>(wire::MessageType::kConsumerFailed, 0, &text);
  EXPECT_EQ(failed.code, static_cast<int>(Code::LIMIT)) << text;
}

TEST_P(Consume, StartsWhereItIsTold) {
  for (int i = 0; i < 10; ++i) push({{"a" + std::to_string(i), {}}, {"b", {}}, {"c", {}}});
  Bytes ring(1 << 20);
  std::string text;
  const auto open = [&](wire::From from, uint64_t value) {
    return reader_->open_consumer(make_uuid(1), 0, ring, from, value, "", &text);
  };
  EXPECT_EQ(open(wire::From::kEarliest, 0).start_offset, 0u);
  EXPECT_EQ(open(wire::From::kLatest, 0).start_offset, 30u);
  EXPECT_EQ(open(wire::From::kOffset, 30).start_offset, 30u);
  const auto beyond = open(wire::From::kOffset, 31);
  EXPECT_EQ(beyond.code, static_cast<int>(Code::TRUNCATED));
  EXPECT_NE(text.find("30"), std::string::npos) << text;
  EXPECT_EQ(open(wire::From::kTime, 0).start_offset, 0u);
  EXPECT_EQ(open(wire::From::kTime, ~uint64_t{0}).start_offset, 30u);
  RawClient other(GetParam().transport);
  other.join(*server_);
  const auto middle = other.open_consumer(make_uuid(1), 0, ring, wire::From::kOffset, 7);
  EXPECT_EQ(middle.start_offset, 7u);
  const TestFrame frame = other.frame();
  EXPECT_EQ(frame.frame.first_offset, 6u);
  EXPECT_EQ(frame.frame.skip, 1u);
}

TEST_P(Consume, ClosedConsumerIsConfirmedAndHearsNothingMore) {
  Bytes ring(1 << 20);
  const auto opened = reader_->open_consumer(make_uuid(1), 0, ring);
  push({{std::string(50'000, 'x'), {}}});
  static_cast<void>(reader_->frame());
  const uint64_t request = reader_->begin(wire::MessageType::kConsumerClose);
  reader_->writer_.put(wire::ConsumerClose{opened.handle, 0});
  reader_->send();
  EXPECT_EQ(reader_->take<wire::ConsumerClose>(wire::MessageType::kConsumerClosed, request).handle, opened.handle);
  push({{"unheard", {}}});
  EXPECT_EQ(server_->broker_->counters().consumers_now, 0u);
  EXPECT_EQ(reader_->count(wire::MessageType::kFrame), 0u);
}

// ---- selections

using Runs = std::vector<RawClient::TestRun>;

void append_run(Bytes& out, const Bytes& data, const RawClient::TestRun& run) {
  uint64_t repeats = 1;
  for (const auto& level : run.levels) repeats *= level.count;
  for (uint64_t r = 0; r < repeats; ++r) {
    uint64_t at = run.start;
    uint64_t rest = r;
    for (const auto& level : run.levels) {
      at += rest % level.count * level.stride;
      rest /= level.count;
    }
    out.insert(out.end(), data.begin() + static_cast<std::ptrdiff_t>(at),
               data.begin() + static_cast<std::ptrdiff_t>(at + run.length));
  }
}

TEST_P(Consume, SelectionsGiveExactlyTheirBytes) {
  std::vector<TestEvent> events;
  for (uint64_t i = 0; i < 6; ++i) events.push_back({"e", random_bytes(i == 2 ? 0 : 300'000 + i * 77'777, i)});
  push({events[0], events[1], events[2]});
  push({events[3]});
  push({events[4], events[5]});
  Bytes ring(1 << 20);
  const auto opened = reader_->open_consumer(make_uuid(1), 0, ring);
  Bytes destination(uint64_t{8} << 20);
  const wire::Memory memory = reader_->expose(destination, fabric::kRemoteWrite);
  for (uint64_t seed = 0; seed < kSelectionSeeds; ++seed) {
    SeededRandom random(seed);
    std::vector<RawClient::TestSelection> selections;
    Bytes wanted;
    uint64_t at = random.below(100);
    std::vector<std::pair<uint64_t, Bytes>> parts;
    for (uint64_t offset = 0; offset < events.size(); ++offset) {
      if (random.chance(1, 3)) continue;
      const Bytes& data = events[offset].data;
      Runs runs;
      const uint64_t run_count = data.empty() ? 0 : 1 + random.below(3);
      for (uint64_t r = 0; r < run_count; ++r) {
        if (random.chance(1, 2)) {  // a range
          const uint64_t start = random.below(data.size());
          runs.push_back({start, random.below(data.size() - start + 1), {}});
        } else {  // a box of rows of 512 bytes
          const uint64_t rows = 1 + random.below(data.size() / 512 - 1);
          const uint64_t width = 1 + random.below(40);
          runs.push_back({random.below(512 - width), width, {{512, rows}}});
        }
      }
      Bytes bytes;
      for (const auto& run : runs) append_run(bytes, data, run);
      selections.push_back({offset, at, runs});
      parts.emplace_back(at, std::move(bytes));
      at += parts.back().second.size() + (random.chance(1, 2) ? 0 : random.below(50));
    }
    ASSERT_LE(at, destination.size());
    std::fill(destination.begin(), destination.end(), std::byte{0xEE});
    std::string text;
    const auto reply = reader_->fetch(opened.handle, selections, memory, &text);
    ASSERT_EQ(reply.code, 0) << text;
    Bytes expected(destination.size(), std::byte{0xEE});
    uint64_t total = 0;
    for (const auto& [where, bytes] : parts) {
      std::copy(bytes.begin(), bytes.end(), expected.begin() + static_cast<std::ptrdiff_t>(where));
      total += bytes.size();
    }
    ASSERT_EQ(reply.bytes_sent, total) << "seed " << seed;
    ASSERT_TRUE(destination == expected) << "seed " << seed;
  }
}

TEST_P(Consume, SmallSelectionReadsOnlyItsBlocks) {
  push({{"e", random_bytes(uint64_t{4} << 20, 1)}});
  Bytes ring(1 << 20);
  const auto opened = reader_->open_consumer(make_uuid(1), 0, ring);
  Bytes destination(4096);
  const wire::Memory memory = reader_->expose(destination, fabric::kRemoteWrite);
  const auto reply = reader_->fetch(opened.handle, {{0, 0, {{1'000'000, 100, {}}, {1'000'200, 100, {}}}}}, memory);
  ASSERT_EQ(reply.code, 0);
  EXPECT_EQ(reply.bytes_sent, 200u);
  EXPECT_LE(reply.bytes_read, 65'536u);
}

TEST_P(Consume, SelectionOutsideNamesTheEventAndItsLength) {
  push({{"a", random_bytes(1000, 1)}, {"b", random_bytes(500, 2)}});
  Bytes ring(1 << 20);
  const auto opened = reader_->open_consumer(make_uuid(1), 0, ring);
  Bytes destination(4096);
  const wire::Memory memory = reader_->expose(destination, fabric::kRemoteWrite);
  std::string text;
  auto reply = reader_->fetch(opened.handle, {{0, 0, {{0, 1000, {}}}}, {1, 1000, {{0, 501, {}}}}}, memory, &text);
  EXPECT_EQ(reply.code, static_cast<int>(Code::SELECTION_OUTSIDE));
  EXPECT_EQ(reply.failed_selection, 1u);
  EXPECT_NE(text.find("offset 1"), std::string::npos) << text;
  EXPECT_NE(text.find("500"), std::string::npos) << text;
  EXPECT_NE(text.find("501"), std::string::npos) << text;
  reply = reader_->fetch(opened.handle, {{0, 4000, {{0, 1000, {}}}}}, memory, &text);
  EXPECT_EQ(reply.code, static_cast<int>(Code::INVALID_ARGUMENT)) << text;
  reply = reader_->fetch(opened.handle, {{2, 0, {{0, 1, {}}}}}, memory, &text);
  EXPECT_EQ(reply.code, static_cast<int>(Code::INVALID_ARGUMENT)) << text;
  reply = reader_->fetch(opened.handle, {}, memory, &text);
  EXPECT_EQ(reply.code, 0) << text;
  EXPECT_EQ(reader_->fetch(77, {}, memory).code, static_cast<int>(Code::WRONG_HANDLE));
}

// ---- cursors

TEST_P(Consume, CursorsAreKeptAndNeverAhead) {
  push({{"a", {}}, {"b", {}}, {"c", {}}});
  Bytes ring(1 << 20);
  EXPECT_EQ(reader_->commit(make_uuid(1), 0, 1, 2, "watch").code, 0);
  std::string text;
  EXPECT_EQ(reader_->commit(make_uuid(1), 0, 1, 4, "watch", &text).code, static_cast<int>(Code::INVALID_ARGUMENT))
      << text;
  EXPECT_EQ(reader_->commit(make_uuid(1), 0, 1, 1, "../bad").code, static_cast<int>(Code::INVALID_ARGUMENT));
  const auto opened = reader_->open_consumer(make_uuid(1), 0, ring, wire::From::kCursor, 0, "watch");
  EXPECT_EQ(opened.had_cursor, 1u);
  EXPECT_EQ(opened.start_offset, 2u);
  const auto fresh = reader_->open_consumer(make_uuid(1), 0, ring, wire::From::kCursor, 0, "new");
  EXPECT_EQ(fresh.had_cursor, 0u);
  EXPECT_EQ(fresh.start_offset, 0u);
  if (GetParam().in_memory) return;
  // A server that starts again on the same files goes on from there.
  EXPECT_TRUE(server_->stop().ok());
  EXPECT_TRUE(reader_->wait([&] { return reader_->lost_; }));
  TestServer next(GetParam().transport);
  const auto partition = next.open(spec());
  ASSERT_TRUE(partition.ok()) << partition.status().text();
  EXPECT_EQ(partition.value().next_offset, 3u);
  EXPECT_EQ(partition.value().recovery, "");
  RawClient again(GetParam().transport);
  again.join(next);
  const auto resumed = again.open_consumer(make_uuid(1), 0, ring, wire::From::kCursor, 0, "watch");
  EXPECT_EQ(resumed.had_cursor, 1u);
  EXPECT_EQ(resumed.start_offset, 2u);
  EXPECT_EQ(again.frame().frame.skip, 2u);
  const auto producer = again.open_producer(make_uuid(1), 0, id_, producer_.epoch);
  EXPECT_EQ(producer.next_sequence, 1u);
  EXPECT_EQ(producer.last_offset, 3u);
}

}  // namespace
}  // namespace weft::broker::test
