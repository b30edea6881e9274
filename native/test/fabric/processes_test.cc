// Several processes: large RMA, peers that are killed, stopped or replaced, garbage at the port, idle cost, what is
// left behind.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>
#include <thread>

#include "base/checksum.h"
#include "child_peer.h"
#include "fabric/address.h"
#include "lane_host.h"

namespace weft::fabric::test {
namespace {

LaneOptions quick_options(const std::string& transport, uint32_t peer_timeout_ms = 10'000) {
  LaneOptions options = options_for(transport);
  options.peer_timeout_ms = peer_timeout_ms;
  options.heartbeat_ms = std::min(1000u, peer_timeout_ms / 4);
  return options;
}

std::set<std::string> shared_memory_files() {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) names.insert(entry.path());
  return names;
}

// What was not there before; what is gone since may have been another's.
std::set<std::string> new_files(const std::set<std::string>& before) {
  std::set<std::string> names = shared_memory_files();
  for (const std::string& name : before) names.erase(name);
  return names;
}

// Sends and waits for the answer.
std::string ask(LaneHost& host, PeerId peer, const std::string& question) {
  size_t before = 0;
  {
    const std::lock_guard<std::mutex> lock(host.mutex_);
    before = host.messages_[peer].size();
  }
  const Status sent = host.send(peer, question);
  if (!sent.ok()) return sent.text();
  if (!host.wait([&] { return host.messages_[peer].size() > before; })) return "no answer";
  const std::lock_guard<std::mutex> lock(host.mutex_);
  return host.messages_[peer].back();
}

RemoteMemory ask_memory(LaneHost& host, PeerId peer, uint64_t length) {
  std::string question = "show";
  question.append(reinterpret_cast<const char*>(&length), sizeof length);
  const std::string text = ask(host, peer, question);
  RemoteMemory memory{};
  if (text.size() == sizeof memory) std::memcpy(&memory, text.data(), sizeof memory);
  return memory;
}

class TwoProcesses : public testing::TestWithParam<const char*> {};
std::string test_name(const testing::TestParamInfo<const char*>& test) {
  std::string name = test.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Fabric, TwoProcesses, testing::Values("tcp", "shm"), test_name);

TEST_P(TwoProcesses, LargeReadsAndWritesCarryTheRightBytes) {
  ChildPeer child(GetParam());
  LaneHost host(quick_options(GetParam()));
  host.start();
  const PeerId peer = host.connect(child.address());
  ASSERT_TRUE(host.is_up(peer));
  EXPECT_EQ(ask(host, peer, "echo me"), "echo me");
#ifdef __SANITIZE_THREAD__
  constexpr uint64_t kLength = uint64_t{32} << 20;  // ThreadSanitizer makes filling it 20 times slower
#else
  constexpr uint64_t kLength = uint64_t{256} << 20;
#endif
  const RemoteMemory remote = ask_memory(host, peer, kLength);
  ASSERT_EQ(remote.length, kLength);
  std::vector<std::byte> here(kLength), expected(kLength);
  fill_pattern(expected, 7);
  auto local = host.lane().register_memory(here.data(), kLength, kLocalOnly);
  ASSERT_TRUE(local.ok());
  ASSERT_EQ(host.move(false, peer, local.value().get(), here.data(), kLength, remote, 0).text(), "WEFT_OK");
  EXPECT_TRUE(here == expected);
  fill_pattern(here, 8);
  ASSERT_EQ(host.move(true, peer, local.value().get(), here.data(), kLength, remote, 0).text(), "WEFT_OK");
  uint32_t sum = 0;
  const std::string text = ask(host, peer, "sum");
  ASSERT_EQ(text.size(), sizeof sum);
  std::memcpy(&sum, text.data(), sizeof sum);
  EXPECT_EQ(sum, crc32c(here));
  EXPECT_EQ(child.end(), 0);
}

// Reads in flight from the child, and reads by the child from us, when it is killed; a second child goes on.
TEST_P(TwoProcesses, KilledPeerUnderRmaInBothDirections) {
  const std::set<std::string> files_before = shared_memory_files();
  ChildPeer child(GetParam());
  ChildPeer bystander(GetParam());
  LaneHost host(quick_options(GetParam()));
  host.start();
  const PeerId peer = host.connect(child.address());
  const PeerId other = host.connect(bystander.address());
  ASSERT_TRUE(host.is_up(peer) && host.is_up(other));
  constexpr uint64_t kLength = uint64_t{64} << 20;
  const RemoteMemory remote = ask_memory(host, peer, kLength);
  ASSERT_EQ(remote.length, kLength);
  std::vector<std::byte> here(kLength);
  auto local = host.lane().register_memory(here.data(), kLength, kRemoteRead | kRemoteWrite);
  ASSERT_TRUE(local.ok());
  const RemoteMemory shown = local.value()->describe(peer);
  std::string pull = "pull";
  pull.append(reinterpret_cast<const char*>(&shown), sizeof shown);
  ASSERT_TRUE(host.send(peer, pull).ok());

  struct Loop {
    LaneHost* host;
    uint64_t succeeded = 0, failed = 0;
  } loop{&host};
  std::vector<Transfer> transfers(16);
  host.run([&] {
    for (size_t i = 0; i < transfers.size(); i++) {
      Transfer& transfer = transfers[i];
      transfer.owner = &loop;
      transfer.peer = peer;
      transfer.region = local.value().get();
      transfer.length = uint64_t{4} << 20;
      transfer.local = here.data() + i * transfer.length;
      transfer.remote = remote;
      transfer.done = [](Transfer* t, const Status& status) {
        auto* state = static_cast<Loop*>(t->owner);
        {
          const std::lock_guard<std::mutex> lock(state->host->mutex_);
          (status.ok() ? state->succeeded : state->failed)++;
          state->host->changed_.notify_all();
        }
        if (status.ok()) state->host->lane().read(t);
      };
      i % 2 == 0 ? host.lane().read(&transfer) : host.lane().write(&transfer);
    }
  });
  ASSERT_TRUE(host.wait([&] { return loop.succeeded > 50; }));
  child.kill(SIGKILL);
  ASSERT_TRUE(host.wait([&] { return loop.failed == transfers.size(); })) << loop.failed;
  ASSERT_TRUE(host.is_lost(peer));
  EXPECT_TRUE(host.loss(peer).proven_dead);
  EXPECT_EQ(host.loss(peer).reason.code(), Code::PEER_LOST) << host.loss(peer).reason.text();
  EXPECT_EQ(ask(host, other, "echo still here"), "echo still here");
  bool released = false;
  host.lane().release_when_safe(local.take(), [&] {
    const std::lock_guard<std::mutex> lock(host.mutex_);
    released = true;
    host.changed_.notify_all();
  });
  EXPECT_TRUE(host.wait([&] { return released; })) << host.lane().counters().quarantined_bytes << " in quarantine";
  EXPECT_EQ(host.lane().counters().quarantined_bytes, 0u);
  EXPECT_EQ(bystander.end(), 0);
  host.close();
  EXPECT_EQ(new_files(files_before), std::set<std::string>());
}

TEST_P(TwoProcesses, AStoppedPeerIsLostAndDoesNoHarmWhenItGoesOn) {
  ChildPeer child(GetParam(), 600);
  LaneHost host(quick_options(GetParam(), 600));
  host.start();
  const PeerId peer = host.connect(child.address());
  ASSERT_TRUE(host.is_up(peer));
  ASSERT_EQ(ask(host, peer, "echo one"), "echo one");
  child.signal(SIGSTOP);
  ASSERT_TRUE(host.is_lost(peer));
  EXPECT_FALSE(host.loss(peer).proven_dead);
  EXPECT_NE(host.loss(peer).reason.message().find("silent for 600 ms"), std::string::npos)
      << host.loss(peer).reason.text();
  child.signal(SIGCONT);
  const PeerId again = host.connect(child.address());
  ASSERT_TRUE(host.is_up(again)) << host.loss(again).reason.text();
  EXPECT_EQ(ask(host, again, "echo two"), "echo two");
  EXPECT_EQ(child.end(), 0);
}

TEST_P(TwoProcesses, ConnectingToAStoppedProcessEndsAtTheDeadline) {
  ChildPeer child(GetParam());
  child.signal(SIGSTOP);
  LaneOptions options = quick_options(GetParam());
  options.connect_timeout_ms = 500;
  LaneHost host(options);
  host.start();
  const auto begun = std::chrono::steady_clock::now();
  const PeerId peer = host.connect(child.address());
  ASSERT_TRUE(host.is_lost(peer));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(3));
  EXPECT_EQ(host.loss(peer).reason.code(), Code::PEER_LOST);
  child.signal(SIGCONT);
}

TEST_P(TwoProcesses, ConnectingToAProcessThatEndedFails) {
  ChildPeer child(GetParam());
  child.kill(SIGKILL);
  LaneOptions options = quick_options(GetParam());
  options.connect_timeout_ms = 3000;
  LaneHost host(options);
  host.start();
  const PeerId peer = host.connect(child.address());
  ASSERT_TRUE(host.is_lost(peer));
  EXPECT_EQ(host.loss(peer).reason.code(), Code::PEER_LOST) << host.loss(peer).reason.text();
}

TEST_P(TwoProcesses, TheSendQueueIsBounded) {
  ChildPeer child(GetParam());
  LaneOptions options = quick_options(GetParam());
  options.send_queue_max = 50;
  LaneHost host(options);
  host.start();
  const PeerId peer = host.connect(child.address());
  ASSERT_TRUE(host.is_up(peer));
  child.signal(SIGSTOP);
  Status sent;
  int count = 0;
  const std::string message = "no command " + std::string(60'000, 'x');
  while (sent.ok() && count < 100'000) {
    sent = host.send(peer, message);
    count++;
  }
  EXPECT_EQ(sent.code(), Code::BUSY) << sent.text() << " after " << count;
  child.signal(SIGCONT);
  // All that was accepted is delivered, and then there is room again.
  Status again;
  for (int i = 0; i < 15'000 && (i == 0 || again.code() == Code::BUSY); i++) {
    again = host.send(peer, message);
    std::this_thread::yield();
  }
  EXPECT_EQ(ask(host, peer, "echo after").substr(0, 10), "echo after");
}

TEST_P(TwoProcesses, AnIdleLaneWithAnIdlePeerCostsAlmostNothing) {
  ChildPeer child(GetParam());
  LaneHost host(quick_options(GetParam()));
  host.start();
  const PeerId peer = host.connect(child.address());
  ASSERT_TRUE(host.is_up(peer));
  ASSERT_EQ(ask(host, peer, "echo"), "echo");
  const auto thread_cpu_ns = [&] {
    uint64_t ns = 0;
    host.run([&] {
      timespec time{};
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
      ns = static_cast<uint64_t>(time.tv_sec) * kNsPerSecond + static_cast<uint64_t>(time.tv_nsec);
    });
    return ns;
  };
  const uint64_t before = thread_cpu_ns();
  const LaneCounters counters_before = host.lane().counters();
  constexpr uint64_t kIdleMs = 4000;
  ASSERT_FALSE(host.is_lost(peer, kIdleMs));  // waits, and the peer stays
  const uint64_t used_ns = thread_cpu_ns() - before;
  RecordProperty("idle_cpu_us_per_s", static_cast<int>(used_ns / kNsPerUs * 1000 / kIdleMs));
  std::printf("idle: %.3f %% of a core, %llu wake-ups in %llu ms\n",
              static_cast<double>(used_ns) / static_cast<double>(kIdleMs * kNsPerMs) * 100,
              static_cast<unsigned long long>(host.lane().counters().wakeups - counters_before.wakeups),
              static_cast<unsigned long long>(kIdleMs));
  EXPECT_LT(used_ns, kIdleMs * kNsPerMs / 100);
}

// libfabric's own shm: polled, and it cannot take access back, so it is chosen by name only.
TEST(LibfabricShm, MovesMessagesAndMemoryBetweenProcessesAndLeavesNothing) {
  const std::set<std::string> files_before = shared_memory_files();
  ChildPeer child("libfabric-shm");
  {
    LaneHost host(options_for("libfabric-shm"));
    host.start();
    const PeerId peer = host.connect(child.address());
    ASSERT_TRUE(host.is_up(peer)) << host.loss(peer).reason.text();
    EXPECT_EQ(ask(host, peer, "echo me"), "echo me");
    constexpr uint64_t kLength = uint64_t{16} << 20;
    const RemoteMemory remote = ask_memory(host, peer, kLength);
    ASSERT_EQ(remote.length, kLength);
    std::vector<std::byte> here(kLength), expected(kLength);
    fill_pattern(expected, 7);
    auto local = host.lane().register_memory(here.data(), kLength, kLocalOnly);
    ASSERT_TRUE(local.ok());
    ASSERT_EQ(host.move(false, peer, local.value().get(), here.data(), kLength, remote, 0).text(), "WEFT_OK");
    EXPECT_TRUE(here == expected);
  }
  EXPECT_EQ(child.end(), 0);
  EXPECT_EQ(new_files(files_before), std::set<std::string>());
}

TEST(LibfabricShm, WhatAKilledProcessLeftIsRemovedAtTheNextOpen) {
  const std::set<std::string> files_before = shared_memory_files();
  {
    ChildPeer child("libfabric-shm");
    EXPECT_EQ(new_files(files_before).size(), 1u) << "it makes a file";
    child.kill(SIGKILL);
    EXPECT_EQ(new_files(files_before).size(), 1u) << "and leaves it";
  }
  { LaneHost host(options_for("libfabric-shm")); }
  EXPECT_EQ(new_files(files_before), std::set<std::string>());
}

TEST(AutomaticChoice, SharedMemoryOnTheSameHostAndTheNetworkWhereItIsNotAllowed) {
  ChildPeer child("");
  ChildPeer without("tcp");
  LaneHost host(options_for(""));
  host.start();
  const PeerId peer = host.connect(child.address());
  const PeerId other = host.connect(without.address());
  ASSERT_TRUE(host.is_up(peer) && host.is_up(other));
  std::string names[2];
  host.run([&] {
    names[0] = host.lane().transport_of(peer);
    names[1] = host.lane().transport_of(other);
  });
  EXPECT_EQ(names[0], "shm");
  EXPECT_EQ(names[1], "tcp");
}

LaneAddress decoded(const std::string& address) {
  return decode_address(std::as_bytes(std::span(address.data(), address.size()))).take();
}

// A process that started again at the address of another has another token.
TEST(Handshake, AnAddressOfALaneThatWasReplacedIsRefused) {
  ChildPeer child("tcp");
  LaneAddress address = decoded(child.address());
  address.token.words[0]++;
  LaneHost host(options_for("tcp"));
  host.start();
  const PeerId peer = host.connect(encode_address(address).take());
  ASSERT_TRUE(host.is_lost(peer));
  EXPECT_NE(host.loss(peer).reason.message().find("another lane is at this address"), std::string::npos)
      << host.loss(peer).reason.text();
}

TEST(Handshake, AnotherProtocolVersionIsNamedOnBothSides) {
  LaneHost host(options_for("tcp"));
  host.start();
  LaneAddress address = decoded(host.lane().address());
  address.lane_version = kLaneVersion + 1;
  const PeerId peer = host.connect(encode_address(address).take());
  ASSERT_TRUE(host.is_lost(peer));
  EXPECT_EQ(host.loss(peer).reason.code(), Code::PROTOCOL_VERSION);
  EXPECT_NE(host.loss(peer).reason.message().find("version 2"), std::string::npos);
  EXPECT_NE(host.loss(peer).reason.message().find("version 1"), std::string::npos);
}

TEST(Handshake, ALaneThatDoesNotServeRefusesAndSaysSo) {
  LaneHost quiet(options_for("tcp"), false);
  quiet.start();
  LaneHost host(options_for("tcp"));
  host.start();
  const PeerId peer = host.connect(quiet.lane().address());
  ASSERT_TRUE(host.is_lost(peer));
  EXPECT_EQ(host.loss(peer).reason.code(), Code::UNSUPPORTED) << host.loss(peer).reason.text();
}

TEST(Handshake, DamagedAddressesAreRefused) {
  LaneHost host(options_for("tcp"));
  host.start();
  const std::string good = host.lane().address();
  for (size_t length = 0; length < good.size(); length += 3) {
    const PeerId peer = host.connect(good.substr(0, length));
    ASSERT_TRUE(host.is_lost(peer));
    ASSERT_EQ(host.loss(peer).reason.code(), Code::INVALID_ARGUMENT) << length;
  }
  for (size_t at = 0; at < good.size(); at++) {
    std::string damaged = good;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    ASSERT_FALSE(decode_address(std::as_bytes(std::span(damaged.data(), damaged.size()))).ok()) << at;
  }
}

TEST(Garbage, AtThePortHurtsNobody) {
  ChildPeer child("tcp");
  LaneHost host(options_for("tcp"));
  host.start();
  const PeerId peer = host.connect(child.address());
  ASSERT_TRUE(host.is_up(peer));
  sockaddr_in target{};
  const LaneAddress address = decoded(child.address());
  ASSERT_EQ(address.find("tcp")->bytes.size(), sizeof target);
  std::memcpy(&target, address.find("tcp")->bytes.data(), sizeof target);
  for (const size_t length : {size_t{1}, size_t{7}, size_t{64}, size_t{4096}, size_t{1} << 20}) {
    const int garbage = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(connect(garbage, reinterpret_cast<sockaddr*>(&target), sizeof target), 0);
    const std::string bytes = pattern_text(length, length);
    for (size_t sent = 0; sent < bytes.size();) {
      const ssize_t wrote = ::send(garbage, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (wrote <= 0) break;  // it hung up or takes no more: as it should
      sent += static_cast<size_t>(wrote);
    }
    EXPECT_EQ(ask(host, peer, "echo old"), "echo old") << "after " << length << " bytes";
    ::close(garbage);
  }
  LaneHost fresh(options_for("tcp"));
  fresh.start();
  const PeerId second = fresh.connect(child.address());
  ASSERT_TRUE(fresh.is_up(second)) << fresh.loss(second).reason.text();
  EXPECT_EQ(ask(fresh, second, "echo new"), "echo new");
  EXPECT_EQ(child.end(), 0);
}

volatile sig_atomic_t handled = 0;
void handler(int number) { handled = number; }

TEST(Signals, HandlersOfTheProcessStayAsTheyWere) {
  struct sigaction ours {};
  ours.sa_handler = handler;
  const int numbers[] = {SIGTERM, SIGINT, SIGSEGV, SIGBUS, SIGABRT};
  for (const int number : numbers) ASSERT_EQ(sigaction(number, &ours, nullptr), 0);
  for (const char* transport : {"tcp", "shm", "libfabric-shm"}) {
    ChildPeer child(transport);
    LaneHost host(options_for(transport));
    host.start();
    const PeerId peer = host.connect(child.address());
    ASSERT_TRUE(host.is_up(peer)) << transport;
    for (const int number : numbers) {
      struct sigaction now {};
      ASSERT_EQ(sigaction(number, nullptr, &now), 0);
      EXPECT_EQ(now.sa_handler, handler) << transport << " took signal " << number;
    }
    EXPECT_EQ(child.end(), 0);
  }
  handled = 0;
  raise(SIGTERM);
  EXPECT_EQ(handled, SIGTERM);
  for (const int number : numbers) signal(number, SIG_DFL);
}

}  // namespace
}  // namespace weft::fabric::test
