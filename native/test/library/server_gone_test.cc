// A server that is killed and does not come back: nobody waits for ever; every wait ends with a code that says why,
// within delivery_timeout_ms. A server that is stopped for longer than the peer timeout and goes on: nothing is lost.
#include "fault_support.h"

namespace {

using weft_test::Client;
using weft_test::counter;
using weft_test::milliseconds;
using weft_test::Reader;
using weft_test::ServerChild;
using weft_test::TemporaryFolder;
using weft_test::until;

constexpr int64_t kDeliveryMs = 2000;
// The time limits are looked at now and then, and the machine may be busy.
constexpr auto kPatience = std::chrono::seconds(10);

class Stopwatch {
 public:
  weft_test::Clock::duration elapsed() const { return weft_test::Clock::now() - began_; }

 private:
  weft_test::Clock::time_point began_ = weft_test::Clock::now();
};

// What a wait on a server that is gone may say.
bool names_the_loss(int code) {
  return code == WEFT_DELIVERY_TIMED_OUT || code == WEFT_PEER_LOST || code == WEFT_GROUP_STALE ||
         code == WEFT_PARTITION_UNAVAILABLE || code == WEFT_TIMED_OUT;
}

class ServerGone : public ::testing::TestWithParam<const char*> {};

TEST_P(ServerGone, EndsEveryWaitWithACode) {
  TemporaryFolder folder;
  ServerChild server(folder.path() + "/data", 1, 0, 1);
  server.start();
  Client client(server.group(), GetParam(), kDeliveryMs, 3000);
  weft_producer* producer = client.producer("t", nullptr, 4);
  weft_consumer* consumer = client.consumer("t", "reader");
  std::vector<uint32_t> data;
  ASSERT_WEFT_OK(weft_test::push_numbered(producer, 0, 0, data, 100'000));
  ASSERT_WEFT_OK(weft_flush(producer, 20'000));
  weft_event event;
  ASSERT_WEFT_OK(weft_pull(consumer, 20'000, &event));
  weft_region* region = nullptr;
  ASSERT_WEFT_OK(weft_region_allocate(client.job, 1 << 20, &region));
  server.kill_now();

  Stopwatch flushing;
  uint64_t receipt = 0;
  ASSERT_WEFT_OK(weft_push(producer, "1", 1, region, 0, 1 << 20, &receipt));
  const int flushed = weft_flush(producer, WEFT_FOREVER);
  EXPECT_EQ(flushed, WEFT_DELIVERY_TIMED_OUT) << weft_error_text(nullptr);
  EXPECT_NE(std::string(weft_error_text(nullptr)).find("'t'"), std::string::npos) << weft_error_text(nullptr);
  EXPECT_LT(flushing.elapsed(), milliseconds(kDeliveryMs) + kPatience);
  EXPECT_EQ(weft_receipt_wait(producer, receipt, WEFT_FOREVER, nullptr), WEFT_DELIVERY_TIMED_OUT);
  // The memory of an event that was given up is the caller's again: the server's process is proven gone.
  EXPECT_WEFT_OK(weft_region_wait(region, 20'000));
  EXPECT_WEFT_OK(weft_region_release(region));

  // A push that finds all batches in flight waits, and then says so.
  Stopwatch pushing;
  int code = WEFT_OK;
  while (code == WEFT_OK && pushing.elapsed() < milliseconds(kDeliveryMs) + kPatience) {
    code = weft_push(producer, "2", 1, nullptr, 0, 0, nullptr);
    if (code == WEFT_OK && pushing.elapsed() > milliseconds(kDeliveryMs / 2)) break;
  }
  EXPECT_TRUE(code == WEFT_OK || code == WEFT_BUSY || code == WEFT_DELIVERY_TIMED_OUT) << weft_error_text(nullptr);
  EXPECT_EQ(weft_flush(producer, WEFT_FOREVER), WEFT_DELIVERY_TIMED_OUT) << weft_error_text(nullptr);
  EXPECT_LT(pushing.elapsed(), 2 * milliseconds(kDeliveryMs) + kPatience);

  Stopwatch pulling;
  code = weft_pull(consumer, WEFT_FOREVER, &event);
  EXPECT_NE(code, WEFT_OK);
  EXPECT_TRUE(names_the_loss(code)) << weft_error_text(nullptr);
  EXPECT_LT(pulling.elapsed(), milliseconds(kDeliveryMs) + kPatience);
  const weft_run all{0, 4, 0, nullptr};
  const weft_selection selection{0, 0, &all, 1};
  Stopwatch fetching;
  code = weft_data_fetch(consumer, 0, &selection, 1, data.data(), 4, nullptr);
  EXPECT_NE(code, WEFT_OK);
  EXPECT_TRUE(names_the_loss(code)) << code << ": " << weft_error_text(nullptr);
  EXPECT_LT(fetching.elapsed(), milliseconds(kDeliveryMs) + kPatience);
  Stopwatch committing;
  code = weft_commit(consumer, 0, 1, WEFT_FOREVER);
  EXPECT_NE(code, WEFT_OK);
  EXPECT_TRUE(names_the_loss(code)) << code << ": " << weft_error_text(nullptr);
  EXPECT_LT(committing.elapsed(), milliseconds(kDeliveryMs) + kPatience);
  weft_producer* second = nullptr;
  Stopwatch opening;
  code = weft_producer_open(client.job, "t", nullptr, &second);
  EXPECT_NE(code, WEFT_OK);
  EXPECT_TRUE(names_the_loss(code)) << code << ": " << weft_error_text(nullptr);
  EXPECT_LT(opening.elapsed(), kPatience);

  Stopwatch closing;
  EXPECT_WEFT_OK(weft_producer_close(producer, WEFT_FOREVER));
  EXPECT_WEFT_OK(weft_consumer_close(consumer));
  client.close();
  EXPECT_LT(closing.elapsed(), kPatience);
  weft_job* job = nullptr;
  EXPECT_EQ(weft_attach(server.group().c_str(), nullptr, &job), WEFT_GROUP_STALE) << weft_error_text(nullptr);
}

INSTANTIATE_TEST_SUITE_P(Transports, ServerGone, ::testing::Values("tcp", "shm"),
                         [](const auto& parameters) { return std::string(parameters.param); });

TEST(ServerGoneInAFlood, APushThatFindsEveryBatchInFlightEnds) {
  TemporaryFolder folder;
  ServerChild server(folder.path() + "/data", 1, 0, 1);
  server.start();
  Client client(server.group(), nullptr, kDeliveryMs, 3000);
  weft_producer* producer = client.producer("t", nullptr, 1);
  ASSERT_WEFT_OK(weft_push(producer, "0", 1, nullptr, 0, 0, nullptr));
  ASSERT_WEFT_OK(weft_flush(producer, 20'000));
  server.kill_now();
  Stopwatch pushing;
  // Every batch holds one event: the producer runs out of batches at once, and each then comes back after its limit.
  for (int i = 0; i < 12; ++i) {
    const int code = weft_push(producer, "1", 1, nullptr, 0, 0, nullptr);
    EXPECT_TRUE(code == WEFT_OK || code == WEFT_BUSY) << code << ": " << weft_error_text(nullptr);
  }
  EXPECT_EQ(weft_flush(producer, WEFT_FOREVER), WEFT_DELIVERY_TIMED_OUT);
  EXPECT_LT(pushing.elapsed(), 4 * milliseconds(kDeliveryMs) + kPatience);
}

// The server could be in the middle of a write into the destination, and go on when the caller has freed it.
TEST(ServerStopped, UnderAFetchIntoPlainMemoryIsLeftWithMemoryOfTheLibrary) {
  TemporaryFolder folder;
  ServerChild server(folder.path() + "/data", 1, 0, 1);
  server.start();
  Client client(server.group(), nullptr, kDeliveryMs);
  std::vector<uint32_t> data;
  ASSERT_WEFT_OK(weft_test::push_numbered(client.producer("t"), 0, 7, data, 100'000));
  weft_consumer* consumer = client.consumer("t");
  weft_event event;
  ASSERT_WEFT_OK(weft_pull(consumer, 20'000, &event));
  const weft_run all{0, 100'000, 0, nullptr};
  const weft_selection selection{event.offset, 0, &all, 1};
  std::vector<uint32_t> got(25'000);
  ASSERT_WEFT_OK(weft_data_fetch(consumer, 0, &selection, 1, got.data(), 100'000, nullptr));
  EXPECT_EQ(got, data);
  EXPECT_EQ(counter(client.job, "memoryQuarantinedBytes"), 0u);
  server.stop();
  const std::vector<uint32_t> before(25'000, 42);
  got = before;
  const int code = weft_data_fetch(consumer, 0, &selection, 1, got.data(), 100'000, nullptr);
  EXPECT_EQ(code, WEFT_TIMED_OUT) << weft_error_text(nullptr);
  EXPECT_GE(counter(client.job, "memoryQuarantinedBytes"), 100'000u);
  EXPECT_EQ(got, before);
  server.go_on();
  client.close();
  EXPECT_EQ(server.end(), 0) << server.output();
}

TEST(ServerStopped, ForLongerThanThePeerTimeoutLosesNothing) {
  TemporaryFolder folder;
  ServerChild server(folder.path() + "/data", 2, 0, 1);
  server.start();
  Client client(server.group());
  weft_producer* producer = client.producer("t", "p");
  Reader reader(client.consumer("t"));
  uint32_t number = 0;
  std::vector<std::vector<uint32_t>> datas(200);
  const auto push_some = [&] {
    for (std::vector<uint32_t>& data : datas) {
      ASSERT_WEFT_OK(weft_test::push_numbered(producer, 0, number, data, number % 5 * 20'000));
      ++number;
    }
    ASSERT_WEFT_OK(weft_flush(producer, 60'000));
  };
  push_some();
  reader.read_to(number);
  const uint64_t lost = counter(client.job, "peersLost");
  std::thread pushing([&] { push_some(); });
  server.stop();
  EXPECT_TRUE(until([&] { return counter(client.job, "peersLost") > lost; }));
  server.go_on();
  pushing.join();
  push_some();
  reader.read_to(number);
  EXPECT_EQ(reader.count(), number);
  client.close();
  EXPECT_EQ(server.end(), 0) << server.output();
}

}  // namespace
