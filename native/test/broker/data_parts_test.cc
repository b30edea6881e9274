// One data request of several consumers: every part's bytes, one answer, and what happens when a part cannot be served.
#include "broker_client.h"

namespace weft::broker::test {
namespace {

class DataParts : public testing::TestWithParam<const char*> {
 protected:
  static constexpr uint32_t kPartitions = 3;
  static constexpr size_t kBytes = 200'000;

  void SetUp() override {
    // The first in memory, the others on disk: their parts end at different times.
    ASSERT_TRUE(server_.open(memory_spec(0)).ok());
    for (uint32_t partition = 1; partition < kPartitions; ++partition)
      ASSERT_TRUE(server_.open(disk_spec(directory_, wire::Durability::kWritten, partition)).ok());
    client_.join(server_);
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      const auto producer = client_.open_producer(make_uuid(1), partition, make_producer_id(1));
      for (uint64_t sequence = 0; sequence < 2; ++sequence) {
        batches_.push_back(make_batch({{"s", data(partition, sequence)}}, make_producer_id(1), 1, sequence));
        client_.push_pulled(producer.handle, batches_.back());
        ASSERT_EQ(client_.ack().code, 0);
      }
      const auto opened = client_.open_consumer(make_uuid(1), partition, ring(partition));
      ASSERT_EQ(opened.code, 0);
      handles_.push_back(opened.handle);
    }
  }
  std::span<std::byte> ring(uint32_t partition) { return std::span(rings_).subspan(partition * kRing, kRing); }
  static Bytes data(uint32_t partition, uint64_t offset) { return random_bytes(kBytes, partition * 10 + offset); }
  // The whole of both events of each partition, one behind the other.
  std::vector<RawClient::TestSelection> all() const {
    std::vector<RawClient::TestSelection> selections;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      for (uint64_t offset = 0; offset < 2; ++offset) {
        selections.push_back({offset, (partition * 2 + offset) * kBytes, {{0, kBytes, {}}}, handles_[partition]});
      }
    }
    return selections;
  }

  static constexpr size_t kRing = 64 * 1024;
  Bytes rings_ = Bytes(kRing * kPartitions);
  TestDirectory directory_;
  TestServer server_{GetParam()};
  RawClient client_{GetParam()};
  std::deque<TestBatch> batches_;
  std::vector<uint32_t> handles_;
  Bytes into_ = Bytes(kBytes * kPartitions * 2);
};
INSTANTIATE_TEST_SUITE_P(Broker, DataParts, testing::Values("inprocess", "tcp"),
                         [](const auto& test) { return std::string(test.param); });

TEST_P(DataParts, AllBytesComeAndAreAnsweredOnce) {
  const wire::Memory memory = client_.expose(into_, fabric::kRemoteWrite);
  const uint64_t requests = server_.broker_->counters().data_requests;
  for (int round = 0; round < 5; ++round) {
    std::fill(into_.begin(), into_.end(), std::byte{0});
    const wire::DataReply reply = client_.fetch(0, all(), memory);
    ASSERT_EQ(reply.code, 0);
    EXPECT_EQ(reply.bytes_sent, into_.size());
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      for (uint64_t offset = 0; offset < 2; ++offset) {
        const auto there = std::span(into_).subspan((partition * 2 + offset) * kBytes, kBytes);
        ASSERT_TRUE(std::ranges::equal(there, data(partition, offset))) << partition << " " << offset;
      }
    }
  }
  EXPECT_EQ(server_.broker_->counters().data_requests, requests + 5);
}

TEST_P(DataParts, ThePartThatFailsIsNamedAndTheClientGoesOn) {
  const wire::Memory memory = client_.expose(into_, fabric::kRemoteWrite);
  std::string text;
  auto selections = all();
  selections[3].offset = 9;  // the second of partition 1
  EXPECT_EQ(client_.fetch(0, selections, memory, &text).code, static_cast<int>(Code::INVALID_ARGUMENT)) << text;
  selections = all();
  selections[5].runs = {{0, kBytes + 1, {}}};
  selections[5].destination_at = 0;
  const wire::DataReply outside = client_.fetch(0, selections, memory, &text);
  EXPECT_EQ(outside.code, static_cast<int>(Code::SELECTION_OUTSIDE)) << text;
  EXPECT_EQ(outside.failed_selection, 5u);
  selections = all();
  selections[4].handle = selections[5].handle = 77;
  const wire::DataReply unknown = client_.fetch(0, selections, memory, &text);
  EXPECT_EQ(unknown.code, static_cast<int>(Code::WRONG_HANDLE)) << text;
  EXPECT_EQ(unknown.failed_selection, 4u);
  EXPECT_EQ(client_.fetch(0, all(), memory).code, 0);
  EXPECT_EQ(client_.fetch(0, {}, memory).code, static_cast<int>(Code::WRONG_HANDLE));
}

TEST_P(DataParts, OffsetsOfOneConsumerDoNotFall) {
  const wire::Memory memory = client_.expose(into_, fabric::kRemoteWrite);
  client_.begin(wire::MessageType::kDataRequest);
  client_.writer_.put(wire::DataRequest{0, 2, memory});
  for (const uint64_t offset : {1u, 0u}) client_.writer_.put(wire::Selection{offset, 0, 0, handles_[1]});
  client_.send();
  EXPECT_TRUE(TestServer::eventually([&] { return server_.broker_->counters().messages_malformed == 1; }));
}

}  // namespace
}  // namespace weft::broker::test
