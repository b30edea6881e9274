// Batches in: inline and pulled, the sequence rule, fencing, limits, group commit; read back from the log through a
// consumer.
#include "broker_client.h"

namespace weft::broker::test {
namespace {

struct Kind {
  const char* transport;
  bool in_memory;
  wire::Durability durability;
};

class Push : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    server_ = std::make_unique<TestServer>(GetParam().transport);
    const auto opened =
        server_->open(GetParam().in_memory ? memory_spec() : disk_spec(directory_, GetParam().durability));
    ASSERT_TRUE(opened.ok()) << opened.status().text();
    client_ = std::make_unique<RawClient>(GetParam().transport);
    client_->join(*server_);
  }
  // Everything stored, event by event, with its data.
  void expect_stored(const std::vector<TestEvent>& events) {
    RawClient reader(GetParam().transport);
    reader.join(*server_);
    std::vector<std::byte> ring(uint64_t{4} << 20);
    const auto opened = reader.open_consumer(make_uuid(1), 0, ring);
    ASSERT_EQ(opened.code, 0);
    uint64_t offset = 0;
    while (offset < events.size()) {
      const TestFrame frame = reader.frame();
      ASSERT_EQ(frame.frame.first_offset, offset);
      const auto view =
          wire::BatchView::parse(std::as_bytes(std::span(&frame.frame.header, 1)), frame.body, true).take();
      for (uint32_t i = 0; i < view.count(); ++i, ++offset) {
        const TestEvent& event = events[offset];
        ASSERT_EQ(std::string(reinterpret_cast<const char*>(view.metadata(i).data()), view.metadata(i).size()),
                  event.metadata);
        ASSERT_EQ(view.data_length(i), event.data.size());
        if (event.data.empty()) continue;
        Bytes into(event.data.size());
        const wire::Memory memory = reader.expose(into, fabric::kRemoteWrite);
        const auto reply = reader.fetch(opened.handle, {{offset, 0, {{0, into.size(), {}}}}}, memory);
        ASSERT_EQ(reply.code, 0);
        ASSERT_EQ(reply.bytes_sent, into.size());
        ASSERT_TRUE(into == event.data) << "data of event " << offset;
        reader.regions_.pop_back();  // the reply says that nothing follows; the ring's stays
      }
      reader.credit(opened.handle, frame.frame.ring_end);
    }
  }
  TestDirectory directory_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<RawClient> client_;
};
INSTANTIATE_TEST_SUITE_P(Broker, Push,
                         testing::Values(Kind{"inprocess", true, wire::Durability::kMemory},
                                         Kind{"inprocess", false, wire::Durability::kWritten},
                                         Kind{"inprocess", false, wire::Durability::kSynced},
                                         Kind{"tcp", true, wire::Durability::kMemory},
                                         Kind{"tcp", false, wire::Durability::kSynced}),
                         [](const auto& test) {
                           return std::string(test.param.transport) + (test.param.in_memory ? "_memory" : "_disk") +
                                  std::to_string(static_cast<int>(test.param.durability));
                         });

TEST_P(Push, InlineAndPulledBatchesOfManySizesAreStoredByteForByte) {
  const auto id = make_producer_id(1);
  const auto producer = client_->open_producer(make_uuid(1), 0, id);
  ASSERT_EQ(producer.code, 0);
  EXPECT_EQ(producer.epoch, 1u);
  EXPECT_EQ(producer.next_sequence, 0u);
  std::vector<TestEvent> all;
  std::deque<TestBatch> batches;  // must stay until acknowledged
  uint64_t sequence = 0;
  for (const uint64_t length :
       {0u, 1u, 63u, 64u, 65u, 1000u, 40'000u, 65'536u, 65'537u, 1u << 20, (1u << 20) + 1u, 5u << 20}) {
    std::vector<TestEvent> events = {{"{\"n\":" + std::to_string(length) + "}", random_bytes(length, length)},
                                     {"", {}},
                                     {"second", random_bytes(length / 3, length + 1)}};
    batches.push_back(make_batch(events, id, producer.epoch, sequence));
    if (batches.back().extent.size() < 40'000) {
      client_->push_inline(producer.handle, batches.back());
    } else {
      client_->push_pulled(producer.handle, batches.back(), 1 + length % 7, length % 2 == 0);
    }
    const wire::Ack ack = client_->ack();
    ASSERT_EQ(ack.code, 0) << length;
    EXPECT_EQ(ack.sequence, sequence);
    EXPECT_EQ(ack.first_offset, all.size());
    all.insert(all.end(), events.begin(), events.end());
    ++sequence;
  }
  // A long body: pulled in more than one slab.
  std::vector<TestEvent> many;
  for (int i = 0; i < 3000; ++i) many.push_back({std::string(500, static_cast<char>('a' + i % 26)), {}});
  batches.push_back(make_batch(many, id, producer.epoch, sequence));
  ASSERT_GT(batches.back().body.size(), uint64_t{1} << 20);
  client_->push_pulled(producer.handle, batches.back());
  ASSERT_EQ(client_->ack().code, 0);
  all.insert(all.end(), many.begin(), many.end());
  expect_stored(all);
}

TEST_P(Push, LargeEventStreamsThroughTheSlabs) {
  const auto id = make_producer_id(1);
  const auto producer = client_->open_producer(make_uuid(1), 0, id);
#ifdef __SANITIZE_THREAD__
  constexpr uint64_t kBytes = uint64_t{12} << 20;  // more than all slabs of one batch
#else
  constexpr uint64_t kBytes = uint64_t{64} << 20;
#endif
  const std::vector<TestEvent> events = {{"large", random_bytes(kBytes - 5, 3)}};
  const TestBatch batch = make_batch(events, id, producer.epoch, 0);
  client_->push_pulled(producer.handle, batch, 9);
  ASSERT_EQ(client_->ack().code, 0);
  expect_stored(events);
  EXPECT_EQ(server_->broker_->counters().data_bytes_pulled, batch.extent.size());
}

TEST_P(Push, SegmentsMayLieAnywhereAndAlignmentIsZeroed) {
  const auto id = make_producer_id(1);
  const auto producer = client_->open_producer(make_uuid(1), 0, id);
  const std::vector<TestEvent> events = {
      {"a", random_bytes(100'001, 1)}, {"b", random_bytes(7, 2)}, {"c", random_bytes(300'000, 3)}};
  const TestBatch batch = make_batch(events, id, producer.epoch, 0);
  std::vector<wire::Segment> segments;
  uint64_t at = 0;
  std::deque<Bytes> shifted;
  for (const TestEvent& event : events) {
    at = wire::align_up(at, 64);
    shifted.emplace_back(event.data.size() + 13);
    std::copy(event.data.begin(), event.data.end(), shifted.back().begin() + 13);
    const wire::Memory memory = client_->expose(shifted.back());
    const uint64_t half = event.data.size() / 2;
    segments.push_back({memory, 13, half, at});
    segments.push_back({memory, 13 + half, event.data.size() - half, at + half});
    at += event.data.size();
  }
  client_->push_described(producer.handle, batch, client_->expose(batch.body), segments, false);
  ASSERT_EQ(client_->ack().code, 0);
  expect_stored(events);
}

TEST_P(Push, SequenceRuleAnswersRepeatsGapsAndFencing) {
  const auto id = make_producer_id(1);
  const auto producer = client_->open_producer(make_uuid(1), 0, id);
  const auto batch_of = [&](uint64_t sequence, uint32_t epoch) {
    return make_batch({{"s" + std::to_string(sequence), {}}, {"t", {}}}, id, epoch, sequence);
  };
  for (uint64_t sequence = 0; sequence < 3; ++sequence) {
    client_->push_inline(producer.handle, batch_of(sequence, 1));
    ASSERT_EQ(client_->ack().code, 0);
  }
  client_->push_inline(producer.handle, batch_of(1, 1));
  const wire::Ack repeated = client_->ack();
  EXPECT_EQ(repeated.code, 0);
  EXPECT_EQ(repeated.first_offset, 2u);
  client_->push_inline(producer.handle, batch_of(5, 1));
  const wire::Ack gap = client_->ack();
  EXPECT_EQ(gap.code, static_cast<int>(Code::SEQUENCE_GAP));
  EXPECT_EQ(gap.expected_sequence, 3u);

  RawClient other(GetParam().transport);
  other.join(*server_);
  const auto newer = other.open_producer(make_uuid(1), 0, id);
  EXPECT_EQ(newer.epoch, 2u);
  EXPECT_EQ(newer.next_sequence, 0u);
  EXPECT_EQ(newer.last_offset, 6u);
  client_->push_inline(producer.handle, batch_of(3, 1));
  EXPECT_EQ(client_->ack().code, static_cast<int>(Code::FENCED));
  EXPECT_EQ(client_->open_producer(make_uuid(1), 0, id, 1).code, static_cast<int>(Code::FENCED));
  other.push_inline(newer.handle, batch_of(0, 2));
  const wire::Ack stored = other.ack();
  EXPECT_EQ(stored.code, 0);
  EXPECT_EQ(stored.first_offset, 6u);
  // After a reconnect the same epoch goes on.
  RawClient again(GetParam().transport);
  again.join(*server_);
  const auto resumed = again.open_producer(make_uuid(1), 0, id, 2);
  EXPECT_EQ(resumed.code, 0);
  EXPECT_EQ(resumed.epoch, 2u);
  EXPECT_EQ(resumed.next_sequence, 1u);
  EXPECT_EQ(server_->broker_->counters().events_stored, 8u);
  EXPECT_EQ(server_->broker_->counters().batches_repeated, 1u);
}

TEST_P(Push, ManyInFlightAreStoredInOrderWhateverTheirSizes) {
  const auto id = make_producer_id(1);
  const auto producer = client_->open_producer(make_uuid(1), 0, id);
  std::deque<TestBatch> batches;
  std::vector<TestEvent> all;
  for (uint64_t sequence = 0; sequence < 40; ++sequence) {
    const uint64_t length = sequence % 4 == 0 ? 600'000 : sequence % 4 == 1 ? 0 : 70'000;
    const TestEvent event{"e" + std::to_string(sequence), random_bytes(length, sequence)};
    all.push_back(event);
    batches.push_back(make_batch({event}, id, producer.epoch, sequence));
    if (length == 0) {
      client_->push_inline(producer.handle, batches.back());
    } else {
      client_->push_pulled(producer.handle, batches.back());
    }
  }
  for (uint64_t sequence = 0; sequence < 40; ++sequence) {
    const wire::Ack ack = client_->ack();
    ASSERT_EQ(ack.code, 0);
    ASSERT_EQ(ack.sequence, sequence);
    ASSERT_EQ(ack.first_offset, sequence);
  }
  expect_stored(all);
  const auto counters = server_->broker_->counters();
  if (GetParam().durability == wire::Durability::kSynced) {
    EXPECT_GE(counters.syncs, 1u);
    EXPECT_EQ(counters.sync_batches, 40u);
  }
  EXPECT_EQ(counters.batches_in_flight_now, 0u);
}

TEST_P(Push, ChangedBodyIsCorruptAndTakesTheNextWithIt) {
  const auto id = make_producer_id(1);
  const auto producer = client_->open_producer(make_uuid(1), 0, id);
  TestBatch bad = make_batch({{"first", random_bytes(100'000, 1)}}, id, 1, 0);
  bad.body[bad.body.size() - 1] ^= std::byte{1};
  const TestBatch next = make_batch({{"next", {}}}, id, 1, 1);
  client_->push_pulled(producer.handle, bad);
  client_->push_inline(producer.handle, next);
  const wire::Ack first = client_->ack();
  EXPECT_EQ(first.code, static_cast<int>(Code::CORRUPT));
  EXPECT_EQ(first.expected_sequence, 0u);
  const wire::Ack second = client_->ack();
  EXPECT_EQ(second.code, static_cast<int>(Code::SEQUENCE_GAP));
  EXPECT_EQ(second.expected_sequence, 0u);
  const TestBatch good = make_batch({{"good", {}}}, id, 1, 0);
  client_->push_inline(producer.handle, good);
  EXPECT_EQ(client_->ack().code, 0);
  expect_stored({{"good", {}}});
}

TEST_P(Push, TwoProducersEachKeepTheirOrder) {
  RawClient other(GetParam().transport);
  other.join(*server_);
  const auto one = client_->open_producer(make_uuid(1), 0, make_producer_id(1));
  const auto two = other.open_producer(make_uuid(1), 0, make_producer_id(2));
  for (uint64_t sequence = 0; sequence < 20; ++sequence) {
    client_->push_inline(one.handle, make_batch({{"1", {}}}, make_producer_id(1), 1, sequence));
    other.push_inline(two.handle, make_batch({{"2", {}}}, make_producer_id(2), 1, sequence));
  }
  std::vector<bool> seen(40);
  for (uint64_t sequence = 0; sequence < 20; ++sequence) {
    for (RawClient* client : {client_.get(), &other}) {
      const wire::Ack ack = client->ack();
      ASSERT_EQ(ack.code, 0);
      ASSERT_EQ(ack.sequence, sequence);
      ASSERT_LT(ack.first_offset, 40u);
      ASSERT_FALSE(seen[ack.first_offset]);
      seen[ack.first_offset] = true;
    }
  }
}

TEST(PushLimits, FullMemoryPartitionSaysSoAndTooLargeNamesTheLimit) {
  TestServer server("inprocess");
  ASSERT_TRUE(server.open(memory_spec(0, uint64_t{4} << 20)).ok());
  RawClient client("inprocess");
  client.join(server);
  const auto id = make_producer_id(1);
  const auto producer = client.open_producer(make_uuid(1), 0, id);
  const TestBatch large = make_batch({{"l", random_bytes(uint64_t{5} << 20, 1)}}, id, 1, 0);
  client.push_pulled(producer.handle, large);
  std::string text;
  EXPECT_EQ(client.ack(&text).code, static_cast<int>(Code::EVENT_TOO_LARGE)) << text;
  EXPECT_NE(text.find("partition 0 of topic 'field' on slot 0"), std::string::npos) << text;
  uint64_t sequence = 0;
  int code = 0;
  std::deque<TestBatch> batches;
  while (code == 0 && sequence < 20) {
    batches.push_back(make_batch({{"m", random_bytes(uint64_t{1} << 20, sequence)}}, id, 1, sequence));
    client.push_pulled(producer.handle, batches.back());
    code = client.ack(&text).code;
    ++sequence;
  }
  EXPECT_EQ(code, static_cast<int>(Code::NO_SPACE)) << text;
  EXPECT_GE(sequence, 4u);
}

TEST(PushLimits, BatchesBeyondTheCreditAreBusyAndLoseNothing) {
  BrokerOptions options = TestServer::default_options();
  options.batches_in_flight_max = 2;
  TestServer server("inprocess", options);
  TestDirectory directory;
  ASSERT_TRUE(server.open(disk_spec(directory, wire::Durability::kSynced)).ok());
  RawClient client("inprocess");
  client.join(server);
  const auto id = make_producer_id(1);
  const auto producer = client.open_producer(make_uuid(1), 0, id);
  EXPECT_EQ(producer.batches_in_flight_max, 2u);
  // Resends whatever was sent back, from the sequence that is expected, until all are stored.
  std::deque<TestBatch> batches;
  for (uint64_t sequence = 0; sequence < 12; ++sequence) {
    batches.push_back(make_batch({{"b", random_bytes(uint64_t{3} << 20, sequence)}}, id, 1, sequence));
  }
  for (const TestBatch& batch : batches) client.push_pulled(producer.handle, batch);
  std::set<uint64_t> stored;
  size_t unanswered = batches.size();
  bool sent_back = false;
  while (stored.size() < batches.size()) {
    const wire::Ack ack = client.ack();
    --unanswered;
    if (ack.code == 0) {
      stored.insert(ack.sequence);
    } else {
      sent_back = true;
      ASSERT_TRUE(ack.code == static_cast<int>(Code::BUSY) || ack.code == static_cast<int>(Code::SEQUENCE_GAP))
          << ack.code;
    }
    if (unanswered == 0 && stored.size() < batches.size()) {
      client.push_pulled(producer.handle, batches[stored.size()]);
      ++unanswered;
    }
  }
  EXPECT_TRUE(sent_back);
  EXPECT_GT(server.broker_->counters().busy_answers, 0u);
}

}  // namespace
}  // namespace weft::broker::test
