// Several application threads on one producer and on one consumer; long and short waits; pulls that time out.
#include <atomic>

#include "fault_support.h"

namespace {

using weft_test::Client;
using weft_test::Reader;
using weft_test::Server;
using weft_test::ServerChild;
using weft_test::TemporaryFolder;
using weft_test::until;

constexpr int64_t kTimeoutMs = 60'000;

class Threads : public ::testing::TestWithParam<int> {};

TEST_P(Threads, OnOneProducerAndOneConsumerLoseAndDoubleNothing) {
  const int count = GetParam();
  TemporaryFolder folder;
  Server server(folder.path(), {{"t", 3}});
  Client client(server.group());
  weft_producer* producer = client.producer("t");
  const uint32_t each = 8000 / static_cast<uint32_t>(count);
  std::mutex mutex;
  std::map<std::pair<int, uint32_t>, std::pair<uint32_t, uint64_t>> ids;
  std::vector<std::thread> threads;
  for (int t = 0; t < count; ++t) {
    threads.emplace_back([&, t] {
      std::vector<std::vector<uint32_t>> datas(100);
      std::vector<uint64_t> receipts(datas.size());
      for (uint32_t number = 0; number < each; number += 100) {
        for (uint32_t i = 0; i < 100; ++i) {
          ASSERT_WEFT_OK(weft_test::push_numbered(producer, t, number + i, datas[i],
                                                  (number + i) % 40 == 0 ? 40'000 : 40, &receipts[i]));
        }
        // Some flush, some wait for their receipts only.
        if (t % 2 == 0) {
          ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
        }
        for (uint32_t i = 0; i < 100; ++i) {
          weft_event_id id;
          ASSERT_WEFT_OK(weft_receipt_wait(producer, receipts[i], kTimeoutMs, &id));
          const std::lock_guard lock(mutex);
          ids[{t, number + i}] = {id.partition, id.offset};
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  threads.clear();
  const uint64_t total = static_cast<uint64_t>(count) * each;
  ASSERT_EQ(ids.size(), total);
  std::set<std::pair<uint32_t, uint64_t>> unique;
  for (const auto& [key, id] : ids) EXPECT_TRUE(unique.insert(id).second) << id.first << "/" << id.second;

  // Pulled by as many threads, each event goes to exactly one of them.
  weft_consumer* consumer = client.consumer("t");
  std::map<std::pair<uint32_t, uint64_t>, int> pulled;
  for (int t = 0; t < count; ++t) {
    threads.emplace_back([&, t] {
      const auto deadline = weft_test::Clock::now() + std::chrono::seconds(60);
      while (weft_test::Clock::now() < deadline) {
        {
          const std::lock_guard lock(mutex);
          if (pulled.size() == total) return;
        }
        weft_event event;
        const int code = weft_pull(consumer, 20, &event);
        if (code == WEFT_TIMED_OUT) continue;
        ASSERT_EQ(code, WEFT_OK) << weft_error_text(nullptr);
        const std::lock_guard lock(mutex);
        ASSERT_TRUE(pulled.emplace(std::pair(event.partition, event.offset), t).second);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pulled.size(), total);
  for (const auto& [key, id] : ids) EXPECT_EQ(pulled.count(id), 1u);
  // What they pulled is what was pushed.
  Reader reader(client.consumer("t"));
  reader.read_to(total);
}

INSTANTIATE_TEST_SUITE_P(Counts, Threads, ::testing::Values(2, 8),
                         [](const auto& parameters) { return std::to_string(parameters.param); });

class LongWaits : public ::testing::TestWithParam<int64_t> {};

// The server is stopped for a while under each wait, so that time limits are looked at while it lasts.
TEST_P(LongWaits, EndWhenTheirConditionHoldsAndNotBefore) {
  const int64_t wait_ms = GetParam();
  const auto began = weft_test::Clock::now();
  TemporaryFolder folder;
  ServerChild server(folder.path() + "/data", 1, 0, 1);
  server.start();
  Client client(server.group(), nullptr, wait_ms, wait_ms);
  weft_producer* producer = client.producer("t");
  weft_consumer* consumer = client.consumer("t", "reader");
  weft_region* region = nullptr;
  ASSERT_WEFT_OK(weft_region_allocate(client.job, 1 << 20, &region));
  const auto while_stopped = [&](const char* what, const std::function<int()>& wait) {
    server.stop();
    std::atomic<bool> ended{false};
    int code = -1;
    std::thread waiting([&] {
      code = wait();
      EXPECT_EQ(code, WEFT_OK) << what << ": " << weft_error_text(nullptr);
      ended = true;
    });
    // Several looks at the clock of the client's (50 ms each) go by.
    EXPECT_FALSE(until([&] { return ended.load(); }, weft_test::milliseconds(160))) << what << " did not wait";
    server.go_on();
    waiting.join();
  };
  uint64_t receipt = 0;
  weft_event event;
  while_stopped("pull", [&] {
    const int pushed = weft_push(producer, "1", 1, region, 0, 1 << 20, &receipt);
    return pushed != WEFT_OK ? pushed : weft_pull(consumer, wait_ms, &event);
  });
  EXPECT_EQ(event.offset, 0u);
  ASSERT_WEFT_OK(weft_push(producer, "2", 1, region, 0, 1 << 20, &receipt));
  while_stopped("receipt", [&] {
    const int pushed = weft_push(producer, "2", 1, region, 0, 1 << 20, &receipt);
    return pushed != WEFT_OK ? pushed : weft_receipt_wait(producer, receipt, wait_ms, nullptr);
  });
  while_stopped("region", [&] {
    const int pushed = weft_push(producer, "3", 1, region, 0, 1 << 20, &receipt);
    return pushed != WEFT_OK ? pushed : weft_region_wait(region, wait_ms);
  });
  while_stopped("flush", [&] {
    const int pushed = weft_push(producer, "4", 1, region, 0, 1 << 20, &receipt);
    return pushed != WEFT_OK ? pushed : weft_flush(producer, wait_ms);
  });
  const weft_run all{0, 1 << 20, 0, nullptr};
  const weft_selection selection{0, 0, &all, 1};
  while_stopped("fetch", [&] {
    return weft_data_fetch(consumer, 0, &selection, 1, weft_region_memory(region), 1 << 20, region);
  });
  while_stopped("commit", [&] { return weft_commit(consumer, 0, 1, wait_ms); });
  EXPECT_WEFT_OK(weft_producer_close(producer, wait_ms));
  EXPECT_WEFT_OK(weft_region_release(region));
  EXPECT_LT(weft_test::Clock::now() - began, std::chrono::seconds(20));
}

INSTANTIATE_TEST_SUITE_P(Milliseconds, LongWaits,
                         ::testing::Values(2148, INT64_C(1) << 31, (INT64_C(1) << 32) + 5, INT64_MAX / 1'000'000 + 1,
                                           INT64_MAX));

TEST(WaitsThatTimeOut, NameTheTopicAndLoseNothing) {
  TemporaryFolder folder;
  ServerChild server(folder.path() + "/data", 1, 0, 1);
  server.start();
  Client client(server.group());
  weft_producer* producer = client.producer("t");
  server.stop();
  uint64_t receipt = 0;
  ASSERT_WEFT_OK(weft_push(producer, "1", 1, nullptr, 0, 0, &receipt));
  EXPECT_EQ(weft_flush(producer, 20), WEFT_TIMED_OUT);
  EXPECT_NE(std::string(weft_error_text(nullptr)).find("1 batches of topic 't'"), std::string::npos)
      << weft_error_text(nullptr);
  EXPECT_EQ(weft_receipt_wait(producer, receipt, 20, nullptr), WEFT_TIMED_OUT);
  EXPECT_NE(std::string(weft_error_text(nullptr)).find("topic 't'"), std::string::npos) << weft_error_text(nullptr);
  server.go_on();
  ASSERT_WEFT_OK(weft_receipt_wait(producer, receipt, kTimeoutMs, nullptr));
}

// One thread waits without limit: the limits of the others count all the same.
TEST(PullOfSeveralThreads, KeepsEachThreadsTimeLimit) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"t", 1}});
  Client client(server.group());
  weft_consumer* consumer = client.consumer("t");
  std::atomic<int> code{-1};
  weft_event event{};
  std::thread waiting([&] { code = weft_pull(consumer, WEFT_FOREVER, &event); });
  std::thread others([&] {
    // Until the first one is inside, a pull may still come before it, and says so in other words.
    const bool refused = until([&] {
      weft_event other;
      EXPECT_EQ(weft_pull(consumer, 0, &other), WEFT_TIMED_OUT);
      return std::string(weft_error_text(nullptr)).find("another thread's weft_pull of topic 't'") != std::string::npos;
    });
    EXPECT_TRUE(refused) << weft_error_text(nullptr);
    weft_event other;
    const auto began = weft_test::Clock::now();
    EXPECT_EQ(weft_pull(consumer, 100, &other), WEFT_TIMED_OUT);
    EXPECT_GE(weft_test::Clock::now() - began, weft_test::milliseconds(100));
    EXPECT_EQ(code, -1) << "the one without limit returned";
    weft_producer* producer = client.producer("t");
    EXPECT_WEFT_OK(weft_push(producer, "17", 2, nullptr, 0, 0, nullptr));
    EXPECT_WEFT_OK(weft_flush(producer, kTimeoutMs));
  });
  others.join();
  waiting.join();
  EXPECT_EQ(code, WEFT_OK);
  EXPECT_EQ(weft_test::metadata_of(event), "17");
}

TEST(PullThatTimesOut, SwallowsNothing) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"t", 2}});
  Client client(server.group());
  weft_producer* producer = client.producer("t", nullptr, 3);
  Reader reader(client.consumer("t"));
  constexpr uint32_t kEvents = 400;
  std::thread pushing([&] {
    std::vector<uint32_t> data;
    for (uint32_t i = 0; i < kEvents; ++i) {
      ASSERT_WEFT_OK(weft_test::push_numbered(producer, 0, i, data, i % 4 * 10));
      if (i % 10 == 0) {
        ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
      }
    }
    ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
  });
  uint64_t timed_out = 0;
  const auto deadline = weft_test::Clock::now() + std::chrono::seconds(60);
  while (reader.count() < kEvents && weft_test::Clock::now() < deadline && !HasFailure()) {
    // Without waiting, and for less than it takes an event to come.
    const int code = reader.read(static_cast<int64_t>(timed_out % 2));
    ASSERT_TRUE(code == WEFT_OK || code == WEFT_TIMED_OUT) << code << ": " << weft_error_text(nullptr);
    if (code == WEFT_TIMED_OUT) ++timed_out;
  }
  pushing.join();
  EXPECT_EQ(reader.count(), kEvents);
  EXPECT_GT(timed_out, 0u);
}

TEST(EventsOfNoBytes, AreEventsLikeOthers) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"t", 1, 0, 1, 1}, {"m", 1, 1, 0, 1, 0, 1u << 20}});
  Client client(server.group());
  for (const char* topic : {"t", "m"}) {
    weft_producer* producer = client.producer(topic, nullptr, 5);
    weft_region* region = nullptr;
    ASSERT_WEFT_OK(weft_region_allocate(client.job, 4096, &region));
    std::memset(weft_region_memory(region), 7, 4096);
    constexpr uint64_t kEvents = 60;
    const weft_piece nothing[3] = {{nullptr, 0, nullptr}, {"x", 0, nullptr}, {weft_region_memory(region), 0, region}};
    for (uint64_t i = 0; i < kEvents; ++i) {
      if (i % 4 == 0) {
        ASSERT_WEFT_OK(weft_push(producer, nullptr, 0, nullptr, 0, 0, nullptr));
      }
      if (i % 4 == 1) {
        ASSERT_WEFT_OK(weft_push_pieces(producer, 0, "", 0, nothing, 3, nullptr));
      }
      if (i % 4 == 2) {
        ASSERT_WEFT_OK(weft_push(producer, "m", 1, region, 4096, 0, nullptr));
      }
      if (i % 4 == 3) {
        ASSERT_WEFT_OK(weft_push(producer, nullptr, 0, region, 0, i, nullptr));
      }
    }
    ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
    weft_consumer* consumer = client.consumer(topic);
    for (uint64_t i = 0; i < kEvents; ++i) {
      weft_event event;
      ASSERT_WEFT_OK(weft_pull(consumer, kTimeoutMs, &event));
      EXPECT_EQ(event.offset, i);
      EXPECT_EQ(event.metadata_length, i % 4 == 2 ? 1u : 0u);
      EXPECT_EQ(event.data_length, i % 4 == 3 ? i : 0u);
      std::string got(event.data_length + 1, '?');
      const weft_run all{0, event.data_length, 0, nullptr};
      const weft_selection selection{i, 0, &all, 1};
      ASSERT_WEFT_OK(weft_data_fetch(consumer, 0, &selection, 1, got.data(), got.size(), nullptr));
      EXPECT_EQ(got, std::string(event.data_length, 7) + "?");
    }
    EXPECT_WEFT_OK(weft_region_wait(region, kTimeoutMs));
    EXPECT_WEFT_OK(weft_region_release(region));
  }
}

}  // namespace
