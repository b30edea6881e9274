// What a process leaves behind, and what it costs while it does nothing.
#include <unistd.h>

#include <algorithm>

#include "fault_support.h"

namespace {

using weft_test::ChildProcess;
using weft_test::Client;
using weft_test::client_command;
using weft_test::milliseconds;
using weft_test::Reader;
using weft_test::ServerChild;
using weft_test::TemporaryFolder;
using weft_test::until;

// Files of this user in /dev/shm that carry the process id.
std::vector<std::string> shared_files_of(pid_t pid) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    const std::string name = entry.path().filename().string();
    const std::string number = std::to_string(pid);
    const size_t at = name.find(number);
    const bool whole = at != std::string::npos && (at == 0 || std::isdigit(name[at - 1]) == 0) &&
                       (at + number.size() == name.size() || std::isdigit(name[at + number.size()]) == 0);
    if (whole) found.push_back(name);
  }
  return found;
}

std::vector<std::string> names_below(const std::string& folder) {
  std::vector<std::string> names;
  if (!std::filesystem::exists(folder)) return names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    names.push_back(entry.path().lexically_relative(folder).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> temporary_names(const std::string& folder) {
  std::vector<std::string> found;
  for (const std::string& name : names_below(folder)) {
    if (name.find(".new") != std::string::npos || name.find(".tmp") != std::string::npos ||
        name.find("temporary") != std::string::npos) {
      found.push_back(name);
    }
  }
  return found;
}

enum class End { kInput, kTerminate, kKill };

class LeftBehind : public ::testing::TestWithParam<std::tuple<const char*, End>> {};

TEST_P(LeftBehind, NothingStaysInSharedMemoryNorInTheGroupDirectory) {
  const auto [transport, how] = GetParam();
  TemporaryFolder folder;
  const std::string data = folder.path() + "/data";
  ServerChild server(data, 2, 0, 1);
  ChildProcess client(client_command("idle", server.group(), transport), folder.path() + "/client.log");
  const std::string environment = std::string("WEFTLINE_TRANSPORTS=inprocess,") + transport;
  server.start({environment});
  client.start();
  ASSERT_TRUE(client.says("idle")) << client.output() << server.output();
  const pid_t server_pid = server.pid();
  const pid_t client_pid = client.pid();
  if (how == End::kKill) {
    client.kill_now();
    server.kill_now();
  } else {
    EXPECT_EQ(client.end(), 0) << client.output();
    if (how == End::kTerminate) server.signal(SIGTERM);
    EXPECT_EQ(how == End::kTerminate ? server.wait_end() : server.end(), 0) << server.output();
    EXPECT_FALSE(std::filesystem::exists(server.group())) << testing::PrintToString(names_below(server.group()));
  }
  if (how == End::kKill) {
    // The next start cleans up after the last one, and what it writes of the group is its own.
    server.start({environment});
    ASSERT_TRUE(until([&] {
      return weft_test::read_file(server.group() + "/slot-0").find("pid " + std::to_string(server.pid()) + "\n") !=
             std::string::npos;
    })) << server.output();
    EXPECT_EQ(names_below(server.group()), (std::vector<std::string>{"job", "slot-0"}));
    // Shared memory of libfabric's own is named after processes, and removed by the next who opens the same transport.
    Client next(server.group(), transport);
    next.close();
    EXPECT_EQ(server.end(), 0) << server.output();
  }
  EXPECT_EQ(shared_files_of(server_pid), std::vector<std::string>());
  EXPECT_EQ(shared_files_of(client_pid), std::vector<std::string>());
  EXPECT_EQ(temporary_names(data), std::vector<std::string>());
}

INSTANTIATE_TEST_SUITE_P(Ends, LeftBehind,
                         ::testing::Combine(::testing::Values("tcp", "shm", "libfabric-shm"),
                                            ::testing::Values(End::kInput, End::kTerminate, End::kKill)),
                         [](const auto& parameters) {
                           std::string transport = std::get<0>(parameters.param);
                           std::replace(transport.begin(), transport.end(), '-', '_');
                           const End how = std::get<1>(parameters.param);
                           return transport + (how == End::kInput       ? "_clean"
                                               : how == End::kTerminate ? "_terminated"
                                                                        : "_killed");
                         });

class Idle : public ::testing::TestWithParam<const char*> {};

// Less than one percent of a core each, over ten seconds, with everything open.
TEST_P(Idle, CostsNextToNothing) {
  constexpr auto kSpan = std::chrono::seconds(10);
  TemporaryFolder folder;
  ServerChild server(folder.path() + "/data", 2, 0, 1);
  server.start();
  std::vector<std::unique_ptr<ChildProcess>> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(std::make_unique<ChildProcess>(client_command("idle", server.group(), GetParam()),
                                                     folder.path() + "/client-" + std::to_string(i) + ".log"));
    clients.back()->start();
    ASSERT_TRUE(clients.back()->says("idle")) << clients.back()->output();
  }
  std::vector<ChildProcess*> all = {&server, clients[0].get(), clients[1].get()};
  std::vector<uint64_t> before;
  const auto began = weft_test::Clock::now();
  for (const ChildProcess* process : all) before.push_back(process->cpu_ticks());
  until([&] { return weft_test::Clock::now() - began >= kSpan; }, kSpan + milliseconds(1000));
  const auto limit = static_cast<double>(sysconf(_SC_CLK_TCK)) *
                     std::chrono::duration<double>(weft_test::Clock::now() - began).count() / 100;
  for (size_t i = 0; i < all.size(); ++i) {
    const uint64_t used = all[i]->cpu_ticks() - before[i];
    EXPECT_LT(static_cast<double>(used), limit) << (i == 0 ? "the server" : "a client") << " used " << used << " ticks";
    RecordProperty("ticks_" + std::to_string(i), static_cast<int>(used));
  }
  for (const auto& client : clients) EXPECT_EQ(client->end(), 0) << client->output();
  EXPECT_EQ(server.end(), 0) << server.output();
}

INSTANTIATE_TEST_SUITE_P(Transports, Idle, ::testing::Values("tcp", "shm"),
                         [](const auto& parameters) { return std::string(parameters.param); });

}  // namespace
