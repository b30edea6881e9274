// A client as a process of its own, for tests that kill, stop or cut it off:
//   test_client MODE GROUP TOPIC TRANSPORTS|- NUMBER
// MODE: stall   opens a consumer, pulls one event, says "fed" and pulls no more
//       drain   pulls and fetches for ever; "fed" after the first
//       large   pushes events of NUMBER bytes for ever; "pushing" before the first
//       idle    has a producer and a consumer open; "idle" when both have moved an event
//       produce pushes numbered events as producer NUMBER in flushed groups of 20; "acknowledged N" after each group
//       consume reads and checks numbered events; "read N" now and then; when its input ends it reads to the end of
//               every partition and says "total N"
// All but stall and drain end cleanly when their input ends. Exit status 0: all was as it should be.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>

#include "fault_support.h"

namespace {

using weft_test::Client;
using weft_test::Reader;

void say(const std::string& words) {
  std::printf("%s\n", words.c_str());
  std::fflush(stdout);
}

bool input_ended() {
  pollfd file{STDIN_FILENO, POLLIN, 0};
  char byte = 0;
  return poll(&file, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

int stall(Client& client, const char* topic) {
  weft_consumer* consumer = client.consumer(topic);
  weft_event event;
  if (weft_pull(consumer, 30'000, &event) != WEFT_OK) return 1;
  say("fed");
  while (true) pause();
}

int drain(Client& client, const char* topic) {
  Reader reader(client.consumer(topic));
  while (true) {
    const int code = reader.read(1000);
    if (code == WEFT_OK && reader.count() == 1) say("fed");
    if (code != WEFT_OK && code != WEFT_TIMED_OUT) return 1;
  }
}

int push_large(Client& client, const char* topic, uint64_t bytes) {
  weft_producer* producer = client.producer(topic);
  weft_region* region = nullptr;
  EXPECT_WEFT_OK(weft_region_allocate(client.job, bytes, &region));
  while (!input_ended() && !testing::Test::HasFailure()) {
    say("pushing");
    EXPECT_WEFT_OK(weft_push(producer, "0", 1, region, 0, bytes, nullptr));
    EXPECT_WEFT_OK(weft_flush(producer, 60'000));
  }
  return testing::Test::HasFailure() ? 1 : 0;
}

int idle(Client& client, const char* topic) {
  weft_consumer* consumer = client.consumer(topic);
  weft_producer* producer = client.producer(topic);
  EXPECT_WEFT_OK(weft_push(producer, "0", 1, nullptr, 0, 0, nullptr));
  EXPECT_WEFT_OK(weft_flush(producer, 20'000));
  weft_event event;
  EXPECT_WEFT_OK(weft_pull(consumer, 20'000, &event));
  if (testing::Test::HasFailure()) return 1;
  say("idle");
  char byte = 0;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  return 0;
}

int produce(Client& client, const char* topic, int number) {
  const std::string name = "producer-" + std::to_string(number);
  weft_producer* producer = client.producer(topic, name.c_str());
  constexpr uint32_t kGroup = 20;
  std::vector<std::vector<uint32_t>> datas(kGroup);
  uint32_t next = 0;
  while (!input_ended()) {
    for (std::vector<uint32_t>& data : datas) {
      const uint64_t bytes = next % 7 == 0 ? 150'000 : next % 3 * 40;
      EXPECT_WEFT_OK(weft_test::push_numbered(producer, number, next++, data, bytes));
    }
    EXPECT_WEFT_OK(weft_flush(producer, 120'000));
    if (testing::Test::HasFailure()) return 1;
    say("acknowledged " + std::to_string(next));
  }
  EXPECT_WEFT_OK(weft_producer_close(producer, 60'000));
  return testing::Test::HasFailure() ? 1 : 0;
}

uint64_t events_visible(Client& client, const char* topic) {
  weft_topic* opened = nullptr;
  EXPECT_WEFT_OK(weft_topic_open(client.job, topic, &opened));
  if (opened == nullptr) return 0;
  weft_topic_facts facts;
  EXPECT_WEFT_OK(weft_topic_describe(opened, &facts));
  uint64_t total = 0;
  for (uint32_t i = 0; i < facts.partition_count; ++i) {
    uint64_t end = 0;
    EXPECT_WEFT_OK(weft_partition_query(opened, i, nullptr, &end));
    total += end;
  }
  weft_topic_close(opened);
  return total;
}

int consume(Client& client, const char* topic) {
  Reader reader(client.consumer(topic));
  uint64_t said = 0;
  while (!input_ended() && !testing::Test::HasFailure()) {
    const int code = reader.read(100);
    EXPECT_TRUE(code == WEFT_OK || code == WEFT_TIMED_OUT) << code << ": " << weft_error_text(nullptr);
    if (reader.count() >= said + 100) {
      said = reader.count();
      say("read " + std::to_string(said));
    }
  }
  if (testing::Test::HasFailure()) return 1;
  reader.read_to(events_visible(client, topic));
  say("total " + std::to_string(reader.count()));
  return testing::Test::HasFailure() ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 6) return 2;
  const std::string mode = argv[1];
  const char* topic = argv[3];
  const std::string transports = argv[4];
  const uint64_t number = std::strtoull(argv[5], nullptr, 10);
  int status = 2;
  {
    Client client(argv[2], transports == "-" ? nullptr : transports.c_str(), 120'000);
    if (testing::Test::HasFailure()) return 1;
    if (mode == "stall") status = stall(client, topic);
    if (mode == "drain") status = drain(client, topic);
    if (mode == "large") status = push_large(client, topic, number);
    if (mode == "idle") status = idle(client, topic);
    if (mode == "produce") status = produce(client, topic, static_cast<int>(number));
    if (mode == "consume") status = consume(client, topic);
  }
  return status == 0 && testing::Test::HasFailure() ? 1 : status;
}
