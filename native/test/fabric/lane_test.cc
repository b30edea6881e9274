// What every transport must do, between two lanes of one process and from a lane to itself.
#include <gtest/gtest.h>

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/checksum.h"
#include "fabric/lane.h"
#include "lane_host.h"

namespace weft::fabric::test {
namespace {

using namespace std::chrono_literals;

class EachTransport : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    LaneOptions options = options_for(GetParam());
    server_ = std::make_unique<LaneHost>(options);
    client_ = std::make_unique<LaneHost>(options);
  }
  void start() {
    server_->start();
    client_->start();
    peer_ = client_->connect(server_->lane().address());
    ASSERT_TRUE(client_->is_up(peer_)) << client_->loss(peer_).reason.text();
    ASSERT_TRUE(server_->wait([&] { return server_->accepted_.size() == 1; }));
    back_ = server_->accepted_[0];
  }
  std::unique_ptr<LaneHost> server_, client_;
  PeerId peer_ = 0;  // the server, at the client
  PeerId back_ = 0;  // the client, at the server
};
std::string test_name(const testing::TestParamInfo<const char*>& test) {
  std::string name = test.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Fabric, EachTransport, testing::Values("inprocess", "tcp", "shm"), test_name);

TEST_P(EachTransport, MessagesOfManySizesArriveWholeAndInOrder) {
  start();
  std::vector<std::string> sent;
  for (const size_t length :
       {0, 1, 7, 8, 31, 32, 33, 100, 511, 4096, 15000, 15328, 15329, 16384, 30000, 65535, 65536}) {
    sent.push_back(pattern_text(length, length + 1));
  }
  for (int round = 0; round < 20; round++) {
    client_->run([&] {
      for (const std::string& text : sent) ASSERT_TRUE(client_->send_now(peer_, text).ok());
    });
    server_->run([&] {
      for (const std::string& text : sent) ASSERT_TRUE(server_->send_now(back_, text).ok());
    });
  }
  const size_t count = sent.size() * 20;
  ASSERT_TRUE(server_->wait([&] { return server_->messages_[back_].size() == count; }))
      << server_->messages_[back_].size() << " of " << count;
  ASSERT_TRUE(client_->wait([&] { return client_->messages_[peer_].size() == count; }));
  for (size_t i = 0; i < count; i++) {
    ASSERT_EQ(server_->messages_[back_][i], sent[i % sent.size()]) << "message " << i;
    ASSERT_EQ(client_->messages_[peer_][i], sent[i % sent.size()]) << "message " << i;
  }
  std::string transport;
  client_->run([&] { transport = client_->lane().transport_of(peer_); });
  EXPECT_EQ(transport, GetParam());
}

uint64_t bytes_sent(const Lane& lane, const std::string& transport) {
  for (const TransportCounters& counters : lane.counters().transports) {
    if (counters.transport == transport) return counters.message_bytes_sent;
  }
  return 0;
}

// Each in a bundle has 8 bytes before it, and is filled up to 8; one that is alone goes as it is.
TEST_P(EachTransport, SmallMessagesOfOneTurnGoTogetherWhereEachWouldCostASystemCall) {
  start();
  constexpr uint64_t kCount = 100;
  const bool bundles = std::string(GetParam()) == "tcp";
  const auto sent_bytes = [&] {
    client_->run([] {});  // the turn that sent has ended
    return bytes_sent(client_->lane(), GetParam());
  };
  ASSERT_TRUE(client_->send(peer_, "alone").ok());
  ASSERT_TRUE(server_->wait([&] { return server_->messages_[back_].size() == 1; }));
  EXPECT_EQ(sent_bytes(), 5u);
  client_->run([&] {
    for (uint64_t i = 0; i < kCount; i++) ASSERT_TRUE(client_->send_now(peer_, pattern_text(300 + i % 3, i)).ok());
    ASSERT_TRUE(client_->send_now(peer_, pattern_text(9000, 1)).ok());
    ASSERT_TRUE(client_->send_now(peer_, "last").ok());
  });
  ASSERT_TRUE(server_->wait([&] { return server_->messages_[back_].size() == kCount + 3; }));
  uint64_t plain = 5 + 9000 + 4;
  for (uint64_t i = 0; i < kCount; i++) {
    plain += 300 + i % 3;
    ASSERT_EQ(server_->messages_[back_][1 + i], pattern_text(300 + i % 3, i)) << i;
  }
  EXPECT_EQ(server_->messages_[back_][kCount + 1], pattern_text(9000, 1));
  EXPECT_EQ(server_->messages_[back_][kCount + 2], "last");
  EXPECT_EQ(sent_bytes(), bundles ? 5 + kCount * (304 + 8) + 9000 + 4 : plain);
  for (const TransportCounters& counters : client_->lane().counters().transports) {
    if (counters.transport != GetParam()) continue;
    EXPECT_EQ(counters.messages_sent, kCount + 3);
  }
}

// Lanes of one process live and end together: they send no heartbeats.
class EachSilentTransport : public EachTransport {};
INSTANTIATE_TEST_SUITE_P(Fabric, EachSilentTransport, testing::Values("tcp", "shm"), test_name);

// An idle peer stays, since its lane says that it lives; one whose lane does not is lost at the limit.
TEST_P(EachSilentTransport, AnIdlePeerStaysForItsHeartbeatsOnly) {
  LaneOptions options = options_for(GetParam());
  options.peer_timeout_ms = 2000;  // longer than a loaded machine lets a thread wait
  options.heartbeat_ms = 100;
  server_ = std::make_unique<LaneHost>(options);
  client_ = std::make_unique<LaneHost>(options);
  start();
  EXPECT_FALSE(client_->is_lost(peer_, 5000)) << client_->loss(peer_).reason.text();
  EXPECT_TRUE(client_->send(peer_, "still there").ok());
  ASSERT_TRUE(server_->wait([&] { return server_->messages_[back_].size() == 1; }));

  client_ = std::make_unique<LaneHost>(options);
  options.peer_timeout_ms = 60'000;
  options.heartbeat_ms = 30'000;
  server_ = std::make_unique<LaneHost>(options);
  start();
  EXPECT_TRUE(client_->is_lost(peer_));
  EXPECT_EQ(client_->loss(peer_).reason.code(), Code::PEER_LOST) << client_->loss(peer_).reason.text();
}

TEST_P(EachTransport, MessageAboveTheLimitIsRefused) {
  start();
  EXPECT_EQ(client_->send(peer_, std::string(64 * 1024 + 1, 'x')).code(), Code::LIMIT);
}

TEST_P(EachTransport, ReadsAndWritesOfManySizesMoveTheRightBytes) {
  start();
  constexpr uint64_t kLength = uint64_t{9} << 20;
  std::vector<std::byte> there(kLength), here(kLength);
  fill_pattern(there, 1);
  auto remote = server_->lane().register_memory(there.data(), kLength, kRemoteRead | kRemoteWrite);
  auto local = client_->lane().register_memory(here.data(), kLength, kLocalOnly);
  ASSERT_TRUE(remote.ok() && local.ok());
  const RemoteMemory named = remote.value()->describe(back_);
  ASSERT_EQ(named.length, kLength);
  for (const uint64_t length : {uint64_t{0}, uint64_t{1}, uint64_t{4095}, uint64_t{65536}, uint64_t{1} << 20,
                                (uint64_t{1} << 20) + 1, (uint64_t{8} << 20) + 77}) {
    std::fill(here.begin(), here.end(), std::byte{0});
    ASSERT_EQ(client_->move(false, peer_, local.value().get(), here.data() + 3, length, named, 5).text(), "WEFT_OK");
    ASSERT_EQ(std::memcmp(here.data() + 3, there.data() + 5, length), 0) << length;
    ASSERT_EQ(here[length + 3], std::byte{0}) << "a read of " << length << " bytes wrote behind its end";
    fill_pattern(std::span(here.data(), length), length + 9);
    ASSERT_EQ(client_->move(true, peer_, local.value().get(), here.data(), length, named, 11).text(), "WEFT_OK");
    ASSERT_EQ(std::memcmp(here.data(), there.data() + 11, length), 0) << length;
  }
}

TEST_P(EachTransport, ManyTransfersInFlightIntoOneRegion) {
  start();
  constexpr size_t kCount = 200;
  constexpr uint64_t kEach = 100'000;
  std::vector<std::byte> there(kCount * kEach), here(kCount * kEach);
  fill_pattern(there, 2);
  auto remote = server_->lane().register_memory(there.data(), there.size(), kRemoteRead);
  auto local = client_->lane().register_memory(here.data(), here.size(), kLocalOnly);
  ASSERT_TRUE(remote.ok() && local.ok());
  const RemoteMemory named = remote.value()->describe(back_);
  struct Shared {
    LaneHost* host;
    size_t done = 0, failed = 0;
  } shared{client_.get()};
  std::vector<Transfer> transfers(kCount);
  client_->run([&] {
    for (size_t i = 0; i < kCount; i++) {
      Transfer& transfer = transfers[i];
      transfer.owner = &shared;
      transfer.done = [](Transfer* t, const Status& status) {
        auto* state = static_cast<Shared*>(t->owner);
        const std::lock_guard<std::mutex> lock(state->host->mutex_);
        state->done++;
        if (!status.ok()) state->failed++;
        state->host->changed_.notify_all();
      };
      transfer.peer = peer_;
      transfer.region = local.value().get();
      transfer.local = here.data() + i * kEach;
      transfer.length = kEach;
      transfer.remote = named;
      transfer.remote_at = i * kEach;
      client_->lane().read(&transfer);
    }
    EXPECT_EQ(shared.done, 0u) << "done was called from inside read()";
  });
  ASSERT_TRUE(client_->wait([&] { return shared.done == kCount; }));
  EXPECT_EQ(shared.failed, 0u);
  EXPECT_EQ(crc32c(here), crc32c(there));
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

struct NothingBehindIt : EventSource {
  void on_event(uint32_t) override { ++count; }
  uint64_t count = 0;
};

struct Beat {
  static constexpr uint64_t kEveryNs = 5 * kNsPerMs;
  explicit Beat(Lane& lane_of) : lane(lane_of) {
    timer.owner = this;
    timer.fire = [](Timer* fired) {
      auto* beat = static_cast<Beat*>(fired->owner);
      ++beat->count;
      beat->lane.arm(fired, kEveryNs);
    };
  }
  Lane& lane;
  Timer timer;
  uint64_t count = 0;
};

// Timers, heartbeats and a core that is taken away for a while are no rest.
TEST_P(EachTransport, ADescriptorThatIsReadableForNothingDoesNotCostACore) {
  start();
  auto& lane = static_cast<LaneImpl&>(server_->lane());
  const int descriptor = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  ASSERT_GE(descriptor, 0);
  NothingBehindIt source;
  Beat beat(lane);
  uint64_t number = 0;
  server_->run([&] {
    number = lane.watch(descriptor, &source).value();
    lane.arm(&beat.timer, Beat::kEveryNs);
  });
  // With a sanitizer in it a turn of the thread may take longer than what counts as a wake-up for nothing.
  const uint64_t pauses = kSanitized ? 0 : 100;
  for (int i = 0; i < 300 && lane.counters().pauses < pauses; ++i) std::this_thread::sleep_for(50ms);
  EXPECT_GE(lane.counters().pauses, pauses);
  if (kSanitized) std::this_thread::sleep_for(1s);
  server_->run([&] {
    EXPECT_GT(beat.count, 1u);
    EXPECT_GT(source.count, kSanitized ? 10u : 1000u);
    lane.disarm(&beat.timer);
    lane.unwatch(number);
  });
  close(descriptor);
  // And then it is quiet again.
  uint64_t before = 0;
  server_->run([&] { before = lane.counters().pauses; });
  ASSERT_TRUE(client_->send(peer_, "still there").ok());
  ASSERT_TRUE(server_->wait([&] { return server_->messages_[back_].size() == 1; }));
  EXPECT_LE(lane.counters().pauses, before + 20);  // of a hundred in the time that it waited above
}

// A thread that is woken only to let others at its memory paused half a millisecond each time, after a thousand times.
TEST_P(EachTransport, WhoeverIsOnlyReadAndWrittenDoesNotPause) {
  start();
  std::vector<std::byte> memory(64 * 1024), local(64 * 1024);
  auto theirs = server_->lane().register_memory(memory.data(), memory.size(), kRemoteRead | kRemoteWrite);
  auto ours = client_->lane().register_memory(local.data(), local.size(), kRemoteRead | kRemoteWrite);
  ASSERT_TRUE(theirs.ok() && ours.ok());
  const RemoteMemory remote = theirs.value()->describe(back_);
  const uint64_t before = server_->lane().counters().pauses;
  for (int i = 0; i < 2000; i++) {
    ASSERT_TRUE(client_->move(i % 2 == 0, peer_, ours.value().get(), local.data(), local.size(), remote, 0).ok());
  }
  EXPECT_EQ(server_->lane().counters().pauses, before);
  // Its thread has read the memory that goes now: so that ThreadSanitizer knows when.
  server_->run([] {});
}

TEST_P(EachTransport, ATransferOutsideItsMemoryIsRefused) {
  start();
  std::vector<std::byte> there(4096), here(4096);
  auto remote = server_->lane().register_memory(there.data(), there.size(), kRemoteRead);
  auto local = client_->lane().register_memory(here.data(), here.size(), kLocalOnly);
  ASSERT_TRUE(remote.ok() && local.ok());
  const RemoteMemory named = remote.value()->describe(back_);
  const Region* region = local.value().get();
  EXPECT_EQ(client_->move(false, peer_, region, here.data(), 4097, named, 0).code(), Code::INVALID_ARGUMENT);
  EXPECT_EQ(client_->move(false, peer_, region, here.data(), 4096, named, 1).code(), Code::INVALID_ARGUMENT);
  EXPECT_EQ(client_->move(false, peer_, region, here.data(), 10, named, UINT64_MAX).code(), Code::INVALID_ARGUMENT);
}

TEST_P(EachTransport, DisconnectIsHeardByTheOtherSide) {
  start();
  client_->run([&] { client_->lane().disconnect(peer_); });
  ASSERT_TRUE(server_->is_lost(back_));
  EXPECT_TRUE(server_->loss(back_).proven_dead) << "nothing was under way: its memory is safe";
  EXPECT_EQ(client_->send(peer_, "x").code(), Code::PEER_LOST);
}

TEST_P(EachTransport, ClosingALaneIsHeardByTheOtherSide) {
  start();
  server_->close();
  ASSERT_TRUE(client_->is_lost(peer_));
}

TEST_P(EachTransport, ConnectsAgainAfterADisconnect) {
  start();
  for (int round = 0; round < 5; round++) {
    client_->run([&] { client_->lane().disconnect(peer_); });
    const PeerId again = client_->connect(server_->lane().address());
    ASSERT_NE(again, peer_);
    ASSERT_TRUE(client_->is_up(again)) << "round " << round;
    ASSERT_TRUE(client_->send(again, "hello").ok());
    const size_t accepted = static_cast<size_t>(round) + 2;
    ASSERT_TRUE(server_->wait([&] {
      return server_->accepted_.size() == accepted && server_->messages_[server_->accepted_.back()].size() == 1;
    }));
    peer_ = again;
  }
}

TEST_P(EachTransport, AClosedRegistrationIsNotReadAnyMore) {
  start();
  std::vector<std::byte> there(4096), here(4096);
  auto remote = server_->lane().register_memory(there.data(), there.size(), kRemoteRead);
  auto local = client_->lane().register_memory(here.data(), here.size(), kLocalOnly);
  ASSERT_TRUE(remote.ok() && local.ok());
  const RemoteMemory named = remote.value()->describe(back_);
  bool released = false;
  server_->lane().release_when_safe(remote.take(), [&] {
    const std::lock_guard<std::mutex> lock(server_->mutex_);
    released = true;
    server_->changed_.notify_all();
  });
  ASSERT_TRUE(server_->wait([&] { return released; }));
  EXPECT_FALSE(client_->move(false, peer_, local.value().get(), here.data(), 4096, named, 0, 2000).ok());
}

TEST(BindAddress, IsTheOneThatOthersReach) {
  LaneOptions options = options_for("tcp");
  options.bind_address = "127.0.0.1";
  LaneHost server(options);
  LaneHost client(options);
  ASSERT_NE(server.lane().describe()[0].find("127.0.0.1"), std::string::npos) << server.lane().describe()[0];
  server.start();
  client.start();
  const PeerId peer = client.connect(server.lane().address());
  ASSERT_TRUE(client.is_up(peer));
}

TEST(BindAddress, OfNoInterfaceIsNamedInTheError) {
  LaneOptions options = options_for("tcp");
  options.bind_address = "203.0.113.77";
  // Beside shm, too: a server opened without a network then, and clients of other hosts looked in vain.
  for (const std::vector<std::string>& transports : {options.transports, {}, {"shm", "tcp"}}) {
    options.transports = transports;
    const Status status = Lane::open(options).status();
    EXPECT_EQ(status.code(), Code::FABRIC);
    EXPECT_NE(status.message().find("bind_address 203.0.113.77"), std::string::npos) << status.text();
  }
}

TEST(LaneToItself, ServerAndClientHandlersAreTwoPeers) {
  LaneHost host(options_for(""));
  host.start();
  const PeerId peer = host.connect(host.lane().address());
  ASSERT_TRUE(host.is_up(peer));
  ASSERT_TRUE(host.wait([&] { return host.accepted_.size() == 1; }));
  const PeerId back = host.accepted_[0];
  ASSERT_NE(peer, back);
  ASSERT_TRUE(host.send(peer, "to the server").ok());
  ASSERT_TRUE(host.send(back, "to the client").ok());
  ASSERT_TRUE(host.wait([&] { return host.messages_[peer].size() == 1 && host.messages_[back].size() == 1; }));
  EXPECT_EQ(host.messages_[back][0], "to the server");
  EXPECT_EQ(host.messages_[peer][0], "to the client");
  std::string transport;
  host.run([&] { transport = host.lane().transport_of(peer); });
  EXPECT_EQ(transport, "inprocess");
}

}  // namespace
}  // namespace weft::fabric::test
