// Clients that are killed or stopped in the middle of what they do: the others go on, the partition is not blocked, the
// server says one line and holds nothing of theirs.
#include "fault_support.h"

namespace {

using weft_test::ChildProcess;
using weft_test::Client;
using weft_test::client_command;
using weft_test::counter;
using weft_test::Reader;
using weft_test::Server;
using weft_test::take_log;
using weft_test::TemporaryFolder;
using weft_test::until;

std::vector<std::string> lines_with(const std::vector<std::string>& lines, const std::string& words) {
  std::vector<std::string> found;
  for (const std::string& line : lines) {
    if (line.find(words) != std::string::npos) found.push_back(line);
  }
  return found;
}

// Collects the server's log until nothing of a lost client is left in the server; that must be one line.
void expect_one_line_and_nothing_held(Server& server, uint64_t sessions_before, uint64_t consumers_before,
                                      uint64_t slabs_before) {
  std::vector<std::string> log;
  EXPECT_TRUE(until([&] {
    for (std::string& line : take_log(server.job)) log.push_back(std::move(line));
    return counter(server.job, "sessions") == sessions_before && !lines_with(log, "lost").empty();
  })) << counter(server.job, "sessions")
      << " sessions are left, of " << sessions_before;
  EXPECT_EQ(lines_with(log, "lost").size(), 1u) << testing::PrintToString(log);
  EXPECT_EQ(log.size(), 1u) << testing::PrintToString(log);
  EXPECT_TRUE(lines_with(log, ", )").empty()) << testing::PrintToString(log);
  EXPECT_EQ(counter(server.job, "consumers"), consumers_before);
  EXPECT_TRUE(until([&] { return counter(server.job, "slabsInUse") <= slabs_before; }, weft_test::milliseconds(5000)))
      << counter(server.job, "slabsInUse") << " slabs are still in use";
  EXPECT_TRUE(until([&] { return counter(server.job, "batchesInFlight") == 0; }));
}

class ConsumerKilled : public ::testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(ConsumerKilled, WhileItIsFedHurtsNobody) {
  const auto [transport, mode] = GetParam();
  TemporaryFolder folder;
  Server server(folder.path(), {{"t"}});
  Client client(server.group(), transport);
  weft_producer* producer = client.producer("t");
  Reader reader(client.consumer("t"));
  constexpr uint32_t kBefore = 3000;
  std::vector<std::vector<uint32_t>> datas(kBefore);
  for (uint32_t i = 0; i < kBefore; ++i) {
    ASSERT_WEFT_OK(weft_test::push_numbered(producer, 0, i, datas[i], i % 50 == 0 ? 300'000 : 400));
  }
  ASSERT_WEFT_OK(weft_flush(producer, 60'000));
  const uint64_t sessions = counter(server.job, "sessions");
  const uint64_t consumers = counter(server.job, "consumers");
  const uint64_t slabs = counter(server.job, "slabsInUse");
  take_log(server.job);
  ChildProcess victim(client_command(mode, server.group(), transport), folder.path() + "/victim.log");
  victim.start();
  ASSERT_TRUE(victim.says("fed")) << victim.output();
  victim.kill_now();
  // The partition takes and gives at once, not after a time limit.
  const auto began = weft_test::Clock::now();
  for (uint32_t i = 0; i < 500; ++i) {
    ASSERT_WEFT_OK(weft_test::push_numbered(producer, 1, i, datas[i], 400));
  }
  ASSERT_WEFT_OK(weft_flush(producer, 20'000));
  EXPECT_LT(weft_test::Clock::now() - began, std::chrono::seconds(8));
  reader.read_to(kBefore + 500);
  expect_one_line_and_nothing_held(server, sessions, consumers, slabs);
}

INSTANTIATE_TEST_SUITE_P(Transports, ConsumerKilled,
                         ::testing::Combine(::testing::Values("tcp", "shm"), ::testing::Values("stall", "drain")),
                         [](const auto& parameters) {
                           return std::string(std::get<0>(parameters.param)) + "_" + std::get<1>(parameters.param);
                         });

class ProducerKilled : public ::testing::TestWithParam<const char*> {};

TEST_P(ProducerKilled, WhileItsEventIsPulledLeavesNothing) {
  const char* transport = GetParam();
  constexpr uint64_t kLarge = uint64_t{128} << 20;
  TemporaryFolder folder;
  Server server(folder.path(), {{"t"}});
  Client client(server.group(), transport);
  weft_producer* producer = client.producer("t");
  const uint64_t sessions = counter(server.job, "sessions");
  take_log(server.job);
  uint64_t pushed = 0;
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE(round);
    ChildProcess victim(client_command("large", server.group(), transport, std::to_string(kLarge)),
                        folder.path() + "/victim.log");
    const uint64_t stored = counter(server.job, "batchesStored");
    const uint64_t received = counter(server.job, "batchesReceived");
    victim.start();
    ASSERT_TRUE(until([&] { return counter(server.job, "batchesReceived") > received; })) << victim.output();
    ASSERT_TRUE(until([&] { return counter(server.job, "slabsInUse") > 0; }, weft_test::milliseconds(5000)));
    victim.kill_now();
    // Ours comes in at once, whatever is left of the other's.
    const auto began = weft_test::Clock::now();
    std::vector<uint32_t> data;
    ASSERT_WEFT_OK(weft_test::push_numbered(producer, 0, static_cast<uint32_t>(pushed++), data, 1 << 20));
    ASSERT_WEFT_OK(weft_flush(producer, 20'000));
    EXPECT_LT(weft_test::Clock::now() - began, std::chrono::seconds(8));
    EXPECT_GE(counter(server.job, "batchesStored"), stored + 1);
    expect_one_line_and_nothing_held(server, sessions, 0, 0);
  }
  // Ours are there; a large one that was complete when its producer died may be, but only whole.
  weft_consumer* consumer = client.consumer("t");
  uint64_t ours = 0;
  weft_event event;
  int code = WEFT_OK;
  while ((code = weft_pull(consumer, ours == pushed ? 50 : 20'000, &event)) == WEFT_OK) {
    if (weft_test::metadata_of(event) == "0") {
      EXPECT_EQ(event.data_length, kLarge);
    } else {
      ++ours;
      EXPECT_EQ(event.data_length, 1u << 20);
    }
  }
  EXPECT_EQ(code, WEFT_TIMED_OUT) << weft_error_text(nullptr);
  EXPECT_EQ(ours, pushed);
}

INSTANTIATE_TEST_SUITE_P(Transports, ProducerKilled, ::testing::Values("tcp", "shm"),
                         [](const auto& parameters) { return std::string(parameters.param); });

TEST(ConsumerStopped, ForLongerThanThePeerTimeoutGoesOnWhereItWas) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"t", 2}});
  Client client(server.group());
  weft_producer* producer = client.producer("t");
  Reader reader(client.consumer("t"));
  ChildProcess stopped(client_command("consume", server.group(), "-"), folder.path() + "/stopped.log");
  stopped.start();
  uint32_t number = 0;
  std::vector<std::vector<uint32_t>> datas(200);
  const auto push_some = [&] {
    for (std::vector<uint32_t>& data : datas) {
      ASSERT_WEFT_OK(weft_test::push_numbered(producer, 0, number, data, number % 3 * 5000));
      ++number;
    }
    ASSERT_WEFT_OK(weft_flush(producer, 20'000));
  };
  push_some();
  ASSERT_TRUE(stopped.says("read 100")) << stopped.output();
  const uint64_t lost = counter(server.job, "peersLost");
  stopped.stop();
  // The others go on meanwhile, until the server has given the stopped one up.
  ASSERT_TRUE(until([&] {
    push_some();
    reader.read_to(number);
    return HasFailure() || counter(server.job, "peersLost") > lost;
  }));
  stopped.go_on();
  push_some();
  reader.read_to(number);
  EXPECT_EQ(stopped.end(), 0) << stopped.output();
  EXPECT_NE(stopped.output().find("total " + std::to_string(number) + "\n"), std::string::npos) << stopped.output();
}

}  // namespace
