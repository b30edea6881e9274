// What strangers do at the port that libfabric's tcp listens on: connections that say nothing, part of a request or too
// much, and stay or hang up. Messages between lanes go on, no thread spins, no descriptor is left.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <thread>

#include "lane_host.h"

namespace weft::fabric::test {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

class Port : public testing::Test {
 protected:
  void SetUp() override {
    LaneOptions options = options_for("tcp");
    options.bind_address = "127.0.0.1";
    server_ = std::make_unique<LaneHost>(options);
    client_ = std::make_unique<LaneHost>(options);
    server_->start();
    client_->start();
    peer_ = client_->connect(server_->lane().address());
    ASSERT_TRUE(client_->is_up(peer_)) << client_->loss(peer_).reason.text();
    ASSERT_TRUE(server_->wait([&] { return server_->accepted_.size() == 1; }));
    for (const std::string& line : server_->lane().describe()) {
      const size_t at = line.find("127.0.0.1:");
      if (at != std::string::npos) port_ = static_cast<uint16_t>(std::stoi(line.substr(at + 10)));
    }
    ASSERT_NE(port_, 0);
  }

  // A connection of somebody who is no lane; -1: refused.
  int knock(const std::string& bytes) const {
    const int link = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(link, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0 ||
        (!bytes.empty() &&
         send(link, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size()))) {
      close(link);
      return -1;
    }
    return link;
  }
  // The first piece of a request of libfabric's tcp: version, type, length of what follows. What follows does not come.
  static std::string request(char type) {
    std::string bytes(32, '\0');
    bytes[0] = 3;
    bytes[1] = type;
    bytes[3] = 64;  // of two bytes, the high one first
    return bytes;
  }
  static size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<size_t>(std::distance(begin(all), end(all)));
  }
  // Messages to the server and back; false if one of them takes longer than the limit.
  bool talks(int count, milliseconds limit) {
    for (int i = 0; i < count; i++) {
      size_t before = 0;
      EXPECT_TRUE(server_->wait([&] {
        before = server_->messages_[server_->accepted_[0]].size();
        return true;
      }));
      if (!client_->send(peer_, "are you there").ok()) return false;
      if (!server_->wait([&] { return server_->messages_[server_->accepted_[0]].size() > before; },
                         static_cast<int>(limit.count()))) {
        return false;
      }
    }
    return true;
  }
  static bool until(const std::function<bool()>& condition, milliseconds limit = milliseconds(10'000)) {
    const auto deadline = SteadyClock::now() + limit;
    while (!condition()) {
      if (SteadyClock::now() > deadline) return false;
      std::this_thread::sleep_for(milliseconds(2));
    }
    return true;
  }
  uint64_t wakeups_in(milliseconds time) {
    const uint64_t before = server_->lane().counters().wakeups;
    std::this_thread::sleep_for(time);
    return server_->lane().counters().wakeups - before;
  }

  std::unique_ptr<LaneHost> server_, client_;
  PeerId peer_ = 0;
  uint16_t port_ = 0;
};

// Each was kept for ever, with the queue's descriptor readable: the thread took a whole core, and producers on a loaded
// machine stood still for a minute.
TEST_F(Port, ConnectionsThatHangUpLeaveNothing) {
  const size_t before = open_descriptors();
  for (size_t i = 0; i < 64; i++) {
    // As an earlier call of this thread may have left it.
    server_->run([] { errno = EAGAIN; });
    const int link = knock(std::string(i % 33, '\3'));
    ASSERT_GE(link, 0);
    close(link);
    ASSERT_TRUE(talks(2, milliseconds(10'000))) << "after " << i;
  }
  EXPECT_TRUE(until([&] { return open_descriptors() <= before; })) << open_descriptors() << " of " << before;
  EXPECT_TRUE(until([&] { return wakeups_in(milliseconds(100)) < 50; })) << wakeups_in(milliseconds(100));
}

// The first one held the lane's thread in a blocking recv() for as long as it liked.
TEST_F(Port, ConnectionsThatStayHoldUpNobody) {
  std::vector<int> links;
  for (int type = 0; type < 8; type++) {
    links.push_back(knock(request(static_cast<char>(type))));
    ASSERT_GE(links.back(), 0);
    ASSERT_TRUE(talks(2, milliseconds(10'000))) << "type " << type;
  }
  for (const size_t length : {size_t{0}, size_t{1}, size_t{31}, size_t{4000}}) {
    links.push_back(knock(std::string(length, '\3')));
    ASSERT_GE(links.back(), 0);
    ASSERT_TRUE(talks(2, milliseconds(10'000))) << length << " bytes";
  }
  // While some of them stay, the thread may be woken in vain, but not without end.
  EXPECT_TRUE(until([&] { return wakeups_in(milliseconds(100)) < 500; })) << wakeups_in(milliseconds(100));
  for (const int link : links) close(link);
  EXPECT_TRUE(until([&] { return wakeups_in(milliseconds(100)) < 50; })) << wakeups_in(milliseconds(100));
  EXPECT_TRUE(talks(10, milliseconds(10'000)));
}

}  // namespace
}  // namespace weft::fabric::test
