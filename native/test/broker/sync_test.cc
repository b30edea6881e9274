// SYNC: what was acknowledged at `written` becomes durable when it is asked for, and not before.
#include "broker_client.h"
#include "log/fault_file.h"
#include "log/partition_log.h"

namespace weft::broker::test {
namespace {

TEST(Sync, WhatItAnsweredForSurvivesALossOfPower) {
  TestDirectory directory;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    log::FaultFileSystem files(seed);
    PartitionSpec spec = disk_spec(directory, wire::Durability::kWritten);
    spec.file_system = &files;
    {
      TestServer server("inprocess");
      ASSERT_TRUE(server.open(spec).ok());
      RawClient client("inprocess");
      client.join(server);
      const auto producer = client.open_producer(make_uuid(1), 0, make_producer_id(1));
      for (uint64_t sequence = 0; sequence < 4; ++sequence) {
        client.push_inline(producer.handle,
                           make_batch({{"a", random_bytes(3000, sequence)}}, make_producer_id(1), 1, sequence));
        ASSERT_EQ(client.ack().code, 0);
        if (sequence != 2) continue;
        const uint64_t syncs = server.broker_->counters().syncs;
        ASSERT_EQ(client.sync(make_uuid(1), 0, 1, 3).code, 0);
        EXPECT_EQ(server.broker_->counters().syncs, syncs + 1);
        // It is known to be: no second one.
        ASSERT_EQ(client.sync(make_uuid(1), 0, 1, 2).code, 0);
        EXPECT_EQ(server.broker_->counters().syncs, syncs + 1);
      }
      files.lose_power();
    }
    TestServer server("inprocess");
    const auto opened = server.open(spec);
    ASSERT_TRUE(opened.ok()) << opened.status().text();
    RawClient client("inprocess");
    client.join(server);
    Bytes ring(64 * 1024);
    const auto consumer = client.open_consumer(make_uuid(1), 0, ring);
    ASSERT_EQ(consumer.code, 0);
    for (uint64_t offset = 0; offset < 3; ++offset) {
      ASSERT_EQ(client.frame().frame.first_offset, offset) << "seed " << seed;
      Bytes data(3000);
      ASSERT_EQ(
          client.fetch(consumer.handle, {{offset, 0, {{0, 3000, {}}}}}, client.expose(data, fabric::kRemoteWrite)).code,
          0);
      ASSERT_EQ(data, random_bytes(3000, offset)) << "seed " << seed;
    }
  }
}

TEST(Sync, EventsThatRecoveryCutOffAreTruncated) {
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
  RawClient client("inprocess");
  client.join(server);
  EXPECT_EQ(client.sync(make_uuid(1), 0, 1, 2).code, 0);  // these were found again
  std::string text;
  EXPECT_EQ(client.sync(make_uuid(1), 0, 1, 100, &text).code, static_cast<int>(Code::TRUNCATED)) << text;
  // Offsets that went on behind them do not make up for them.
  const auto producer = client.open_producer(make_uuid(1), 0, make_producer_id(2));
  client.push_inline(producer.handle, make_batch({{"c", {}}}, make_producer_id(2), producer.epoch, 0));
  const wire::Ack ack = client.ack();
  ASSERT_EQ(ack.code, 0);
  ASSERT_GT(ack.first_offset, 100u);
  EXPECT_EQ(client.sync(make_uuid(1), 0, 1, 100, &text).code, static_cast<int>(Code::TRUNCATED)) << text;
  EXPECT_NE(text.find("push them again"), std::string::npos) << text;
  EXPECT_EQ(client.sync(make_uuid(1), 0, 2, ack.first_offset + 1).code, 0);
}

TEST(Sync, WhatCannotBeIsSaid) {
  TestServer server("inprocess");
  TestDirectory directory;
  ASSERT_TRUE(server.open(disk_spec(directory, wire::Durability::kWritten)).ok());
  ASSERT_TRUE(server.open(memory_spec(1)).ok());
  RawClient client("inprocess");
  client.join(server);
  std::string text;
  EXPECT_EQ(client.sync(make_uuid(1), 0, 1, 1, &text).code, static_cast<int>(Code::INVALID_ARGUMENT)) << text;
  EXPECT_EQ(client.sync(make_uuid(1), 0, 9, 0, &text).code, static_cast<int>(Code::INVALID_ARGUMENT)) << text;
  EXPECT_EQ(client.sync(make_uuid(1), 1, 1, 0, &text).code, static_cast<int>(Code::UNSUPPORTED)) << text;
  EXPECT_NE(client.sync(make_uuid(2), 0, 1, 0, &text).code, 0) << text;
  EXPECT_EQ(client.sync(make_uuid(1), 0, 1, 0).code, 0);
}

TEST(Sync, OneThatFailsMakesThePartitionReadOnly) {
  log::FaultFileSystem files(1);
  TestServer server("inprocess");
  TestDirectory directory;
  PartitionSpec spec = disk_spec(directory, wire::Durability::kWritten);
  spec.file_system = &files;
  ASSERT_TRUE(server.open(spec).ok());
  RawClient client("inprocess");
  client.join(server);
  const auto producer = client.open_producer(make_uuid(1), 0, make_producer_id(1));
  client.push_inline(producer.handle, make_batch({{"a", {}}}, make_producer_id(1), 1, 0));
  ASSERT_EQ(client.ack().code, 0);
  files.fail_sync_after(0);
  std::string text;
  EXPECT_EQ(client.sync(make_uuid(1), 0, 1, 1, &text).code, static_cast<int>(Code::SYNC_FAILED)) << text;
  // Never tried again: the kernel may have dropped the pages.
  files.allow_all();
  EXPECT_NE(client.sync(make_uuid(1), 0, 1, 1, &text).code, 0) << text;
  client.push_inline(producer.handle, make_batch({{"b", {}}}, make_producer_id(1), 1, 1));
  EXPECT_EQ(client.ack().code, static_cast<int>(Code::PARTITION_READ_ONLY));
  EXPECT_TRUE(server.logged("is read-only from now on"));
}

}  // namespace
}  // namespace weft::broker::test
