// Jobs of several threads on one joined process: whose outcomes come where, what ends with one and what does not, and
// what a ticket is good for.
#include <atomic>
#include <thread>

#include "fault_support.h"

namespace {

using weft_test::Client;
using weft_test::counter;
using weft_test::milliseconds;
using weft_test::Reader;
using weft_test::Server;
using weft_test::ServerChild;
using weft_test::TemporaryFolder;
using weft_test::until;

constexpr int64_t kTimeoutMs = 60'000;
constexpr uint64_t kNeverAsked = 77;

weft_ticket ticket_of(weft_job* job) {
  weft_ticket ticket{};
  EXPECT_WEFT_OK(weft_job_share(job, &ticket));
  return ticket;
}

weft_job* open_shared(const weft_ticket& ticket) {
  weft_job* job = nullptr;
  EXPECT_WEFT_OK(weft_open_shared(&ticket, &job));
  return job;
}

weft_producer* open_producer(weft_job* job, uint32_t batch_events = 32) {
  weft_producer_options options = WEFT_PRODUCER_OPTIONS_DEFAULT;
  options.batch_events = batch_events;
  weft_producer* opened = nullptr;
  EXPECT_WEFT_OK(weft_producer_open(job, "t", &options, &opened));
  return opened;
}

// The next completion of the job; fails when none comes.
weft_completion next_completion(weft_job* job) {
  weft_completion completion{};
  EXPECT_TRUE(until([&] { return weft_poll(job, &completion, 1) == 1; }));
  weft_free(completion.text);
  completion.text = nullptr;
  return completion;
}

TEST(SharedJobs, HaveOutcomesOfTheirOwn) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"t", 3}});
  Client client(server.group());
  const weft_ticket ticket = ticket_of(client.job);
  constexpr int kThreads = 3;
  constexpr uint32_t kEach = 2000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      weft_job* job = open_shared(ticket);
      // By a tag that all of them use: each hears of its own.
      ASSERT_WEFT_OK(weft_topic_open_async(job, "t", 1));
      const weft_completion opened = next_completion(job);
      ASSERT_EQ(opened.kind, static_cast<uint32_t>(WEFT_COMPLETION_TOPIC));
      ASSERT_EQ(opened.tag, 1u);
      ASSERT_WEFT_OK(weft_partition_query_async(static_cast<weft_topic*>(opened.handle), 0, 100 + t));
      ASSERT_EQ(next_completion(job).tag, static_cast<uint64_t>(100 + t));
      weft_producer* producer = open_producer(job);
      std::vector<uint32_t> data;
      for (uint32_t n = 0; n < kEach; ++n) {
        uint64_t receipt = 0;
        ASSERT_WEFT_OK(weft_test::push_numbered(producer, t, n, data, 40, &receipt));
        if (n % 500 == 0) {
          ASSERT_WEFT_OK(weft_receipt_wait(producer, receipt, kTimeoutMs, nullptr));
        }
      }
      ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
      // With its producer and its topic open.
      ASSERT_WEFT_OK(weft_close(job));
    });
  }
  for (std::thread& thread : threads) thread.join();
  weft_completion none;
  EXPECT_EQ(weft_poll(client.job, &none, 1), 0u);
  // Those that ended took nothing with them.
  weft_job* last = open_shared(ticket);
  weft_consumer* consumer = nullptr;
  ASSERT_WEFT_OK(weft_consumer_open(last, "t", nullptr, &consumer));
  Reader(consumer).read_to(kThreads * kEach);
  ASSERT_WEFT_OK(weft_close(last));
  std::vector<uint32_t> data;
  weft_producer* producer = client.producer("t");
  ASSERT_WEFT_OK(weft_test::push_numbered(producer, kThreads, 0, data, 40));
  EXPECT_WEFT_OK(weft_flush(producer, kTimeoutMs));
}

TEST(SharedJobs, SayWhoTheyAreAndWhatTheyCannot) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"t", 1}});
  Client client(server.group());
  weft_job* job = open_shared(ticket_of(client.job));
  weft_job_facts own{};
  weft_job_facts shared{};
  ASSERT_WEFT_OK(weft_job_describe(client.job, &own));
  ASSERT_WEFT_OK(weft_job_describe(job, &shared));
  EXPECT_EQ(std::memcmp(own.job_id, shared.job_id, sizeof own.job_id), 0);
  EXPECT_STREQ(own.group, shared.group);
  EXPECT_EQ(own.rank, shared.rank);
  EXPECT_EQ(counter(client.job, "peersUp"), counter(job, "peersUp"));
  weft_communicator* world = nullptr;
  EXPECT_EQ(weft_communicator_world(job, &world), WEFT_UNSUPPORTED);
  EXPECT_NE(std::strstr(weft_error_text(job), "thread that joined"), nullptr) << weft_error_text(job);
  EXPECT_EQ(weft_job_group_communicator(job), -1);
  EXPECT_EQ(weft_join_finish(job, nullptr, nullptr), WEFT_UNSUPPORTED);
  weft_server_options options = WEFT_SERVER_OPTIONS_DEFAULT;
  weft_server* none = nullptr;
  EXPECT_EQ(weft_server_start(job, &options, &none), WEFT_INVALID_ARGUMENT);
  ASSERT_WEFT_OK(weft_close(job));
}

TEST(SharedJobs, TicketsAreGoodForOneOpenJobOfThisProcess) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"t", 1}});
  Client client(server.group());
  Client other(server.group());
  const weft_ticket ticket = ticket_of(client.job);
  EXPECT_EQ(ticket_of(client.job).number, ticket.number);
  EXPECT_NE(ticket_of(other.job).number, ticket.number);
  weft_job* job = nullptr;
  EXPECT_EQ(weft_open_shared(nullptr, &job), WEFT_INVALID_ARGUMENT);
  EXPECT_EQ(weft_open_shared(&ticket, nullptr), WEFT_INVALID_ARGUMENT);
  EXPECT_EQ(weft_job_share(client.job, nullptr), WEFT_INVALID_ARGUMENT);
  for (const uint64_t number : {UINT64_C(0), UINT64_C(1) << 40}) {
    weft_ticket wrong = ticket;
    wrong.number = number;
    EXPECT_EQ(weft_open_shared(&wrong, &job), WEFT_INVALID_ARGUMENT) << number;
  }
  weft_ticket foreign = ticket;
  foreign.process[3] ^= 1;
  EXPECT_EQ(weft_open_shared(&foreign, &job), WEFT_INVALID_ARGUMENT);
  EXPECT_NE(std::strstr(weft_error_text(nullptr), "another process"), nullptr) << weft_error_text(nullptr);
  EXPECT_EQ(weft_job_share(server.job, &foreign), WEFT_UNSUPPORTED);
  EXPECT_EQ(job, nullptr);
  // That of a shared job is its source's, as long as that is open.
  weft_job* shared = open_shared(ticket);
  EXPECT_EQ(ticket_of(shared).number, ticket.number);
  weft_job* further = open_shared(ticket_of(shared));
  client.close();
  EXPECT_EQ(weft_open_shared(&ticket, &job), WEFT_CLOSED);
  EXPECT_EQ(weft_job_share(shared, &foreign), WEFT_CLOSED);
  ASSERT_WEFT_OK(weft_close(shared));
  ASSERT_WEFT_OK(weft_close(further));
  weft_job* good = open_shared(ticket_of(other.job));
  EXPECT_WEFT_OK(weft_close(good));
}

// Whatever a shared job is in the middle of when its source is closed.
TEST(SharedJobs, AreToldThatTheirSourceWasClosed) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"t", 2}});
  for (int round = 0; round < 5; ++round) {
    Client client(server.group());
    const weft_ticket ticket = ticket_of(client.job);
    constexpr int kThreads = 2;
    std::atomic<int> under_way{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        weft_job* job = open_shared(ticket);
        weft_producer* producer = open_producer(job, 4);
        weft_consumer* consumer = nullptr;
        ASSERT_WEFT_OK(weft_consumer_open(job, "t", nullptr, &consumer));
        std::vector<std::vector<uint32_t>> datas(16);  // large ones are read from there until they are flushed
        int code = WEFT_OK;
        for (uint32_t n = 0; code == WEFT_OK; ++n) {
          code = weft_test::push_numbered(producer, t, n, datas[n % 16], n % 7 == 0 ? 40'000 : 40);
          if (code == WEFT_OK && n % 16 == 15) code = weft_flush(producer, kTimeoutMs);
          if (n == 64) ++under_way;
        }
        EXPECT_EQ(code, WEFT_CLOSED) << weft_error_text(nullptr);
        weft_region* region = nullptr;
        EXPECT_EQ(weft_region_allocate(job, 4096, &region), WEFT_CLOSED) << weft_error_text(nullptr);
        weft_topic* topic = nullptr;
        EXPECT_EQ(weft_topic_open(job, "t", &topic), WEFT_CLOSED) << weft_error_text(nullptr);
        EXPECT_EQ(weft_producer_open(job, "t", nullptr, &producer), WEFT_CLOSED);
        EXPECT_EQ(weft_control(job, 0, "{}", 2, kTimeoutMs, nullptr), WEFT_CLOSED);
        const auto pull = [&] {
          weft_event event;
          int pulled = WEFT_OK;
          while (pulled == WEFT_OK) pulled = weft_pull(consumer, kTimeoutMs, &event);
          return pulled;
        };
        EXPECT_EQ(pull(), WEFT_CLOSED) << weft_error_text(nullptr);
        weft_job_facts facts{};
        EXPECT_WEFT_OK(weft_job_describe(job, &facts));
        EXPECT_GT(counter(job, "batchesAcknowledged"), 0u);
        EXPECT_WEFT_OK(weft_close(job));
      });
    }
    EXPECT_TRUE(until([&] { return under_way == kThreads; }));
    client.close();
    for (std::thread& thread : threads) thread.join();
  }
}

// Opened, asked and closing when their job ends: nobody hears of it, and nothing stays open for it.
TEST(SharedJobs, EndInTheMiddleOfAnything) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"t", 2}});
  Client client(server.group());
  const weft_ticket ticket = ticket_of(client.job);
  weft_topic* topic = nullptr;
  weft_producer* steady = client.producer("t");
  std::vector<uint32_t> data;
  for (int round = 0; round < 30; ++round) {
    weft_job* job = open_shared(ticket);
    ASSERT_WEFT_OK(weft_topic_open(job, "t", &topic));
    weft_consumer* closing = nullptr;
    ASSERT_WEFT_OK(weft_consumer_open(job, "t", nullptr, &closing));
    weft_region* region = nullptr;
    ASSERT_WEFT_OK(weft_region_allocate(job, 1 << 20, &region));
    weft_producer* producer = open_producer(job);
    ASSERT_WEFT_OK(weft_push(producer, "{}", 2, region, 0, 1 << 20, nullptr));
    ASSERT_WEFT_OK(weft_topic_open_async(job, "t", kNeverAsked));
    ASSERT_WEFT_OK(weft_producer_open_async(topic, nullptr, kNeverAsked));
    ASSERT_WEFT_OK(weft_consumer_open_async(topic, nullptr, kNeverAsked));
    ASSERT_WEFT_OK(weft_partition_query_async(topic, 1, kNeverAsked));
    ASSERT_WEFT_OK(weft_control_async(job, 0, "{}", 2, kTimeoutMs, kNeverAsked));
    ASSERT_WEFT_OK(weft_consumer_close_async(closing, kNeverAsked));
    ASSERT_WEFT_OK(weft_close(job));
    ASSERT_WEFT_OK(weft_test::push_numbered(steady, 0, static_cast<uint32_t>(round), data, 40));
  }
  EXPECT_WEFT_OK(weft_flush(steady, kTimeoutMs));
  EXPECT_EQ(counter(client.job, "memoryQuarantinedBytes"), 0u);
  // Each round's event from a region was acknowledged before the region went.
  weft_consumer* consumer = client.consumer("t");
  int large = 0;
  for (int n = 0; n < 60; ++n) {
    weft_event event;
    ASSERT_WEFT_OK(weft_pull(consumer, kTimeoutMs, &event));
    large += event.data_length == 1 << 20 ? 1 : 0;
  }
  EXPECT_EQ(large, 30);
}

TEST(SharedJobs, FetchIntoTheCallersRegionByACopy) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"t", 1}});
  Client client(server.group());
  weft_job* job = open_shared(ticket_of(client.job));
  weft_producer* producer = open_producer(job);
  std::vector<uint32_t> data;
  ASSERT_WEFT_OK(weft_test::push_numbered(producer, 0, 123, data, 40'000));
  ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
  weft_consumer* consumer = nullptr;
  ASSERT_WEFT_OK(weft_consumer_open(job, "t", nullptr, &consumer));
  std::vector<uint32_t> got(20'000);
  weft_region* region = nullptr;
  ASSERT_WEFT_OK(weft_region_register(job, got.data(), got.size() * 4, &region));
  const weft_run all{0, 40'000, 0, nullptr};
  const weft_selection selection{0, 40, &all, 1};
  ASSERT_WEFT_OK(weft_data_fetch(consumer, 0, &selection, 1, got.data(), got.size() * 4, region));
  EXPECT_EQ(got[9], 0u);
  EXPECT_EQ(got[10], 123u);
  EXPECT_EQ(got[10'009], 123u);
  EXPECT_EQ(got[10'010], 0u);
  EXPECT_WEFT_OK(weft_region_release(region));
  ASSERT_WEFT_OK(weft_close(job));
}

// A server that does not answer while a shared job ends: its memory is kept away from use, the others go on.
TEST(SharedJobs, LeaveMemoryThatAServerMayReadBehind) {
  TemporaryFolder folder;
  ServerChild server(folder.path() + "/data", 1, 0, 1);
  server.start();
  Client client(server.group(), nullptr, 2000);
  weft_job* job = open_shared(ticket_of(client.job));
  weft_producer* producer = open_producer(job);
  weft_region* region = nullptr;
  constexpr uint64_t kBytes = 8 << 20;
  ASSERT_WEFT_OK(weft_region_allocate(job, kBytes, &region));
  server.stop();
  uint64_t receipt = 0;
  ASSERT_WEFT_OK(weft_push(producer, "{}", 2, region, 0, kBytes, &receipt));
  EXPECT_EQ(weft_receipt_wait(producer, receipt, kTimeoutMs, nullptr), WEFT_DELIVERY_TIMED_OUT);
  EXPECT_WEFT_OK(weft_close(job));
  EXPECT_GE(counter(client.job, "memoryQuarantinedBytes"), kBytes);
  server.go_on();
  weft_producer* steady = client.producer("t");
  std::vector<uint32_t> data;
  ASSERT_WEFT_OK(weft_test::push_numbered(steady, 1, 1, data, 40));
  EXPECT_WEFT_OK(weft_flush(steady, kTimeoutMs));
}

}  // namespace
