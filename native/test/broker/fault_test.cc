// Clients that die, stall or send nonsense; partitions and servers that are closed under them.
#include "broker_client.h"
#include "log/fault_file.h"

namespace weft::broker::test {
namespace {

class Faults : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override { ASSERT_TRUE(server_.open(spec()).ok()); }
  PartitionSpec spec(uint32_t partition = 0) {
    return GetParam() ? memory_spec(partition) : disk_spec(directory_, wire::Durability::kSynced, partition);
  }
  TestDirectory directory_;
  TestServer server_{"inprocess"};
};
INSTANTIATE_TEST_SUITE_P(Broker, Faults, testing::Values(true, false),
                         [](const auto& test) { return test.param ? "memory" : "disk"; });

// A partition whose files fail when a test says so.
class FaultFiles : public testing::Test {
 protected:
  TestDirectory directory_;
  log::FaultFileSystem files_{1};
};

// Real files whose syncs or removals do not return until the test lets them.
class StuckFiles final : public log::FileSystem {
 public:
  ~StuckFiles() override { go_on(); }
  void stick() { stuck_ = true; }
  void stick_removals() { removals_stuck_ = true; }
  void go_on() {
    for (std::atomic<bool>* stuck : {&stuck_, &removals_stuck_}) {
      *stuck = false;
      stuck->notify_all();
    }
  }
  bool reached() const { return reached_; }

  Result<std::unique_ptr<log::File>> open(const std::string& path, log::OpenMode mode) override {
    auto opened = real_.open(path, mode);
    if (!opened.ok()) return opened.status();
    return std::unique_ptr<log::File>(std::make_unique<StuckFile>(*this, opened.take()));
  }
  Status remove(const std::string& path) override {
    if (removals_stuck_) reached_ = true;
    removals_stuck_.wait(true);
    return real_.remove(path);
  }
  Status rename(const std::string& from, const std::string& to) override { return real_.rename(from, to); }
  Status make_directories(const std::string& path) override { return real_.make_directories(path); }
  Status sync_directory(const std::string& path) override { return real_.sync_directory(path); }
  Result<std::vector<std::string>> list(const std::string& path) override { return real_.list(path); }
  Result<bool> exists(const std::string& path) override { return real_.exists(path); }

 private:
  class StuckFile final : public log::File {
   public:
    StuckFile(StuckFiles& files, std::unique_ptr<log::File> real) : files_(files), real_(std::move(real)) {}
    Status read_at(uint64_t position, std::span<std::byte> into) override { return real_->read_at(position, into); }
    Status write_at(uint64_t position, std::span<const std::byte> from) override {
      return real_->write_at(position, from);
    }
    Status write_vector_at(uint64_t position, std::span<const std::span<const std::byte>> pieces) override {
      return real_->write_vector_at(position, pieces);
    }
    Status sync_data() override {
      if (files_.stuck_) files_.reached_ = true;
      files_.stuck_.wait(true);
      return real_->sync_data();
    }
    Status truncate(uint64_t length) override { return real_->truncate(length); }
    Status punch_hole(uint64_t position, uint64_t length) override { return real_->punch_hole(position, length); }
    Result<uint64_t> size() override { return real_->size(); }

   private:
    StuckFiles& files_;
    std::unique_ptr<log::File> real_;
  };

  log::FileSystem& real_ = log::FileSystem::real();
  std::atomic<bool> stuck_{false};
  std::atomic<bool> removals_stuck_{false};
  std::atomic<bool> reached_{false};
};

// A drain once waited for ever for a sync that did not return.
TEST(StuckDisk, TheDrainEndsAtItsTimeLimit) {
  TestDirectory directory;
  StuckFiles files;
  TestServer server("inprocess");
  PartitionSpec spec = disk_spec(directory, wire::Durability::kSynced);
  spec.file_system = &files;
  ASSERT_TRUE(server.open(spec).ok());
  RawClient client("inprocess");
  client.join(server);
  const auto producer = client.open_producer(make_uuid(1), 0, make_producer_id(1));
  files.stick();
  client.push_inline(producer.handle, make_batch({{"s", random_bytes(3000, 1)}}, make_producer_id(1), 1, 0));
  ASSERT_TRUE(TestServer::eventually([&] { return files.reached(); }));
  const Status stopped = server.stop(100);
  EXPECT_EQ(stopped.code(), Code::TIMED_OUT) << stopped.text();
  EXPECT_TRUE(server.logged("1 partitions are not closed"));
  EXPECT_EQ(server.stop(100).code(), Code::TIMED_OUT);  // the same end
  EXPECT_FALSE(server.broker_->end_threads(50));
  files.go_on();
  EXPECT_TRUE(server.broker_->end_threads(60'000));
}

// The log of a partition that is removed once was asked after it was gone.
TEST(StuckDisk, APartitionThatIsBeingRemovedIsNotThere) {
  TestDirectory directory;
  StuckFiles files;
  TestServer server("inprocess");
  PartitionSpec spec = disk_spec(directory, wire::Durability::kWritten);
  spec.file_system = &files;
  ASSERT_TRUE(server.open(spec).ok());
  RawClient client("inprocess");
  client.join(server);
  const auto query = [&] {
    const uint64_t request = client.begin(wire::MessageType::kPartitionQuery);
    client.writer_.put(wire::PartitionQuery{make_uuid(1), 0, 0});
    client.send();
    return client.take<wire::PartitionStateReply>(wire::MessageType::kPartitionState, request).code;
  };
  EXPECT_EQ(query(), 0);
  files.stick_removals();
  Status removed;
  std::thread remover([&] { removed = server.close(make_uuid(1), 0, true); });
  EXPECT_TRUE(TestServer::eventually([&] { return files.reached(); }));
  EXPECT_EQ(query(), static_cast<int>(Code::TOPIC_UNKNOWN));
  EXPECT_EQ(server.broker_->describe_partition(make_uuid(1), 0).status().code(), Code::TOPIC_UNKNOWN);
  files.go_on();
  remover.join();
  EXPECT_TRUE(removed.ok()) << removed.text();
  EXPECT_EQ(query(), static_cast<int>(Code::TOPIC_UNKNOWN)) << "whoever asks later is told so, too";
}

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

// What writes that failed together left in the request was once the next client's answer.
TEST_P(Faults, WritesThatFailTogetherDoNotFailTheNextFetch) {
  constexpr uint64_t kBytes = uint64_t{64} << 20;
  BrokerOptions options = TestServer::default_options();
  options.transfer_timeout_ms = 500;
  TestServer server("tcp", options);
  ASSERT_TRUE(server.open(spec(1)).ok());
  RawClient client("tcp");
  client.join(server);
  const auto producer = client.open_producer(make_uuid(1), 1, make_producer_id(1));
  const TestBatch batch = make_batch({{"d", random_bytes(kBytes, 1)}}, make_producer_id(1), 1, 0);
  client.push_pulled(producer.handle, batch);
  ASSERT_EQ(client.ack().code, 0);
  Bytes ring(64 * 1024);
  Bytes destination(kBytes);
  {
    Bytes stuck_ring(64 * 1024);
    Bytes stuck_destination(kBytes);
    RawClient stuck("tcp");
    stuck.join(server);
    const auto consumer = stuck.open_consumer(make_uuid(1), 1, stuck_ring);
    const wire::Memory memory = stuck.expose(stuck_destination, fabric::kRemoteWrite);
    stuck.begin(wire::MessageType::kDataRequest);
    stuck.writer_.put(wire::DataRequest{consumer.handle, 1, memory});
    stuck.writer_.put(wire::Selection{0, 0, 1, 0});
    stuck.writer_.put(wire::Run{0, kBytes, 0, 0});
    // Its lane does nothing from here until the server has given up: as many slabs as may be stay under way.
    stuck.after_send_ = [&] {
      EXPECT_TRUE(TestServer::eventually([&] { return server.broker_->counters().sessions_now == 1; }));
      EXPECT_GE(server.broker_->counters().transfers_failed, 2u);
    };
    stuck.send();
  }
  const auto consumer = client.open_consumer(make_uuid(1), 1, ring);
  std::string text;
  const auto reply = client.fetch(consumer.handle, {{0, 0, {{0, kBytes, {}}}}},
                                  client.expose(destination, fabric::kRemoteWrite), &text);
  EXPECT_EQ(reply.code, 0) << text;
  EXPECT_TRUE(destination == batch.extent);
}

// A client that stands still is not read from again and again: each read that never ends takes a slab from all others.
TEST_P(Faults, AReadThatRunsIntoItsTimeLimitEndsTheSession) {
  BrokerOptions options = TestServer::default_options();
  options.transfer_timeout_ms = 300;
  TestServer server("tcp", options);
  ASSERT_TRUE(server.open(spec(1)).ok());
  // Before its client: that may still read it when all is over.
  const TestBatch batch = make_batch({{"d", random_bytes(uint64_t{64} << 20, 1)}}, make_producer_id(1), 1, 0);
  RawClient stuck("tcp");
  stuck.join(server);
  const auto producer = stuck.open_producer(make_uuid(1), 1, make_producer_id(1));
  stuck.after_send_ = [&] {
    EXPECT_TRUE(TestServer::eventually([&] { return server.broker_->counters().batches_received == 1; }));
    EXPECT_TRUE(TestServer::eventually([&] { return server.broker_->counters().sessions_now == 0; }));
  };
  stuck.push_pulled(producer.handle, batch);
  EXPECT_TRUE(server.logged("its memory cannot be read"));
  RawClient client("tcp");
  client.join(server);
  const auto other = client.open_producer(make_uuid(1), 1, make_producer_id(2));
  const TestBatch next = make_batch({{"d", random_bytes(uint64_t{4} << 20, 2)}}, make_producer_id(2), 1, 0);
  client.push_pulled(other.handle, next);
  EXPECT_EQ(client.ack().code, 0);
}

// A body that is still to be pulled takes memory here as one that came inline does.
TEST_P(Faults, BodiesToBePulledAreBounded) {
  BrokerOptions options = TestServer::default_options();
  options.slab_bytes = uint64_t{16} << 20;
  TestServer server("inprocess", options);
  PartitionSpec roomy = spec(1);
  roomy.memory_metadata_bytes = uint64_t{64} << 20;
  ASSERT_TRUE(server.open(roomy).ok());
  RawClient client("inprocess");
  client.join(server);
  const auto producer = client.open_producer(make_uuid(1), 1, make_producer_id(1));
  const Bytes metadata = random_bytes(750'000, 1);
  const std::string text(reinterpret_cast<const char*>(metadata.data()), metadata.size());
  std::vector<TestBatch> batches;
  for (uint64_t sequence = 0; sequence < 30; ++sequence) {
    batches.push_back(make_batch({{text, {}}, {text, {}}}, make_producer_id(1), 1, sequence));
  }
  const wire::Memory memory = client.expose(batches.front().body);
  std::vector<Bytes> messages;
  for (const TestBatch& batch : batches) {
    client.begin(wire::MessageType::kBatch);
    wire::Batch message{};
    message.handle = producer.handle;
    message.body = memory;
    message.header = batch.header;
    client.writer_.put(message);
    const auto bytes = client.writer_.finish(0);
    messages.emplace_back(bytes.begin(), bytes.end());
  }
  // All at once: none is pulled before the last one has come.
  run_on(server.lane(), [&] {
    run_on(*client.lane_, [&] {
      for (const Bytes& message : messages) {
        const std::span<const std::byte> bytes(message);
        EXPECT_TRUE(client.lane_->send(client.peer_, std::span(&bytes, 1)).ok());
      }
    });
  });
  uint64_t stored = 0;
  uint64_t busy = 0;
  for (size_t i = 0; i < batches.size(); ++i) {
    std::string why;
    const wire::Ack ack = client.ack(&why);
    stored += ack.code == 0 ? 1 : 0;
    busy += ack.code == static_cast<int>(Code::BUSY) ? 1 : 0;
    ASSERT_TRUE(ack.code == 0 || ack.code == static_cast<int>(Code::BUSY) ||
                ack.code == static_cast<int>(Code::SEQUENCE_GAP))
        << why;
  }
  EXPECT_GE(stored, 5u);
  EXPECT_GE(busy, 1u);
  // Nothing of it stays counted.
  for (uint64_t sequence = stored; sequence < batches.size(); ++sequence) {
    client.push_described(producer.handle, batches[sequence], memory, {}, false);
    ASSERT_EQ(client.ack().code, 0) << sequence;
  }
}

TEST_P(Faults, ProducersOfOneClientLeaveRoomForOthers) {
  const auto id_of = [](uint32_t number) {
    wire::ProducerId id = make_producer_id(9);
    std::memcpy(id.bytes, &number, sizeof number);
    return id;
  };
  constexpr uint32_t kMax = 512;
  RawClient client("inprocess");
  client.join(server_);
  for (uint32_t i = 0; i < kMax; ++i) ASSERT_EQ(client.open_producer(make_uuid(1), 0, id_of(i)).code, 0) << i;
  std::string why;
  EXPECT_EQ(client.open_producer(make_uuid(1), 0, id_of(kMax), 0, &why).code, static_cast<int>(Code::LIMIT));
  EXPECT_NE(why.find("close some"), std::string::npos) << why;
  // One that is open already is opened again at the limit; another client and another partition do not count.
  EXPECT_EQ(client.open_producer(make_uuid(1), 0, id_of(0)).code, 0);
  RawClient other("inprocess");
  other.join(server_);
  EXPECT_EQ(other.open_producer(make_uuid(1), 0, id_of(kMax)).code, 0);
  ASSERT_TRUE(server_.open(spec(1)).ok());
  EXPECT_EQ(client.open_producer(make_uuid(1), 1, id_of(kMax)).code, 0);
}

TEST_P(Faults, DataRequestsOfOneClientAreBounded) {
  RawClient client("inprocess");
  client.join(server_);
  const auto producer = client.open_producer(make_uuid(1), 0, make_producer_id(1));
  const TestBatch batch = make_batch({{"d", random_bytes(uint64_t{2} << 20, 1)}}, make_producer_id(1), 1, 0);
  client.push_pulled(producer.handle, batch);
  ASSERT_EQ(client.ack().code, 0);
  constexpr uint32_t kConsumers = 6;
  constexpr uint32_t kRequests = 16;  // of each: as many as one consumer may have
  Bytes ring(64 * 1024);
  Bytes destination(uint64_t{2} << 20);
  const wire::Memory memory = client.expose(destination, fabric::kRemoteWrite);
  std::vector<Bytes> messages;
  for (uint32_t i = 0; i < kConsumers; ++i) {
    const auto consumer = client.open_consumer(make_uuid(1), 0, ring);
    ASSERT_EQ(consumer.code, 0);
    for (uint32_t k = 0; k < kRequests; ++k) {
      client.begin(wire::MessageType::kDataRequest);
      client.writer_.put(wire::DataRequest{consumer.handle, 1, memory});
      client.writer_.put(wire::Selection{0, 0, 1, 0});
      client.writer_.put(wire::Run{0, uint64_t{2} << 20, 0, 0});
      const auto bytes = client.writer_.finish(0);
      messages.emplace_back(bytes.begin(), bytes.end());
    }
  }
  // They reach the server all at once: none is answered before the last one has come.
  run_on(server_.lane(), [&] {
    run_on(*client.lane_, [&] {
      for (const Bytes& message : messages) {
        const std::span<const std::byte> bytes(message);
        EXPECT_TRUE(client.lane_->send(client.peer_, std::span(&bytes, 1)).ok());
      }
    });
  });
  uint32_t busy = 0;
  for (uint32_t i = 0; i < kConsumers * kRequests; ++i) {
    std::string why;
    const auto reply = client.take<wire::DataReply>(wire::MessageType::kDataReply, 0, &why);
    if (reply.code == 0) continue;
    ASSERT_EQ(reply.code, static_cast<int>(Code::BUSY)) << why;
    EXPECT_NE(why.find("of this client"), std::string::npos) << why;
    ++busy;
  }
  EXPECT_GT(busy, 0u);
  EXPECT_LE(busy, kConsumers * kRequests - 64);
}

// What a consumer that gives no room makes the server read ahead is bounded by its ring.
TEST_F(FaultFiles, NothingIsReadAheadForAFullRing) {
  TestServer server("inprocess");
  PartitionSpec spec = disk_spec(directory_, wire::Durability::kWritten);
  spec.file_system = &files_;
  ASSERT_TRUE(server.open(spec).ok());
  RawClient client("inprocess");
  client.join(server);
  const auto producer = client.open_producer(make_uuid(1), 0, make_producer_id(1));
  for (uint64_t sequence = 0; sequence < 8; ++sequence) {
    const TestBatch batch = make_batch({{std::string(40'000, 'm'), {}}}, make_producer_id(1), 1, sequence);
    client.push_inline(producer.handle, batch);
    ASSERT_EQ(client.ack().code, 0);
  }
  Bytes ring(64 * 1024);
  const auto consumer = client.open_consumer(make_uuid(1), 0, ring);
  const TestFrame first = client.frame();
  EXPECT_EQ(first.frame.first_offset, 0u);
  // From here the files cannot be read: what comes was read before.
  files_.fail_after(0);
  client.credit(consumer.handle, first.frame.ring_end);
  const TestFrame second = client.frame();
  EXPECT_EQ(second.frame.first_offset, 1u);
  client.credit(consumer.handle, second.frame.ring_end);
  EXPECT_EQ(client.take<wire::ConsumerFailed>(wire::MessageType::kConsumerFailed).offset, 2u);
  files_.allow_all();
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
  EXPECT_EQ(third.last_offset, 1u);  // of epoch 1: what epoch 2 was told does not get lost with it
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
  // It stores nothing any more, so no batch can be taken for another's: it opens, and does not keep a producer from
  // the other partitions.
  EXPECT_EQ(open(0, "solver").epoch, 7u);
  EXPECT_EQ(open(0, "solver").epoch, 8u);
  EXPECT_EQ(open(0, "").epoch, 9u);
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
  ASSERT_EQ(client.open_producer(make_uuid(1), 0, make_producer_id(2), 0, nullptr, "other").code, 0);
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
