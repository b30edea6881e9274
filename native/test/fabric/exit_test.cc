// How a process ends while its lanes are open: threads of other lanes must not be inside libfabric when exit() runs its
// destructors (a crash there was "malloc(): unaligned fastbin chunk detected").
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "lane_host.h"

namespace weft::fabric::test {
namespace {

LaneHost* client = nullptr;
LaneHost* server = nullptr;
PeerId peer = 0;

uint64_t bytes_moved() {
  uint64_t bytes = 0;
  for (LaneHost* host : {client, server}) {
    for (const TransportCounters& each : host->lane().counters().transports) {
      bytes += each.message_bytes_sent + each.message_bytes_received;
    }
  }
  return bytes;
}

// Ends with status 3 while two lanes send each other messages as fast as they can.
[[noreturn]] void exit_while_busy(bool closes) {
  // Registered before the library's own: they run after it.
  if (closes) {
    const int registered = std::atexit([] {
      client->run([] { std::fputs("served in exit\n", stderr); });
      delete client;
      std::fputs("closed in exit\n", stderr);
    });
    if (registered != 0) std::_Exit(4);
  } else {
    const int registered = std::atexit([] {
      const uint64_t before = bytes_moved();
      std::this_thread::sleep_for(std::chrono::milliseconds(100));  // time in which a thread that runs would show
      std::fputs(before == bytes_moved() ? "all stand still\n" : "a thread runs\n", stderr);
    });
    if (registered != 0) std::_Exit(4);
  }
  server = new LaneHost(options_for("tcp"));
  client = new LaneHost(options_for("tcp"));
  server->start();
  client->start();
  peer = client->connect(server->lane().address());
  static std::atomic<uint64_t> answered{0};
  const auto answers = [](LaneHost* host) {
    host->run([&] {
      host->on_message_ = [host](PeerId from, std::span<const std::byte> message) {
        answered++;
        static_cast<void>(host->lane().send(from, {&message, 1}));
      };
    });
  };
  answers(server);
  answers(client);
  for (int i = 0; i < 8; i++) static_cast<void>(client->send(peer, std::string(2000, 'x')));
  while (answered.load() < 500) std::this_thread::yield();
  std::exit(3);
}

class Exit : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(Exit, WhileLanesAreBusy) {
  for (int round = 0; round < 5; round++)
    EXPECT_EXIT(exit_while_busy(false), testing::ExitedWithCode(3), "all stand still");
}

TEST_F(Exit, AHandlerOfTheUserMayStillCloseTheLane) {
  EXPECT_EXIT(exit_while_busy(true), testing::ExitedWithCode(3), "served in exit\nclosed in exit");
}

}  // namespace
}  // namespace weft::fabric::test
