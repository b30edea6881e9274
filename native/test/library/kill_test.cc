// A server is killed (SIGKILL) under load again and again and started again on its slot, while producers push and a
// consumer reads: every acknowledged event is there, once, in its producer's order, with its data; the clients never
// notice more than a delay.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "server_process.h"

extern char** environ;

namespace {

using Clock = std::chrono::steady_clock;
using weft_test::TemporaryFolder;

class ServerProcess {
 public:
  ServerProcess(std::string data, int partitions, int storage, int durability)
      : arguments_{TEST_SERVER,
                   std::move(data),
                   "t",
                   std::to_string(partitions),
                   std::to_string(storage),
                   std::to_string(durability)} {}
  ~ServerProcess() {
    if (pid_ > 0) kill_now();
  }

  void start() {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
    std::vector<char*> pointers;
    for (std::string& argument : arguments_) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    ASSERT_EQ(posix_spawn(&pid_, arguments_[0].c_str(), &actions, nullptr, pointers.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[0]);
    input_ = ends[1];
  }

  void kill_now() {
    kill(pid_, SIGKILL);
    int status = 0;
    waitpid(pid_, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "the server ended by itself with status " << status;
    close(input_);
    pid_ = 0;
  }

  // A clean end: its input ends.
  void end() {
    close(input_);
    int status = 0;
    waitpid(pid_, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
    pid_ = 0;
  }

  std::string group() const { return arguments_[1] + "/group"; }

 private:
  std::vector<std::string> arguments_;
  pid_t pid_ = 0;
  int input_ = -1;
};

weft_job* attach(const std::string& group) {
  const auto deadline = Clock::now() + std::chrono::seconds(20);
  weft_job* job = nullptr;
  while (Clock::now() < deadline) {
    if (weft_attach(group.c_str(), nullptr, &job) == WEFT_OK) return job;
    std::this_thread::yield();
  }
  ADD_FAILURE() << "no server: " << weft_error_text(nullptr);
  return nullptr;
}

struct Shared {
  std::atomic<bool> producing{true};
  std::mutex mutex;
  std::map<std::pair<int, uint32_t>, weft_event_id> acknowledged;  // producer, its number -> id
  std::atomic<uint64_t> acknowledged_count{0};
};

// Data of an event: its number, over and over; the length varies over inline, pulled and many blocks.
uint64_t data_length(uint32_t number) { return (number % 7 == 0) ? 150'000 : (number % 3) * 40; }

void produce(weft_job* job, int producer_number, Shared& shared) {
  weft_producer_options options = WEFT_PRODUCER_OPTIONS_DEFAULT;
  const std::string name = "p" + std::to_string(producer_number);
  options.name = name.c_str();
  options.batch_events = 16;
  weft_producer* producer = nullptr;
  ASSERT_WEFT_OK(weft_producer_open(job, "t", &options, &producer));
  uint32_t number = 0;
  while (shared.producing) {
    struct Pushed {
      uint32_t number;
      uint64_t receipt;
    };
    std::vector<Pushed> pushed;
    std::vector<std::vector<uint32_t>> datas;
    for (int i = 0; i < 40; ++i, ++number) {
      const std::string metadata =
          "{\"p\":" + std::to_string(producer_number) + ",\"n\":" + std::to_string(number) + "}";
      datas.emplace_back(data_length(number) / 4, number);
      const weft_piece piece{datas.back().data(), datas.back().size() * 4, nullptr};
      uint64_t receipt = 0;
      ASSERT_WEFT_OK(weft_push_pieces(producer, -1, metadata.data(), metadata.size(), &piece, 1, &receipt));
      pushed.push_back({number, receipt});
    }
    ASSERT_WEFT_OK(weft_flush(producer, 60'000));
    for (const Pushed& one : pushed) {
      weft_event_id id;
      ASSERT_WEFT_OK(weft_receipt_wait(producer, one.receipt, 0, &id));
      const std::lock_guard lock(shared.mutex);
      shared.acknowledged[{producer_number, one.number}] = id;
      ++shared.acknowledged_count;
    }
  }
  EXPECT_WEFT_OK(weft_producer_close(producer, 60'000));
}

// Reads all partitions until `total` events came; checks order, data and ids as they come.
void consume(weft_job* job, std::atomic<bool>& producing, Shared& shared, uint64_t& events) {
  weft_consumer_options options = WEFT_CONSUMER_OPTIONS_DEFAULT;
  options.name = "reader";
  weft_consumer* consumer = nullptr;
  ASSERT_WEFT_OK(weft_consumer_open(job, "t", &options, &consumer));
  std::map<std::pair<int, uint32_t>, weft_event_id> seen;
  std::map<uint32_t, uint64_t> next_offset;
  std::vector<uint32_t> data(150'000 / 4);
  // Counted from the last event: how long all of it takes depends on the number of kills.
  constexpr auto kPatience = std::chrono::minutes(2);
  auto deadline = Clock::now() + kPatience;
  while (Clock::now() < deadline) {
    weft_event event;
    const int code = weft_pull(consumer, 100, &event);
    if (code == WEFT_TIMED_OUT) {
      const std::lock_guard lock(shared.mutex);
      if (!producing && seen.size() >= shared.acknowledged.size()) break;
      continue;
    }
    ASSERT_EQ(code, WEFT_OK) << weft_error_text(job);
    deadline = Clock::now() + kPatience;
    const std::string metadata(reinterpret_cast<const char*>(event.metadata), event.metadata_length);
    int producer = 0;
    uint32_t number = 0;
    ASSERT_EQ(std::sscanf(metadata.c_str(), "{\"p\":%d,\"n\":%u}", &producer, &number), 2) << metadata;
    ASSERT_EQ(event.offset, next_offset[event.partition]) << "offsets have a gap or a repetition";
    next_offset[event.partition] = event.offset + 1;
    const bool first =
        seen.emplace(std::pair(producer, number), weft_event_id{event.partition, event.partition_epoch, event.offset})
            .second;
    ASSERT_TRUE(first) << "event " << metadata << " is stored twice";
    ASSERT_EQ(event.data_length, data_length(number) / 4 * 4);
    if (event.data_length > 0) {
      const weft_run all{0, event.data_length, 0, nullptr};
      const weft_selection selection{event.offset, 0, &all, 1};
      ASSERT_WEFT_OK(weft_data_fetch(consumer, event.partition, &selection, 1, data.data(), data.size() * 4, nullptr));
      for (uint64_t i = 0; i < event.data_length / 4; ++i)
        ASSERT_EQ(data[i], number) << "data of " << metadata << " at word " << i;
    }
    ++events;
  }
  const std::lock_guard lock(shared.mutex);
  for (const auto& [key, id] : shared.acknowledged) {
    const auto found = seen.find(key);
    ASSERT_NE(found, seen.end()) << "acknowledged event " << key.first << "/" << key.second << " is lost";
    EXPECT_EQ(found->second.offset, id.offset);
    EXPECT_EQ(found->second.partition, id.partition);
  }
  EXPECT_WEFT_OK(weft_consumer_close(consumer));
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kKills = 5;
#else
constexpr int kKills = 50;
#endif

class Kill : public ::testing::TestWithParam<int> {};

TEST_P(Kill, NothingAcknowledgedIsLostOrDoubled) {
  const char* wanted = std::getenv("WEFT_KILLS");
  const int kills = wanted == nullptr ? kKills : std::atoi(wanted);
  const char* seed_text = std::getenv("WEFT_SEED");
  const unsigned seed = seed_text == nullptr ? std::random_device{}() : static_cast<unsigned>(std::atoi(seed_text));
  SCOPED_TRACE("replay with WEFT_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  TemporaryFolder folder;
  ServerProcess server(folder.path(), 2, 0, GetParam());
  server.start();
  weft_job* job = attach(server.group());
  ASSERT_NE(job, nullptr);
  Shared shared;
  std::atomic<bool> producing{true};
  uint64_t events = 0;
  std::thread consumer([&] { consume(job, producing, shared, events); });
  std::vector<std::thread> producers;
  for (int i = 0; i < 2; ++i) producers.emplace_back([&, i] { produce(job, i, shared); });
  for (int i = 0; i < kills && !HasFailure(); ++i) {
    // Each life gets something acknowledged, then a random bit more time.
    const uint64_t before = shared.acknowledged_count;
    const auto deadline = Clock::now() + std::chrono::seconds(60);
    while (shared.acknowledged_count == before && Clock::now() < deadline && !HasFailure()) std::this_thread::yield();
    ASSERT_GT(shared.acknowledged_count, before) << "nothing was acknowledged for 60 s after kill " << i;
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));  // the moment of the kill, not a wait
    server.kill_now();
    server.start();
  }
  shared.producing = false;
  for (std::thread& producer : producers) producer.join();
  producing = false;
  consumer.join();
  EXPECT_GE(events, shared.acknowledged_count);
  EXPECT_WEFT_OK(weft_close(job));
  server.end();
}

INSTANTIATE_TEST_SUITE_P(Durability, Kill, ::testing::Values(1, 2),
                         [](const auto& parameters) { return parameters.param == 1 ? "written" : "synced"; });

}  // namespace
