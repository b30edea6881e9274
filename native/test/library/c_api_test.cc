// The whole way of an event through the C API: a server hosted in this process, clients attached to it.
#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "server_process.h"

namespace {

using weft_test::ControlPlane;
using weft_test::Server;
using weft_test::TemporaryFolder;
using weft_test::TopicPlan;

constexpr int64_t kTimeoutMs = 20'000;

struct Client {
  explicit Client(const std::string& group, const char* transports = nullptr) {
    weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
    options.transports = transports;
    EXPECT_WEFT_OK(weft_attach(group.c_str(), &options, &job));
  }
  ~Client() { EXPECT_WEFT_OK(weft_close(job)); }
  weft_job* job = nullptr;
};

weft_consumer* open_consumer(weft_job* job, const char* topic, const char* name = nullptr) {
  weft_consumer_options options = WEFT_CONSUMER_OPTIONS_DEFAULT;
  options.name = name;
  weft_consumer* consumer = nullptr;
  EXPECT_WEFT_OK(weft_consumer_open(job, topic, &options, &consumer));
  return consumer;
}

std::string metadata_of(const weft_event& event) {
  return {reinterpret_cast<const char*>(event.metadata), static_cast<size_t>(event.metadata_length)};
}

TEST(Packed, RecordsOfAnotherLengthAreRefused) {
  TemporaryFolder folder;
  const auto topic = [](const char* name, const char* schema) {
    return TopicPlan{name, 1, 1, 0, 2, 0, 1u << 20, std::string("{\"packed\":") + schema + "}"};
  };
  const char* const fixed =
      R"({"fields":[{"name":"a","type":"u8"},{"name":"b","type":"f64"},{"name":"c","type":"u16","length":3},)"
      R"({"name":"d","type":"string","bytes":3}]})";
  const char* const variable =
      R"({"version":1,"fields":[{"name":"a","type":"u8"},{"name":"b","type":"string"},{"name":"c","type":"bytes"}]})";
  Server server(folder.path(), {topic("fixed", fixed), topic("variable", variable),
                                topic("newer", R"({"version":2,"fields":[{"name":"a","type":"u8"}]})"),
                                topic("broken", R"({"fields":[{"name":"a","type":"u9"}]})")});
  Client client(server.group());
  const auto refused = [&](weft_producer* producer, const std::string& record, const char* why) {
    EXPECT_EQ(weft_push(producer, record.data(), record.size(), nullptr, 0, 0, nullptr), WEFT_METADATA_INVALID);
    EXPECT_NE(std::string(weft_error_text(nullptr)).find(why), std::string::npos) << weft_error_text(nullptr);
  };
  weft_producer* producer = nullptr;
  ASSERT_WEFT_OK(weft_producer_open(client.job, "fixed", nullptr, &producer));
  ASSERT_WEFT_OK(weft_push(producer, std::string(32, 'x').data(), 32, nullptr, 0, 0, nullptr));
  refused(producer, std::string(31, 'x'), "topic 'fixed' has 31 bytes; its record has 32");
  refused(producer, std::string(33, 'x'), "its record has 32");
  refused(producer, "", "has 0 bytes; its record has 32");
  ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
  ASSERT_WEFT_OK(weft_producer_close(producer, kTimeoutMs));

  ASSERT_WEFT_OK(weft_producer_open(client.job, "variable", nullptr, &producer));
  const std::string good(std::string("\1\0\0\0\2\0\0\0\1\0\0\0", 12) + "xyz");
  ASSERT_WEFT_OK(weft_push(producer, good.data(), good.size(), nullptr, 0, 0, nullptr));
  refused(producer, good + "x", "has 16 bytes; the lengths in its record make 15");
  refused(producer, std::string(12, '\xff'), "make 8589934602");
  refused(producer, good.substr(0, 11), "has 11 bytes; its record has at least 12");
  ASSERT_WEFT_OK(weft_producer_close(producer, kTimeoutMs));
  weft_consumer* consumer = open_consumer(client.job, "variable");
  weft_event event;
  ASSERT_WEFT_OK(weft_pull(consumer, kTimeoutMs, &event));
  EXPECT_EQ(metadata_of(event), good);
  ASSERT_WEFT_OK(weft_consumer_close(consumer));

  EXPECT_EQ(weft_producer_open(client.job, "newer", nullptr, &producer), WEFT_FORMAT_NEWER);
  EXPECT_EQ(weft_producer_open(client.job, "broken", nullptr, &producer), WEFT_CONFIG_INVALID);
}

TEST(Producer, APartitionThatThereIsNotIsRefused) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"t", 2}});
  Client client(server.group());
  weft_producer* producer = nullptr;
  ASSERT_WEFT_OK(weft_producer_open(client.job, "t", nullptr, &producer));
  for (const int32_t partition : {2, -2, INT32_MIN, INT32_MAX})
    EXPECT_EQ(weft_push_pieces(producer, partition, "1", 1, nullptr, 0, nullptr), WEFT_PARTITION_RANGE) << partition;
  EXPECT_EQ(weft_push_pieces(producer, -1, "1", 1, nullptr, 0, nullptr), WEFT_OK);
  ASSERT_WEFT_OK(weft_producer_close(producer, kTimeoutMs));
}

TEST(Producer, SyncMakesWhatWasAcknowledgedDurable) {
  TemporaryFolder folder;
  TopicPlan memory{"memory"};
  memory.storage = 1;
  memory.durability = 0;
  memory.memory_data_bytes = 1 << 20;
  Server server(folder.path(), {{"t", 2}, memory});
  Client client(server.group());
  const auto syncs = [&] { return weft_test::counter(server.job, "syncs"); };
  weft_producer* producer = nullptr;
  ASSERT_WEFT_OK(weft_producer_open(client.job, "t", nullptr, &producer));
  ASSERT_WEFT_OK(weft_push_pieces(producer, 1, "1", 1, nullptr, 0, nullptr));
  ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
  const uint64_t before = syncs();
  ASSERT_WEFT_OK(weft_sync(producer, kTimeoutMs));
  EXPECT_EQ(syncs(), before + 1);
  ASSERT_WEFT_OK(weft_sync(producer, kTimeoutMs));
  EXPECT_EQ(syncs(), before + 1);
  EXPECT_EQ(weft_sync(nullptr, 0), WEFT_WRONG_HANDLE);
  ASSERT_WEFT_OK(weft_producer_close(producer, kTimeoutMs));
  ASSERT_WEFT_OK(weft_producer_open(client.job, "memory", nullptr, &producer));
  EXPECT_EQ(weft_sync(producer, kTimeoutMs), WEFT_UNSUPPORTED);
  ASSERT_WEFT_OK(weft_producer_close(producer, kTimeoutMs));
}

TEST(Producer, OneThatComesBackUnderItsNameKnowsWhereItsEventsEnd) {
  TemporaryFolder folder;
  const auto open = [](weft_job* job, const char* name) {
    weft_producer_options options = WEFT_PRODUCER_OPTIONS_DEFAULT;
    options.name = name;
    weft_producer* producer = nullptr;
    EXPECT_EQ(weft_producer_open(job, "t", &options, &producer), WEFT_OK) << weft_error_text(nullptr);
    return producer;
  };
  const auto ends = [](weft_producer* producer) {
    uint64_t first = 99;
    uint64_t second = 99;
    EXPECT_EQ(weft_producer_stored_before(producer, 0, &first), WEFT_OK);
    EXPECT_EQ(weft_producer_stored_before(producer, 1, &second), WEFT_OK);
    return std::pair(first, second);
  };
  const auto none = std::pair<uint64_t, uint64_t>(0, 0);
  const auto three = std::pair<uint64_t, uint64_t>(0, 3);
  {
    Server server(folder.path(), {{"t", 2}});
    Client client(server.group());
    weft_producer* solver = open(client.job, "solver");
    ASSERT_NE(solver, nullptr);
    EXPECT_EQ(ends(solver), none);
    for (int i = 0; i < 3; ++i) ASSERT_WEFT_OK(weft_push_pieces(solver, 1, "1", 1, nullptr, 0, nullptr));
    ASSERT_WEFT_OK(weft_flush(solver, kTimeoutMs));
    EXPECT_EQ(ends(solver), none) << "what it stored itself its receipts say";
    uint64_t end = 0;
    EXPECT_EQ(weft_producer_stored_before(solver, 2, &end), WEFT_PARTITION_RANGE);
    EXPECT_EQ(weft_producer_stored_before(solver, 0, nullptr), WEFT_INVALID_ARGUMENT);
    weft_producer* again = open(client.job, "solver");
    EXPECT_EQ(ends(again), three);
    weft_producer* unnamed = open(client.job, nullptr);
    EXPECT_EQ(ends(unnamed), none);
    ASSERT_WEFT_OK(weft_producer_close(unnamed, kTimeoutMs));
    ASSERT_WEFT_OK(weft_producer_close(again, kTimeoutMs));
    ASSERT_WEFT_OK(weft_producer_close(solver, kTimeoutMs));
  }
  Server server(folder.path(), {{"t", 2}});
  Client client(server.group());
  weft_producer* solver = open(client.job, "solver");
  EXPECT_EQ(ends(solver), three);
  ASSERT_WEFT_OK(weft_producer_close(solver, kTimeoutMs));
}

TEST(Consumer, GoesOnFromAnotherPlace) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"t", 2}});
  Client client(server.group());
  weft_producer* producer = nullptr;
  ASSERT_WEFT_OK(weft_producer_open(client.job, "t", nullptr, &producer));
  for (int i = 0; i < 20; ++i) {
    const std::string text = std::to_string(i);
    ASSERT_WEFT_OK(weft_push_pieces(producer, i % 2, text.data(), text.size(), nullptr, 0, nullptr));
  }
  ASSERT_WEFT_OK(weft_producer_close(producer, kTimeoutMs));
  weft_consumer* consumer = open_consumer(client.job, "t");
  const auto next = [&](uint32_t partition) {
    weft_event event;
    for (;;) {
      if (weft_pull(consumer, kTimeoutMs, &event) != WEFT_OK) return std::string(weft_error_text(nullptr));
      if (event.partition == partition) return metadata_of(event);
    }
  };
  EXPECT_EQ(next(0), "0");
  const uint32_t zero = 0;
  ASSERT_WEFT_OK(weft_consumer_seek(consumer, &zero, 1, WEFT_FROM_OFFSET, 7));
  EXPECT_EQ(next(0), "14");
  ASSERT_WEFT_OK(weft_consumer_seek(consumer, nullptr, 0, WEFT_FROM_EARLIEST, 0));
  EXPECT_EQ(next(1), "1");
  ASSERT_WEFT_OK(weft_consumer_seek(consumer, nullptr, 0, WEFT_FROM_OFFSET, 9));
  EXPECT_EQ(next(1), "19");
  ASSERT_WEFT_OK(weft_consumer_seek(consumer, nullptr, 0, WEFT_FROM_LATEST, 0));
  weft_event event;
  EXPECT_EQ(weft_pull(consumer, 20, &event), WEFT_TIMED_OUT);
  EXPECT_EQ(weft_consumer_seek(consumer, nullptr, 0, WEFT_FROM_OFFSET, 11), WEFT_TRUNCATED);
  EXPECT_EQ(weft_consumer_seek(consumer, nullptr, 0, 99, 0), WEFT_INVALID_ARGUMENT);
  EXPECT_EQ(weft_consumer_seek(consumer, &zero, 0, WEFT_FROM_EARLIEST, 0), WEFT_INVALID_ARGUMENT);
  const uint32_t two = 2;
  EXPECT_EQ(weft_consumer_seek(consumer, &two, 1, WEFT_FROM_EARLIEST, 0), WEFT_PARTITION_RANGE);
  EXPECT_EQ(weft_pull(consumer, 20, &event), WEFT_TIMED_OUT);
  ASSERT_WEFT_OK(weft_consumer_seek(consumer, &zero, 1, WEFT_FROM_OFFSET, 9));
  EXPECT_EQ(next(0), "18");
  ASSERT_WEFT_OK(weft_consumer_close(consumer));
}

TEST(Raw, AnyBytesAreMetadata) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"raw", 1, 1, 0, 1, 0, 1u << 20}});
  Client client(server.group());
  weft_producer* producer = nullptr;
  ASSERT_WEFT_OK(weft_producer_open(client.job, "raw", nullptr, &producer));
  std::string all(256, 0);
  std::iota(all.begin(), all.end(), static_cast<char>(0));
  for (const std::string& bytes : {all, std::string(), std::string("{not JSON")})
    ASSERT_WEFT_OK(weft_push(producer, bytes.data(), bytes.size(), nullptr, 0, 0, nullptr));
  ASSERT_WEFT_OK(weft_producer_close(producer, kTimeoutMs));
  weft_consumer* consumer = open_consumer(client.job, "raw");
  for (const std::string& bytes : {all, std::string(), std::string("{not JSON")}) {
    weft_event event;
    ASSERT_WEFT_OK(weft_pull(consumer, kTimeoutMs, &event));
    EXPECT_EQ(metadata_of(event), bytes);
  }
  ASSERT_WEFT_OK(weft_consumer_close(consumer));
}

class CApi : public ::testing::TestWithParam<std::tuple<const char*, uint32_t>> {};

TEST_P(CApi, EventsComeBackAsTheyWerePushed) {
  const auto [transport, storage] = GetParam();
  TemporaryFolder folder;
  Server server(folder.path(), {{"quakes", 2, storage, storage == 1 ? 0u : 1u, 0, 0, 64u << 20}});
  Client client(server.group(), transport);
  weft_producer* producer = nullptr;
  ASSERT_WEFT_OK(weft_producer_open(client.job, "quakes", nullptr, &producer));
  std::vector<double> field(64 * 1024);
  std::iota(field.begin(), field.end(), 0.5);
  weft_region* region = nullptr;
  ASSERT_WEFT_OK(weft_region_register(client.job, field.data(), field.size() * sizeof(double), &region));
  constexpr int kEvents = 1000;
  for (int i = 0; i < kEvents; ++i) {
    const std::string metadata = "{\"i\":" + std::to_string(i) + "}";
    const bool large = i % 100 == 0;
    if (large) {
      ASSERT_WEFT_OK(
          weft_push(producer, metadata.data(), metadata.size(), region, 0, field.size() * sizeof(double), nullptr));
    } else {
      ASSERT_WEFT_OK(
          weft_push(producer, metadata.data(), metadata.size(), region, 8, static_cast<uint64_t>(i % 50) * 8, nullptr));
    }
  }
  ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
  ASSERT_WEFT_OK(weft_region_wait(region, kTimeoutMs));
  // The server read every large event out of the region itself; what was copied into batches is a few bytes each.
  const uint64_t large_bytes = kEvents / 100 * field.size() * sizeof(double);
  EXPECT_GE(weft_test::counter(server.job, "dataBytesPulled"), large_bytes);
  EXPECT_LT(weft_test::counter(server.job, "dataBytesInline"), field.size() * sizeof(double));

  weft_consumer* consumer = open_consumer(client.job, "quakes");
  std::vector<bool> seen(kEvents);
  std::vector<double> got(field.size());
  for (int n = 0; n < kEvents; ++n) {
    weft_event event;
    ASSERT_WEFT_OK(weft_pull(consumer, kTimeoutMs, &event));
    const int i = std::stoi(metadata_of(event).substr(5));
    ASSERT_FALSE(seen[static_cast<size_t>(i)]);
    seen[static_cast<size_t>(i)] = true;
    const bool large = i % 100 == 0;
    ASSERT_EQ(event.data_length, large ? field.size() * 8 : static_cast<uint64_t>(i % 50) * 8);
    if (event.data_length == 0) continue;
    std::fill(got.begin(), got.end(), -1.0);
    const weft_run all{0, event.data_length, 0, nullptr};
    const weft_selection selection{event.offset, 0, &all, 1};
    ASSERT_WEFT_OK(weft_data_fetch(consumer, event.partition, &selection, 1, got.data(), got.size() * 8, nullptr));
    ASSERT_EQ(std::memcmp(got.data(), field.data() + (large ? 0 : 1), event.data_length), 0) << "event " << i;
  }
  weft_event none;
  EXPECT_EQ(weft_pull(consumer, 50, &none), WEFT_TIMED_OUT);
  EXPECT_WEFT_OK(weft_consumer_close(consumer));
  EXPECT_WEFT_OK(weft_producer_close(producer, kTimeoutMs));
  EXPECT_WEFT_OK(weft_region_release(region));
}

INSTANTIATE_TEST_SUITE_P(Transports, CApi,
                         ::testing::Combine(::testing::Values("tcp", "shm", nullptr), ::testing::Values(0u, 1u)),
                         [](const auto& parameters) {
                           const char* transport = std::get<0>(parameters.param);
                           return std::string(transport == nullptr ? "automatic" : transport) +
                                  (std::get<1>(parameters.param) == 0 ? "_disk" : "_memory");
                         });

TEST(CApiConsumer, ContinuesAfterItsCommittedEventAcrossARestart) {
  TemporaryFolder folder;
  {
    Server server(folder.path(), {{"t"}});
    Client client(server.group());
    weft_producer* producer = nullptr;
    ASSERT_WEFT_OK(weft_producer_open(client.job, "t", nullptr, &producer));
    for (int i = 0; i < 300; ++i) {
      const std::string metadata = std::to_string(i);
      ASSERT_WEFT_OK(weft_push(producer, metadata.data(), metadata.size(), nullptr, 0, 0, nullptr));
    }
    ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
    weft_consumer* consumer = open_consumer(client.job, "t", "reader");
    weft_event event;
    for (int i = 0; i < 137; ++i) ASSERT_WEFT_OK(weft_pull(consumer, kTimeoutMs, &event));
    ASSERT_WEFT_OK(weft_commit(consumer, 0, event.offset + 1, kTimeoutMs));
  }
  Server server(folder.path(), {{"t"}});
  Client client(server.group());
  weft_consumer* consumer = open_consumer(client.job, "t", "reader");
  weft_event event;
  ASSERT_WEFT_OK(weft_pull(consumer, kTimeoutMs, &event));
  EXPECT_EQ(event.offset, 137u);
  EXPECT_EQ(metadata_of(event), "137");
}

TEST(CApiInput, BadInputGetsItsCode) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"t"}, {"small", 1, 1, 0, 0, 0, 1u << 20}, {"js", 1, 0, 1, 0, 1}});
  const ControlPlane control(server, [](const std::string&) -> std::pair<int, std::string> {
    return {WEFT_TOPIC_UNKNOWN, "there is no topic 'nowhere'"};
  });
  Client client(server.group());
  weft_producer* producer = nullptr;
  EXPECT_EQ(weft_producer_open(client.job, "nowhere", nullptr, &producer), WEFT_TOPIC_UNKNOWN);
  EXPECT_NE(std::string(weft_error_text(client.job)).find("nowhere"), std::string::npos);
  EXPECT_EQ(weft_producer_open(client.job, "js", nullptr, &producer), WEFT_UNSUPPORTED);
  ASSERT_WEFT_OK(weft_producer_open(client.job, "t", nullptr, &producer));
  EXPECT_EQ(weft_push(producer, "{no", 3, nullptr, 0, 0, nullptr), WEFT_METADATA_INVALID);
  EXPECT_EQ(weft_push_pieces(producer, 7, "1", 1, nullptr, 0, nullptr), WEFT_PARTITION_RANGE);
  uint64_t receipt = 0;
  ASSERT_WEFT_OK(weft_push(producer, "1", 1, nullptr, 0, 0, &receipt));
  weft_event_id id;
  ASSERT_WEFT_OK(weft_receipt_wait(producer, receipt, kTimeoutMs, &id));
  EXPECT_EQ(id.offset, 0u);
  weft_producer* small = nullptr;
  ASSERT_WEFT_OK(weft_producer_open(client.job, "small", nullptr, &small));
  std::vector<char> large(2u << 20);
  const weft_piece piece{large.data(), large.size(), nullptr};
  EXPECT_EQ(weft_push_pieces(small, -1, "1", 1, &piece, 1, nullptr), WEFT_EVENT_TOO_LARGE);
  weft_consumer* consumer = open_consumer(client.job, "t");
  const weft_run run{0, 100, 0, nullptr};
  const weft_selection selection{0, 0, &run, 1};
  EXPECT_EQ(weft_data_fetch(consumer, 0, &selection, 1, large.data(), large.size(), nullptr), WEFT_SELECTION_OUTSIDE);
  EXPECT_EQ(weft_commit(consumer, 0, 1, kTimeoutMs), WEFT_INVALID_ARGUMENT);
  EXPECT_EQ(weft_flush(reinterpret_cast<weft_producer*>(consumer), 0), WEFT_WRONG_HANDLE);
  weft_job* nobody = nullptr;
  EXPECT_EQ(weft_attach((folder.path() + "/absent").c_str(), nullptr, &nobody), WEFT_GROUP_MISSING);
}

// An event without a partition goes where the topic's selector says, or is refused: never round robin instead.
TEST(CApiPartitions, AreWhatTheTopicsSelectorSays) {
  const auto topic = [](const char* selector) {
    return TopicPlan{selector, 3, 0, 1, 1, 0, 0, std::string(R"({"partitionSelector":")") + selector + "\"}"};
  };
  TemporaryFolder folder;
  Server server(folder.path(), {topic("round-robin"), topic("producer-rank"), topic("explicit"), topic("key-hash"),
                                topic("same-node"), topic("custom")});
  Client client(server.group());
  const auto partitions_of = [&](const char* name, int32_t partition) {
    weft_producer* producer = nullptr;
    EXPECT_WEFT_OK(weft_producer_open(client.job, name, nullptr, &producer));
    std::vector<uint32_t> partitions;
    for (int i = 0; i < 3; ++i) {
      uint64_t receipt = 0;
      weft_event_id id;
      EXPECT_WEFT_OK(weft_push_pieces(producer, partition, "1", 1, nullptr, 0, &receipt)) << name;
      EXPECT_WEFT_OK(weft_receipt_wait(producer, receipt, kTimeoutMs, &id));
      partitions.push_back(id.partition);
    }
    EXPECT_WEFT_OK(weft_producer_close(producer, kTimeoutMs));
    return partitions;
  };
  EXPECT_EQ(partitions_of("round-robin", -1), (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_EQ(partitions_of("producer-rank", -1), (std::vector<uint32_t>{0, 0, 0}));
  EXPECT_EQ(partitions_of("same-node", -1), (std::vector<uint32_t>{0, 1, 2})) << "all of them are on this host";
  for (const char* name : {"explicit", "key-hash", "custom"}) {
    weft_producer* producer = nullptr;
    ASSERT_WEFT_OK(weft_producer_open(client.job, name, nullptr, &producer));
    const bool needs_function = name[0] == 'c';
    EXPECT_EQ(weft_push(producer, "1", 1, nullptr, 0, 0, nullptr),
              needs_function ? WEFT_UNSUPPORTED : WEFT_INVALID_ARGUMENT);
    const std::string text = weft_error_text(client.job);
    EXPECT_NE(text.find(name), std::string::npos) << text;
    EXPECT_NE(text.find("; push with weft_push_pieces"), std::string::npos) << text;
    EXPECT_EQ(partitions_of(name, 2), (std::vector<uint32_t>{2, 2, 2}));
    int32_t partition = -1;
    // CRC32C's check value, 0xE3069283, is 3808858755.
    ASSERT_WEFT_OK(weft_partition_of_key(producer, "123456789", 9, &partition));
    EXPECT_EQ(partition, static_cast<int32_t>(3808858755u % 3));
  }
}

// Slot 0 lets clients in while it still creates the topics of its configuration.
TEST(CApiTopic, ThatSlot0StillCreatesIsWaitedFor) {
  TemporaryFolder folder;
  Server server(folder.path(), {});
  Client client(server.group());
  std::vector<std::string> asked;
  const ControlPlane control(server, [&](const std::string& request) -> std::pair<int, std::string> {
    asked.push_back(request);
    if (request.find("late") == std::string::npos)
      return {WEFT_TOPIC_UNKNOWN, "there is no such topic; there are: late"};
    server.add({"late"});
    return {WEFT_OK, "{}"};
  });
  weft_producer* producer = nullptr;
  ASSERT_WEFT_OK(weft_producer_open(client.job, "late", nullptr, &producer));
  ASSERT_WEFT_OK(weft_push(producer, "1", 1, nullptr, 0, 0, nullptr));
  ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
  weft_topic* topic = nullptr;
  EXPECT_EQ(weft_topic_open(client.job, "never", &topic), WEFT_TOPIC_UNKNOWN);
  EXPECT_NE(std::string(weft_error_text(client.job)).find("there are: late"), std::string::npos)
      << weft_error_text(client.job);
  EXPECT_EQ(asked, (std::vector<std::string>{R"({"op":"topic.describe","name":"late"})",
                                             R"({"op":"topic.describe","name":"never"})"}));
}

TEST(CApiControl, RequestsReachTheControlPlaneAndItsAnswersTheCaller) {
  TemporaryFolder folder;
  Server server(folder.path(), {});
  Client client(server.group());
  std::string last;  // read only after the answer
  {
    const ControlPlane control(server, [&](const std::string& request) -> std::pair<int, std::string> {
      last = request;
      if (request.find("ping") != std::string::npos) return {WEFT_OK, R"({"slot":0})"};
      if (request.find("taken") != std::string::npos) return {WEFT_TOPIC_EXISTS, "topic 'taken' is there; open it"};
      server.add({"made", 2});
      return {WEFT_OK, "{}"};
    });
    char* reply = nullptr;
    ASSERT_WEFT_OK(weft_control(client.job, 0, R"({"op":"ping"})", 13, kTimeoutMs, &reply));
    EXPECT_EQ(last, R"({"op":"ping"})");
    EXPECT_EQ(std::string(reply), R"({"slot":0})");
    weft_free(reply);
    EXPECT_EQ(weft_topic_create(client.job, "taken", nullptr, kTimeoutMs), WEFT_TOPIC_EXISTS);
    EXPECT_NE(std::string(weft_error_text(client.job)).find("'taken'"), std::string::npos);
    EXPECT_EQ(last, R"({"op":"topic.create","name":"taken","config":{}})");
    ASSERT_WEFT_OK(weft_topic_create(client.job, "made", R"({"partitions":2})", kTimeoutMs));
    EXPECT_EQ(last, R"({"op":"topic.create","name":"made","config":{"partitions":2}})");
    weft_topic* topic = nullptr;
    ASSERT_WEFT_OK(weft_topic_open(client.job, "made", &topic));
    weft_topic_facts facts;
    ASSERT_WEFT_OK(weft_topic_describe(topic, &facts));
    EXPECT_EQ(facts.partition_count, 2u);
    weft_topic_close(topic);
  }
  EXPECT_EQ(weft_topic_create(client.job, "made", "[1]", kTimeoutMs), WEFT_CONFIG_INVALID);
  EXPECT_EQ(weft_topic_create(client.job, "../made", nullptr, kTimeoutMs), WEFT_INVALID_ARGUMENT);
  const std::string large(64 * 1024, ' ');
  EXPECT_EQ(weft_control(client.job, 0, large.data(), large.size(), kTimeoutMs, nullptr), WEFT_LIMIT);
  // Nobody answers any more.
  EXPECT_EQ(weft_control(client.job, 0, "{}", 2, 200, nullptr), WEFT_TIMED_OUT);
}

// Stopped in the middle of large batches: what it has is finished, and what was acknowledged is there afterwards.
TEST(CApiServer, StopsWithBatchesUnderWayAndKeepsWhatItAcknowledged) {
  constexpr uint64_t kBytes = 8 << 20;
  TemporaryFolder folder;
  auto server = std::make_unique<Server>(folder.path(), std::vector<TopicPlan>{{"t", 1, 0, 2}});
  std::vector<uint64_t> acknowledged;
  {
    weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
    options.delivery_timeout_ms = 2000;
    weft_job* job = nullptr;
    ASSERT_WEFT_OK(weft_attach(server->group().c_str(), &options, &job));
    weft_producer* producer = nullptr;
    ASSERT_WEFT_OK(weft_producer_open(job, "t", nullptr, &producer));
    weft_region* region = nullptr;
    ASSERT_WEFT_OK(weft_region_allocate(job, kBytes, &region));
    std::memset(weft_region_memory(region), 7, kBytes);
    std::vector<uint64_t> receipts(4);
    for (uint64_t& receipt : receipts) ASSERT_WEFT_OK(weft_push(producer, "1", 1, region, 0, kBytes, &receipt));
    ASSERT_WEFT_OK(weft_receipt_wait(producer, receipts[0], kTimeoutMs, nullptr));
    // The others are under way.
    EXPECT_WEFT_OK(weft_server_stop(server->server, kTimeoutMs));
    EXPECT_WEFT_OK(weft_server_stop(server->server, kTimeoutMs));
    for (const uint64_t receipt : receipts) {
      weft_event_id id;
      if (weft_receipt_wait(producer, receipt, kTimeoutMs, &id) == WEFT_OK) acknowledged.push_back(id.offset);
    }
    const int closed = weft_close(job);
    EXPECT_TRUE(closed == WEFT_OK || acknowledged.size() < receipts.size()) << weft_error_text(nullptr);
  }
  ASSERT_FALSE(acknowledged.empty());
  EXPECT_FALSE(std::filesystem::exists(folder.path() + "/group/slot-0")) << "its group file was left behind";
  server.reset();
  server = std::make_unique<Server>(folder.path(), std::vector<TopicPlan>{{"t", 1, 0, 2}});
  Client client(server->group());
  weft_consumer* consumer = open_consumer(client.job, "t");
  std::vector<char> got(kBytes);
  for (size_t i = 0; i < acknowledged.size(); ++i) {
    EXPECT_EQ(acknowledged[i], i);
    weft_event event;
    ASSERT_WEFT_OK(weft_pull(consumer, kTimeoutMs, &event));
    ASSERT_EQ(event.offset, i);
    const weft_run all{0, kBytes, 0, nullptr};
    const weft_selection selection{i, 0, &all, 1};
    std::fill(got.begin(), got.end(), '\0');
    ASSERT_WEFT_OK(weft_data_fetch(consumer, 0, &selection, 1, got.data(), got.size(), nullptr));
    EXPECT_EQ(std::count(got.begin(), got.end(), 7), static_cast<ptrdiff_t>(kBytes));
  }
}

// Code, object, cause, next step: of calls that fail in ways that a program meets.
TEST(CApiWords, NameTheObjectAndTheNextStep) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"quakes", 2}});
  Client client(server.group());
  weft_producer* producer = nullptr;
  ASSERT_WEFT_OK(weft_producer_open(client.job, "quakes", nullptr, &producer));
  weft_consumer* consumer = open_consumer(client.job, "quakes", "reader");
  weft_event event;
  const auto expect_words = [&](int code, int expected, const std::vector<const char*>& words) {
    const std::string text = weft_error_text(client.job);
    EXPECT_EQ(code, expected) << text;
    EXPECT_EQ(text.rfind(weft_code_name(expected), 0), 0u) << text;
    for (const char* word : words) EXPECT_NE(text.find(word), std::string::npos) << "'" << word << "' in: " << text;
  };
  expect_words(weft_producer_open(client.job, "quakes", nullptr, nullptr), WEFT_INVALID_ARGUMENT,
               {"weft_producer_open", "'producer'", "; give "});
  expect_words(weft_batch_open(producer, nullptr), WEFT_INVALID_ARGUMENT, {"weft_batch_open", "'batch'", "; give "});
  expect_words(weft_control(client.job, 0, nullptr, 0, 1000, nullptr), WEFT_INVALID_ARGUMENT,
               {"weft_control", "'json'", "; give "});
  expect_words(weft_topic_create(client.job, nullptr, nullptr, 1000), WEFT_INVALID_ARGUMENT,
               {"weft_topic_create", "'name'", "; give "});
  expect_words(weft_barrier_start(nullptr, nullptr), WEFT_WRONG_HANDLE, {"weft_communicator", "; "});
  expect_words(weft_receipt_wait(producer, 77, 0, nullptr), WEFT_INVALID_ARGUMENT,
               {"receipt 77", "'quakes'", "; give a number"});
  expect_words(weft_pull(consumer, 5, &event), WEFT_TIMED_OUT, {"'quakes'", "5 ms", "pull again"});
  expect_words(weft_push(producer, "{no", 3, nullptr, 0, 0, nullptr), WEFT_METADATA_INVALID,
               {"'quakes'", "{no", "; correct it"});
  // No next step of its own: the table's.
  expect_words(weft_push_pieces(producer, 2, "1", 1, nullptr, 0, nullptr), WEFT_PARTITION_RANGE,
               {"'quakes'", "partition 2", weft_code_next(WEFT_PARTITION_RANGE)});
  expect_words(weft_commit(consumer, 9, 0, kTimeoutMs), WEFT_PARTITION_RANGE, {"'quakes'", "partition 9", "; "});
  weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
  options.slots_expected = 2;
  weft_job* job = nullptr;
  expect_words(weft_attach(server.group().c_str(), &options, &job), WEFT_NO_SERVER, {"slots_expected is 2", "; start"});
}

// A limit on processes may leave no room for another thread, as a default stack size that none can have.
TEST(CApiServer, AStopThatCannotStartItsThreadIsAnErrorAndCanBeAskedAgain) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"t"}});
  pthread_attr_t before, impossible;
  ASSERT_EQ(pthread_getattr_default_np(&before), 0);
  ASSERT_EQ(pthread_getattr_default_np(&impossible), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&impossible, size_t{1} << 62), 0);
  ASSERT_EQ(pthread_setattr_default_np(&impossible), 0);
  const int code = weft_server_stop_async(server.server, kTimeoutMs, 1);
  ASSERT_EQ(pthread_setattr_default_np(&before), 0);
  EXPECT_EQ(code, WEFT_LIMIT) << weft_error_text(nullptr);
  ASSERT_WEFT_OK(weft_server_stop_async(server.server, kTimeoutMs, 2));
}

TEST(CApiJoin, AWorldOfOneWithoutAServerSaysSo) {
  weft_job* job = nullptr;
  EXPECT_EQ(weft_join(WEFT_COMM_WORLD, nullptr, &job), WEFT_NO_SERVER);
  EXPECT_EQ(job, nullptr);
}

TEST(CApiEcho, BatchesAreAnsweredAndHandedToConsumers) {
  weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
  options.echo = 1;
  weft_job* job = nullptr;
  ASSERT_WEFT_OK(weft_join(WEFT_COMM_WORLD, &options, &job));
  weft_consumer* consumer = open_consumer(job, "anything");
  weft_producer* producer = nullptr;
  ASSERT_WEFT_OK(weft_producer_open(job, "anything", nullptr, &producer));
  ASSERT_WEFT_OK(weft_push_pieces(producer, 1, "{\"a\":1}", 7, nullptr, 0, nullptr));
  ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
  weft_event event;
  ASSERT_WEFT_OK(weft_pull(consumer, kTimeoutMs, &event));
  EXPECT_EQ(event.partition, 1u);
  EXPECT_EQ(metadata_of(event), "{\"a\":1}");
  ASSERT_WEFT_OK(weft_close(job));
}

TEST(CApiBox, IsARunWithOneLevelLessThanItsDimensions) {
  const uint64_t shape[2] = {512, 256};
  const uint64_t origin[2] = {10, 20};
  const uint64_t size[2] = {3, 5};
  weft_run run;
  weft_run_level level;
  ASSERT_WEFT_OK(weft_box(2, shape, origin, size, 8, &run, &level));
  EXPECT_EQ(run.start, (10u * 256 + 20) * 8);
  EXPECT_EQ(run.length, 40u);
  EXPECT_EQ(level.stride, 256u * 8);
  EXPECT_EQ(level.count, 3u);
  const uint64_t outside[2] = {510, 0};
  EXPECT_EQ(weft_box(2, shape, outside, size, 8, &run, &level), WEFT_SELECTION_OUTSIDE);
}

}  // namespace
