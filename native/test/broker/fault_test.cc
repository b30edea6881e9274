// Clients that die, stall or send nonsense; partitions and servers that are closed under them.
#include "broker_client.h"
#include "log/fault_file.h"

namespace weft::broker::test {
namespace {

class Faults : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override { ASSERT_TRUE(server_.open(spec()).ok()); }
  PartitionSpec spec() { return GetParam() ? memory_spec() : disk_spec(directory_, wire::Durability::kSynced); }
  TestDirectory directory_;
  TestServer server_{"inprocess"};
};
INSTANTIATE_TEST_SUITE_P(Broker, Faults, testing::Values(true, false),
                         [](const auto& test) { return test.param ? "memory" : "disk"; });

TEST_P(Faults, DeadProducersLeaveNothingAndHoldNobodyUp) {
  RawClient good("inprocess");
  good.join(server_);
  const auto producer = good.open_producer(make_uuid(1), 0, make_producer_id(1));
  std::deque<TestBatch> batches;
  uint64_t sequence = 0;
  for (uint8_t round = 0; round < 10; ++round) {
    auto dead = std::make_unique<RawClient>("inprocess");
    dead->join(server_);
    const auto id = make_producer_id(static_cast<uint8_t>(100 + round));
    const auto doomed = dead->open_producer(make_uuid(1), 0, id);
    const TestBatch large = make_batch({{"d", random_bytes(uint64_t{2} << 20, round)}}, id, 1, 0);
    dead->push_pulled(doomed.handle, large);
    dead.reset();  // its lane goes while it is read from
    batches.push_back(make_batch({{"g", random_bytes(100'000, round)}}, make_producer_id(1), 1, sequence++));
    good.push_pulled(producer.handle, batches.back());
    ASSERT_EQ(good.ack().code, 0) << static_cast<int>(round);
  }
  ASSERT_TRUE(TestServer::eventually([&] {
    const auto counters = server_.broker_->counters();
    return counters.sessions_now == 1 && counters.batches_in_flight_now == 0 && counters.producers_now == 1;
  }));
}

TEST_P(Faults, DeadConsumersLeaveNothing) {
  RawClient client("inprocess");
  client.join(server_);
  const auto producer = client.open_producer(make_uuid(1), 0, make_producer_id(1));
  std::deque<TestBatch> batches;
  for (uint64_t sequence = 0; sequence < 20; ++sequence) {
    batches.push_back(
        make_batch({{std::string(60'000, 'm'), random_bytes(200'000, sequence)}}, make_producer_id(1), 1, sequence));
    client.push_pulled(producer.handle, batches.back());
    ASSERT_EQ(client.ack().code, 0);
  }
  for (int round = 0; round < 10; ++round) {
    Bytes ring(uint64_t{4} << 20);
    Bytes destination(uint64_t{4} << 20);
    auto dead = std::make_unique<RawClient>("inprocess");
    dead->join(server_);
    const auto opened = dead->open_consumer(make_uuid(1), 0, ring);
    const wire::Memory memory = dead->expose(destination, fabric::kRemoteWrite);
    dead->begin(wire::MessageType::kDataRequest);
    dead->writer_.put(wire::DataRequest{opened.handle, 1, memory});
    dead->writer_.put(wire::Selection{3, 0, 1, 0});
    dead->writer_.put(wire::Run{0, 200'000, 0, 0});
    dead->send();
    dead.reset();
  }
  ASSERT_TRUE(TestServer::eventually([&] {
    const auto counters = server_.broker_->counters();
    return counters.sessions_now == 1 && counters.consumers_now == 0;
  }));
  Bytes ring(uint64_t{4} << 20);
  ASSERT_EQ(client.open_consumer(make_uuid(1), 0, ring).code, 0);
  for (uint64_t i = 0; i < 20; ++i) ASSERT_EQ(client.frame().frame.first_offset, i);
}

TEST_P(Faults, MemoryThatCannotBeReadFailsTheBatchOnly) {
  RawClient client("inprocess");
  client.join(server_);
  const auto producer = client.open_producer(make_uuid(1), 0, make_producer_id(1));
  const TestBatch batch = make_batch({{"x", random_bytes(uint64_t{3} << 20, 1)}}, make_producer_id(1), 1, 0);
  const wire::Memory wrong{0, 0xDEAD, batch.extent.size()};
  client.push_described(producer.handle, batch, {}, {{wrong, 0, batch.extent.size(), 0}}, true);
  const wire::Ack failed = client.ack();
  EXPECT_NE(failed.code, 0);
  EXPECT_EQ(failed.expected_sequence, 0u);
  client.push_pulled(producer.handle, batch);
  EXPECT_EQ(client.ack().code, 0);
  ASSERT_TRUE(TestServer::eventually([&] { return server_.broker_->counters().batches_in_flight_now == 0; }));
}

TEST_P(Faults, ClosedPartitionIsUnavailableAndOpensAgain) {
  RawClient client("inprocess");
  client.join(server_);
  const auto producer = client.open_producer(make_uuid(1), 0, make_producer_id(1));
  Bytes ring(1 << 20);
  ASSERT_EQ(client.open_consumer(make_uuid(1), 0, ring).code, 0);
  const TestBatch batch = make_batch({{"x", {}}}, make_producer_id(1), 1, 0);
  client.push_inline(producer.handle, batch);
  ASSERT_EQ(client.ack().code, 0);
  ASSERT_TRUE(server_.close(make_uuid(1), 0, false).ok());
  EXPECT_EQ(client.take<wire::ConsumerFailed>(wire::MessageType::kConsumerFailed).code,
            static_cast<int>(Code::PARTITION_UNAVAILABLE));
  client.push_inline(producer.handle, make_batch({{"x", {}}}, make_producer_id(1), 1, 1));
  EXPECT_EQ(client.ack().code, static_cast<int>(Code::PARTITION_UNAVAILABLE));
  EXPECT_EQ(server_.close(make_uuid(1), 0, false).code(), Code::PARTITION_UNAVAILABLE);
  const auto again = server_.open(spec());
  ASSERT_TRUE(again.ok()) << again.status().text();
  EXPECT_EQ(again.value().next_offset, GetParam() ? 0u : 1u);
  EXPECT_EQ(server_.open(spec()).status().code(), Code::TOPIC_EXISTS);
  const auto described = server_.broker_->describe_partition(make_uuid(1), 0);
  ASSERT_TRUE(described.ok());
  EXPECT_NE(described.value().find("\"partition\":0"), std::string::npos) << described.value();
  ASSERT_TRUE(server_.close(make_uuid(1), 0, true).ok());
  const auto empty = server_.open(spec());
  ASSERT_TRUE(empty.ok());
  EXPECT_EQ(empty.value().next_offset, 0u);
}

TEST(FaultsInMemory, APartitionLargerThanTheMemoryIsRefused) {
  TestServer server("inprocess");
  const auto opened = server.open(memory_spec(0, uint64_t{1} << 50));
  EXPECT_EQ(opened.status().code(), Code::OUT_OF_MEMORY) << opened.status().text();
  EXPECT_NE(opened.status().text().find("memoryDataBytes"), std::string::npos) << opened.status().text();
  EXPECT_TRUE(server.open(memory_spec()).ok());
}

TEST(FaultsOnDisk, AnotherTopicOfThatNameOnTheSameDirectoriesIsRefused) {
  TestDirectory directory;
  TestServer server("inprocess");
  const PartitionSpec first = disk_spec(directory, wire::Durability::kSynced);
  PartitionSpec second = first;
  second.uuid = make_uuid(2);
  ASSERT_TRUE(server.open(first).ok());
  EXPECT_EQ(server.open(second).status().code(), Code::TOPIC_EXISTS);
  ASSERT_TRUE(server.close(make_uuid(1), 0, false).ok());
  const auto refused = server.open(second);
  EXPECT_EQ(refused.status().code(), Code::TOPIC_EXISTS);
  EXPECT_NE(refused.status().text().find("01010101-0101-0101-0101-010101010101/0"), std::string::npos)
      << refused.status().text();
  ASSERT_TRUE(server.open(first).ok());
  ASSERT_TRUE(server.close(make_uuid(1), 0, true).ok());
  EXPECT_TRUE(server.open(second).ok());
}

// A producer was given epoch 2 and stored nothing; after a restart another one was given epoch 2 as well, and the first
// batch of the one was answered as a repetition of the other's: acknowledged, and stored nowhere.
TEST(FaultsOnDisk, AnEpochThatWasGivenIsNotGivenAgainAfterARestart) {
  TestDirectory directory;
  const auto id = make_producer_id(1);
  {
    TestServer server("inprocess");
    ASSERT_TRUE(server.open(disk_spec(directory, wire::Durability::kWritten)).ok());
    RawClient client("inprocess");
    client.join(server);
    const auto first = client.open_producer(make_uuid(1), 0, id, 0, nullptr, "solver");
    EXPECT_EQ(first.epoch, 1u);
    client.push_inline(first.handle, make_batch({{"x", {}}}, id, 1, 0));
    ASSERT_EQ(client.ack().code, 0);
    const auto second = client.open_producer(make_uuid(1), 0, id, 0, nullptr, "solver");
    ASSERT_EQ(second.code, 0);
    EXPECT_EQ(second.epoch, 2u);
    EXPECT_EQ(second.next_sequence, 0u);
    EXPECT_EQ(second.last_offset, 1u);
  }
  TestServer server("inprocess");
  ASSERT_TRUE(server.open(disk_spec(directory, wire::Durability::kWritten)).ok());
  RawClient client("inprocess");
  client.join(server);
  const auto third = client.open_producer(make_uuid(1), 0, id, 0, nullptr, "solver");
  EXPECT_EQ(third.epoch, 3u);
  client.push_inline(third.handle, make_batch({{"y", {}}}, id, third.epoch, 0));
  ASSERT_EQ(client.ack().code, 0);
  EXPECT_EQ(client.open_producer(make_uuid(1), 0, id, 2, nullptr, "solver").code, static_cast<int>(Code::FENCED));
  EXPECT_EQ(client.open_producer(make_uuid(1), 0, id, 3, nullptr, "solver").next_sequence, 1u);
}

TEST(FaultsOnDisk, ANamedProducerIsRefusedWhenItsEpochCannotBeMadeDurable) {
  log::FaultFileSystem files(1);
  TestServer server("inprocess");
  PartitionSpec spec = disk_spec(TestDirectory(), wire::Durability::kWritten);
  spec.file_system = &files;
  ASSERT_TRUE(server.open(spec).ok());
  RawClient client("inprocess");
  client.join(server);
  const auto id = make_producer_id(1);
  const auto open = [&](uint32_t epoch, const std::string& name) {
    return client.open_producer(make_uuid(1), 0, id, epoch, nullptr, name);
  };
  EXPECT_EQ(open(0xFFFFFFFF, "solver").code, static_cast<int>(Code::INVALID_ARGUMENT));
  files.set_capacity(files.used_bytes());
  EXPECT_EQ(open(0, "solver").code, static_cast<int>(Code::NO_SPACE));
  files.allow_all();
  EXPECT_EQ(open(0, "solver").epoch, 1u);
  // Many at once: each is told its own epoch, in turn.
  std::vector<uint64_t> requests;
  for (int count = 0; count < 5; ++count) {
    requests.push_back(client.begin(wire::MessageType::kProducerOpen));
    client.writer_.put(wire::ProducerOpen{make_uuid(1), 0, 0, id});
    client.writer_.text("solver");
    client.send();
  }
  uint32_t epoch = 1;
  for (const uint64_t request : requests) {
    EXPECT_EQ(client.take<wire::ProducerOpened>(wire::MessageType::kProducerOpened, request).epoch, ++epoch);
  }
  files.fail_sync_after(0);
  EXPECT_EQ(open(0, "solver").code, static_cast<int>(Code::SYNC_FAILED));
  EXPECT_EQ(open(0, "solver").code, static_cast<int>(Code::PARTITION_READ_ONLY));
  EXPECT_EQ(open(0, "").epoch, 7u);  // nobody can open a name that is drawn by lot
  EXPECT_TRUE(server.logged("is read-only from now on"));
}

// The batch was in the log, its sync failed, and the answer expected its number again: the producer gave it up and used
// the number for the next one. After a restart that kept the first, the next was a repetition: acknowledged, and lost.
TEST(FaultsOnDisk, ABatchWhoseSyncFailedHasUsedItsSequenceUp) {
  log::FaultFileSystem files(1);
  TestServer server("inprocess");
  PartitionSpec spec = disk_spec(TestDirectory(), wire::Durability::kSynced);
  spec.file_system = &files;
  ASSERT_TRUE(server.open(spec).ok());
  RawClient client("inprocess");
  client.join(server);
  const auto id = make_producer_id(1);
  const auto producer = client.open_producer(make_uuid(1), 0, id);
  client.push_inline(producer.handle, make_batch({{"a", {}}}, id, 1, 0));
  ASSERT_EQ(client.ack().code, 0);
  files.fail_sync_after(0);
  for (uint64_t sequence = 1; sequence < 3; ++sequence) {
    client.push_inline(producer.handle, make_batch({{"b", {}}}, id, 1, sequence));
  }
  const wire::Ack failed = client.ack();
  EXPECT_EQ(failed.code, static_cast<int>(Code::SYNC_FAILED));
  EXPECT_EQ(failed.expected_sequence, 2u);
  const wire::Ack behind = client.ack();  // in the same group, or refused by the log, or at the door
  EXPECT_EQ(behind.sequence, 2u);
  EXPECT_EQ(behind.expected_sequence, behind.code == static_cast<int>(Code::SYNC_FAILED) ? 3u : 2u);
  // What the partition says to a client that comes back agrees.
  EXPECT_EQ(client.open_producer(make_uuid(1), 0, id, 1).next_sequence,
            behind.code == static_cast<int>(Code::SYNC_FAILED) ? 3u : 2u);
}

// The acknowledgement was lost with a session, the partition became read-only, and the batch that was sent again was
// refused for good: the application pushed its events, which are stored, a second time.
TEST(FaultsOnDisk, RepeatedBatchesAreAcknowledgedByAReadOnlyPartition) {
  log::FaultFileSystem files(1);
  TestServer server("inprocess");
  PartitionSpec spec = disk_spec(TestDirectory(), wire::Durability::kWritten);
  spec.file_system = &files;
  ASSERT_TRUE(server.open(spec).ok());
  RawClient client("inprocess");
  client.join(server);
  const auto id = make_producer_id(1);
  const auto producer = client.open_producer(make_uuid(1), 0, id);
  for (uint64_t sequence = 0; sequence < 3; ++sequence) {
    client.push_inline(producer.handle, make_batch({{"a", {}}, {"b", {}}}, id, 1, sequence));
    ASSERT_EQ(client.ack().code, 0);
  }
  files.fail_sync_after(0);
  ASSERT_NE(client.open_producer(make_uuid(1), 0, make_producer_id(2), 0, nullptr, "other").code, 0);
  const auto again = client.open_producer(make_uuid(1), 0, id, 1);
  ASSERT_EQ(again.code, 0);
  client.push_inline(again.handle, make_batch({{"a", {}}, {"b", {}}}, id, 1, 2));
  const wire::Ack repeated = client.ack();
  EXPECT_EQ(repeated.code, 0);
  EXPECT_EQ(repeated.first_offset, 4u);
  client.push_inline(again.handle, make_batch({{"c", {}}}, id, 1, 3));
  EXPECT_EQ(client.ack().code, static_cast<int>(Code::PARTITION_READ_ONLY));
}

// After a power loss offsets go on at the end of the lease. A commit from before, of an offset between, was confirmed
// and then found to be of lost events at the next start.
TEST(FaultsOnDisk, ACommitOfEventsThatRecoveryCutOffIsTruncated) {
  TestDirectory directory;
  const PartitionSpec spec = disk_spec(directory, wire::Durability::kWritten);
  {
    log::FileLogOptions options;
    options.metadata_directory = spec.metadata_directory;
    options.data_directory = spec.data_directory;
    options.boot_id = "before the power loss";
    auto log = log::open_file_log(options, nullptr).take();
    const TestBatch batch = make_batch({{"a", {}}, {"b", {}}}, make_producer_id(1), 1, 0);
    ASSERT_TRUE(log->append({&batch.header, batch.body, {}, {}}).ok());
  }
  TestServer server("inprocess");
  const auto opened = server.open(spec);
  ASSERT_TRUE(opened.ok());
  ASSERT_EQ(opened.value().epoch, 2u);
  ASSERT_GT(opened.value().next_offset, 100u);
  RawClient client("inprocess");
  client.join(server);
  std::string text;
  EXPECT_EQ(client.commit(make_uuid(1), 0, 1, 100, "c", &text).code, static_cast<int>(Code::TRUNCATED));
  EXPECT_NE(text.find(std::to_string(opened.value().next_offset)), std::string::npos) << text;
  EXPECT_EQ(client.commit(make_uuid(1), 0, 1, 2, "c").code, 0);
  EXPECT_EQ(client.commit(make_uuid(1), 0, 2, opened.value().next_offset, "c").code, 0);
}

TEST(FaultsOnDisk, DamagedCursorsAreLoggedAndTheOthersGoOn) {
  TestDirectory directory;
  const PartitionSpec spec = disk_spec(directory, wire::Durability::kWritten);
  TestServer server("inprocess");
  ASSERT_TRUE(server.open(spec).ok());
  RawClient client("inprocess");
  client.join(server);
  ASSERT_EQ(client.commit(make_uuid(1), 0, 1, 0, "c").code, 0);
  ASSERT_TRUE(server.close(make_uuid(1), 0, false).ok());
  std::filesystem::resize_file(spec.metadata_directory + "/cursors", 10);
  ASSERT_TRUE(server.open(spec).ok());
  EXPECT_TRUE(server.logged("cursors.damaged"));
}

TEST_P(Faults, StopFinishesWhatWasAccepted) {
  RawClient client("inprocess");
  client.join(server_);
  const auto producer = client.open_producer(make_uuid(1), 0, make_producer_id(1));
  std::deque<TestBatch> batches;
  for (uint64_t sequence = 0; sequence < 10; ++sequence) {
    batches.push_back(make_batch({{"s", random_bytes(300'000, sequence)}}, make_producer_id(1), 1, sequence));
    client.push_pulled(producer.handle, batches.back());
  }
  ASSERT_TRUE(TestServer::eventually([&] { return server_.broker_->counters().batches_received == 10; }));
  EXPECT_TRUE(server_.stop().ok());
  for (uint64_t sequence = 0; sequence < 10; ++sequence) {
    const wire::Ack ack = client.ack();
    ASSERT_EQ(ack.sequence, sequence);
    ASSERT_EQ(ack.code, 0);
  }
  EXPECT_FALSE(client.expect(wire::MessageType::kGoodbye).empty());
}

TEST_P(Faults, RandomMutationsOfValidMessagesDoNotDisturbTheServer) {
  RawClient good("inprocess");
  good.join(server_);
  const auto steady = good.open_producer(make_uuid(1), 0, make_producer_id(1));
  uint64_t sequence = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SeededRandom random(seed);
    Bytes ring(64 * 1024);
    Bytes destination(64 * 1024);
    const auto id = make_producer_id(static_cast<uint8_t>(2 + seed % 200));
    const TestBatch batch = make_batch({{"m", random_bytes(5000, seed)}, {"n", {}}}, id, 1, 0);
    RawClient bad("inprocess");
    bad.join(server_);
    bad.record_ = true;
    const auto producer = bad.open_producer(make_uuid(1), 0, id);
    const auto consumer = bad.open_consumer(make_uuid(1), 0, ring);
    bad.push_inline(producer.handle, batch);
    bad.push_pulled(producer.handle, batch, 3);
    bad.credit(consumer.handle, 0);
    const wire::Memory memory = bad.expose(destination, fabric::kRemoteWrite);
    static_cast<void>(bad.fetch(consumer.handle, {{0, 0, {{0, 1, {{4, 1}}}}}}, memory));
    static_cast<void>(bad.commit(make_uuid(1), 0, 1, 0, "c"));
    for (Bytes message : bad.sent_) {
      for (int copy = 0; copy < 4; ++copy) {
        Bytes changed = message;
        const uint64_t changes = 1 + random.below(4);
        for (uint64_t c = 0; c < changes; ++c) {
          // The session's number stays, so that it gets past the door.
          const uint64_t at = random.below(changed.size());
          if (at >= 4 && at < 24) continue;
          changed[at] = static_cast<std::byte>(random.next());
        }
        bad.send_bytes(changed);
      }
    }
    good.push_inline(steady.handle, make_batch({{"g", {}}}, make_producer_id(1), 1, sequence));
    const wire::Ack ack = good.ack();
    ASSERT_EQ(ack.code, 0) << "seed " << seed;
    ASSERT_EQ(ack.sequence, sequence) << "seed " << seed;
    ++sequence;
  }
  EXPECT_GT(server_.broker_->counters().messages_malformed, 0u);
}

}  // namespace
}  // namespace weft::broker::test
