// Ranks of one MPI world for a server that is killed under load and started again outside MPI:
//   mpi_fault FOLDER SERVER_PROGRAM
// Rank 0 hosts slot 0, the others are clients: the last one reads, the rest produce. Once every producer has something
// acknowledged, rank 1 kills rank 0 (SIGKILL) and starts SERVER_PROGRAM on the slot, which is no part of the MPI world.
// The clients go on; nothing that was acknowledged, before or after, is missing at the end. Each survivor says
// "rank R: ok" and ends without MPI_Finalize, which cannot end any more.
#include <sys/stat.h>

#include "fault_support.h"

namespace {

using weft_test::ChildProcess;
using weft_test::read_file;
using weft_test::Reader;
using weft_test::until;

constexpr int64_t kTimeoutMs = 60'000;

// The ranks meet through files: after the kill MPI is of no use to them.
struct Meeting {
  std::string folder;
  std::string path(const std::string& name, int rank) const { return folder + "/" + name + "-" + std::to_string(rank); }
  void say(const std::string& name, int rank, uint64_t number) const {
    const std::string place = path(name, rank);
    std::ofstream(place + ".new") << number << "\n";
    EXPECT_EQ(std::rename((place + ".new").c_str(), place.c_str()), 0);
  }
  bool said(const std::string& name, int rank) const { return !read_file(path(name, rank)).empty(); }
  uint64_t number(const std::string& name, int rank) const {
    return std::strtoull(read_file(path(name, rank)).c_str(), nullptr, 10);
  }
};

[[noreturn]] void leave(int rank) {
  const bool failed = testing::Test::HasFailure();
  if (!failed) std::printf("rank %d: ok\n", rank);
  std::fflush(stdout);
  // No MPI_Finalize: it would wait for the rank that was killed.
  _exit(failed ? 1 : 0);
}

int serve(const std::string& folder, const Meeting& meeting) {
  weft_test::Server server(folder + "/data", {{"t", 2}});
  if (testing::Test::HasFailure()) _exit(1);
  meeting.say("server", 0, static_cast<uint64_t>(getpid()));
  while (true) pause();
}

void kill_and_start_again(const Meeting& meeting, ChildProcess& second, int producers) {
  ASSERT_TRUE(until([&] {
    for (int rank = 1; rank <= producers; ++rank) {
      if (!meeting.said("acknowledged", rank)) return false;
    }
    return meeting.said("server", 0);
  }));
  const auto server = static_cast<pid_t>(meeting.number("server", 0));
  ASSERT_EQ(kill(server, SIGKILL), 0);
  // Outside the MPI world: none of the launcher's variables may reach it.
  second.start();
  meeting.say("killed", 0, 1);
}

void produce(weft_job* job, const Meeting& meeting, int rank) {
  const std::string name = "producer-" + std::to_string(rank);
  weft_producer_options options = WEFT_PRODUCER_OPTIONS_DEFAULT;
  options.name = name.c_str();
  weft_producer* producer = nullptr;
  ASSERT_WEFT_OK(weft_producer_open(job, "t", &options, &producer));
  std::vector<std::vector<uint32_t>> datas(50);
  uint32_t number = 0;
  int groups_after = 0;
  while (groups_after < 20) {
    if (meeting.said("killed", 0)) ++groups_after;
    for (std::vector<uint32_t>& data : datas) {
      ASSERT_WEFT_OK(weft_test::push_numbered(producer, rank, number, data, number % 7 == 0 ? 150'000 : 40));
      ++number;
    }
    ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
    meeting.say("acknowledged", rank, number);
  }
  meeting.say("produced", rank, number);
}

void consume(weft_job* job, const Meeting& meeting, int producers) {
  weft_consumer_options options = WEFT_CONSUMER_OPTIONS_DEFAULT;
  options.name = "reader";
  weft_consumer* consumer = nullptr;
  ASSERT_WEFT_OK(weft_consumer_open(job, "t", &options, &consumer));
  Reader reader(consumer);
  const auto deadline = weft_test::Clock::now() + std::chrono::seconds(90);
  uint64_t total = 0;
  while (total == 0 || reader.count() < total) {
    const int code = reader.read(100);
    ASSERT_TRUE(code == WEFT_OK || code == WEFT_TIMED_OUT) << weft_error_text(nullptr);
    ASSERT_LT(weft_test::Clock::now(), deadline) << reader.count() << " events came";
    uint64_t sum = 0;
    int finished = 0;
    for (int rank = 1; total == 0 && rank <= producers; ++rank) {
      if (!meeting.said("produced", rank)) break;
      sum += meeting.number("produced", rank);
      ++finished;
    }
    if (finished == producers) total = sum;
  }
  EXPECT_EQ(reader.count(), total);
  for (int rank = 1; rank <= producers; ++rank) {
    for (uint32_t i = 0; i < meeting.number("produced", rank); ++i)
      EXPECT_TRUE(reader.has(rank, i)) << rank << "/" << i;
  }
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 3) return 2;
  const std::string folder = argv[1];
  const Meeting meeting{folder};
  // The launcher's rank, since the role must be known before the join.
  const char* openmpi = std::getenv("OMPI_COMM_WORLD_RANK");
  const char* mpich = std::getenv("PMI_RANK");
  const char* launched = openmpi != nullptr ? openmpi : mpich;
  if (launched == nullptr) return 2;
  if (std::atoi(launched) == 0) return serve(folder, meeting);
  weft_job* job = nullptr;
  EXPECT_WEFT_OK(weft_join(WEFT_COMM_WORLD, nullptr, &job));
  if (job == nullptr) leave(std::atoi(launched));
  weft_job_facts facts;
  EXPECT_WEFT_OK(weft_job_describe(job, &facts));
  const int producers = facts.world_size - 2;
  ChildProcess second({"env",
                       "-u",
                       "OMPI_COMM_WORLD_RANK",
                       "-u",
                       "OMPI_COMM_WORLD_SIZE",
                       "-u",
                       "PMIX_RANK",
                       "-u",
                       "PMI_RANK",
                       "-u",
                       "PMI_SIZE",
                       "-u",
                       "PMI_FD",
                       "WEFTLINE_MPI=none",
                       argv[2],
                       folder + "/data",
                       "t",
                       "2",
                       "0",
                       "1"},
                      folder + "/second.log");
  std::thread killing;
  if (facts.rank == 1) killing = std::thread([&] { kill_and_start_again(meeting, second, producers); });
  if (facts.rank <= producers) {
    produce(job, meeting, facts.rank);
  } else {
    consume(job, meeting, producers);
    meeting.say("consumed", 0, 1);
  }
  if (killing.joinable()) {
    killing.join();
    EXPECT_TRUE(until([&] { return meeting.said("consumed", 0); }, weft_test::milliseconds(60'000)));
    EXPECT_EQ(second.end(), 0) << second.output();
  }
  leave(facts.rank);
}
