// A rank of a real MPI launch that goes through the loader, as every Weftline process does. Started by ctest under each
// mpiexec; the first argument names the case. A rank prints "rank R: ok" last; anything else it prints is a failure.
// Cases: collectives, limits, finalize, late DIR (the last rank never comes to finalize), absent (no MPI expected),
// wrong-launcher, mpmd, singleton.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "mpi/loader.h"

namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(30);

const weft_mpi_table* mpi = nullptr;
int rank_here = -1;

[[noreturn]] void give_up(int line, const std::string& words) {
  printf("rank %d: line %d: %s\n", rank_here, line, words.c_str());
  fflush(stdout);
  if (mpi != nullptr) mpi->abort(nullptr, 3);
  _exit(3);
}
#define EXPECT(condition) \
  if (!(condition)) give_up(__LINE__, #condition)
#define CALL(call) \
  if (const int code = (call); code != WEFT_MPI_OK) give_up(__LINE__, weft::join_text(#call, ": ", mpi->error_text()))

// Polls until the request ended, as a JavaScript timer would; returns how often it was not done yet.
int finish(weft_mpi_request* request) {
  const auto deadline = SteadyClock::now() + kPatience;
  int32_t done = 0;
  int polls = 0;
  while (true) {
    CALL(mpi->test(request, &done));
    if (done) return polls;
    ++polls;
    EXPECT(SteadyClock::now() < deadline);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

weft_mpi_facts join_world(weft_mpi_comm** world) {
  weft::Result<const weft::LoadedMpi*> loaded = weft::load_mpi();
  if (!loaded.ok()) give_up(__LINE__, loaded.status().text());
  mpi = loaded.value()->table;
  weft::Result<weft_mpi_facts> facts = weft::init_mpi(*loaded.value());
  if (!facts.ok()) give_up(__LINE__, facts.status().text());
  rank_here = facts.value().world_rank;
  CALL(mpi->comm_world(world));
  return facts.take();
}

void end_normally(weft_mpi_comm* world) {
  int32_t outcome = -1;
  CALL(mpi->finalize(world, 20'000, &outcome));
  EXPECT(outcome == WEFT_MPI_FINALIZED);
  EXPECT(mpi->barrier(world) == WEFT_MPI_NOT_INITIALIZED);
  EXPECT(mpi->init() == WEFT_MPI_NOT_INITIALIZED);
}

void blocking_collectives(weft_mpi_comm* world, int32_t rank, int32_t size) {
  CALL(mpi->barrier(world));
  std::vector<int32_t> all(size, -1);
  CALL(mpi->allgather(world, &rank, sizeof rank, all.data()));
  for (int32_t i = 0; i < size; ++i) EXPECT(all[i] == i);
  char word[8] = "";
  if (rank == size - 1) strcpy(word, "hello");
  CALL(mpi->bcast(world, word, sizeof word, size - 1));
  EXPECT(strcmp(word, "hello") == 0);
  // Rank i gives i bytes (rank 0 none).
  std::vector<uint64_t> counts(size);
  std::vector<uint64_t> offsets(size);
  uint64_t total = 0;
  for (int32_t i = 0; i < size; ++i) {
    counts[i] = i;
    offsets[i] = total;
    total += i;
  }
  const std::string mine(rank, static_cast<char>('a' + rank));
  std::string received(total, '.');
  CALL(mpi->allgatherv(world, mine.data(), mine.size(), received.data(), counts.data(), offsets.data()));
  std::string again(total, '.');
  weft_mpi_request* request = nullptr;
  CALL(mpi->iallgatherv(world, mine.data(), mine.size(), again.data(), counts.data(), offsets.data(), &request));
  counts.assign(size, 77);  // copied at the start: MPI must not see this
  finish(request);
  for (int32_t i = 0; i < size; ++i) {
    for (int32_t j = 0; j < i; ++j) EXPECT(received[offsets[i] + j] == 'a' + i);
  }
  EXPECT(received == again);
}

void started_collectives(weft_mpi_comm* world, int32_t rank, int32_t size) {
  // Nobody passes the barrier before rank 0 has started it, and rank 0 waits for a word from everybody first: so the
  // others poll while their barrier is open, and the words pass it by on another communicator.
  weft_mpi_comm* aside = nullptr;
  CALL(mpi->comm_dup(world, &aside));
  weft_mpi_request* barrier = nullptr;
  weft_mpi_request* words = nullptr;
  std::vector<int64_t> all(size);
  const int64_t mine = rank * 10;
  int32_t done = 0;
  if (rank != 0) {
    CALL(mpi->ibarrier(world, &barrier));
    CALL(mpi->test(barrier, &done));
    EXPECT(size == 1 || done == 0);
    EXPECT(mpi->comm_free(world) == WEFT_MPI_INVALID);  // a request is open
  }
  CALL(mpi->iallgather(aside, &mine, sizeof mine, all.data(), &words));
  finish(words);
  if (rank == 0) CALL(mpi->ibarrier(world, &barrier));
  finish(barrier);
  for (int32_t i = 0; i < size; ++i) EXPECT(all[i] == i * 10);
  char word[16] = "";
  if (rank == 0) strcpy(word, "broadcast");
  weft_mpi_request* broadcast = nullptr;
  CALL(mpi->ibcast(aside, word, sizeof word, 0, &broadcast));
  finish(broadcast);
  EXPECT(strcmp(word, "broadcast") == 0);
  CALL(mpi->comm_free(aside));
}

void check_ranks(weft_mpi_comm* comm, int32_t rank, int32_t size) {
  int32_t found = -1;
  CALL(mpi->comm_rank(comm, &found));
  EXPECT(found == rank);
  CALL(mpi->comm_size(comm, &found));
  EXPECT(found == size);
  CALL(mpi->barrier(comm));
}

void children(weft_mpi_comm* world, int32_t rank, int32_t size) {
  const int32_t odd = rank % 2;
  const int32_t alike = odd ? size / 2 : (size + 1) / 2;
  weft_mpi_comm* part = nullptr;
  CALL(mpi->comm_split(world, odd, -rank, &part));  // keys turn the order round
  check_ranks(part, alike - 1 - rank / 2, alike);
  CALL(mpi->comm_free(part));
  CALL(mpi->comm_split(world, rank == 0 ? 0 : -1, 0, &part));
  EXPECT((part != nullptr) == (rank == 0));
  if (part != nullptr) CALL(mpi->comm_free(part));
  weft_mpi_comm* parts[2] = {nullptr, nullptr};
  weft_mpi_request* requests[2] = {nullptr, nullptr};
  CALL(mpi->isplit(world, odd, -rank, &parts[0], &requests[0]));
  CALL(mpi->isplit(world, rank == 0 ? -1 : 5, 0, &parts[1], &requests[1]));  // two open at once
  finish(requests[1]);
  finish(requests[0]);
  check_ranks(parts[0], alike - 1 - rank / 2, alike);
  if (rank == 0) EXPECT(parts[1] == nullptr);
  if (rank != 0) check_ranks(parts[1], rank - 1, size - 1);
  for (weft_mpi_comm* made : parts) {
    if (made != nullptr) CALL(mpi->comm_free(made));
  }
  weft_mpi_comm* node = nullptr;
  CALL(mpi->comm_split_shared(world, &node));
  check_ranks(node, rank, size);  // all on this host
  CALL(mpi->comm_free(node));
  if (rank >= 1) {
    std::vector<int32_t> ranks;
    for (int32_t i = 1; i < size; ++i) ranks.push_back(i);
    weft_mpi_comm* group = nullptr;
    CALL(mpi->comm_create_group(world, ranks.data(), size - 1, 7, &group));
    check_ranks(group, rank - 1, size - 1);
    CALL(mpi->comm_free(group));
  }
}

// An error of MPI itself comes back as a code with its words, and ends nobody: the receiver expects too few bytes.
void mpi_error(weft_mpi_comm* world) {
  weft_mpi_comm* pair = nullptr;
  CALL(mpi->comm_split(world, rank_here < 2 ? 0 : -1, 0, &pair));
  if (pair == nullptr) return;
  char bytes[64] = "";
  const int code = mpi->bcast(pair, bytes, rank_here == 0 ? 64 : 4, 0);
  if (rank_here == 1) {
    EXPECT(code == WEFT_MPI_FAILED);
    const std::string words = mpi->error_text();
    if (words.find("MPI_Bcast on rank 1 of 2 failed: ") != 0 || words.find("runcated") == std::string::npos) {
      give_up(__LINE__, words);
    }
    EXPECT(weft::mpi_status(*mpi, code).code() == weft::Code::MPI);
  }
}

void limits(weft_mpi_comm* world) {
  char byte = 0;
  weft_mpi_request* request = nullptr;
  EXPECT(mpi->bcast(world, &byte, WEFT_MPI_BYTES_MAX + 1, 0) == WEFT_MPI_LIMIT);
  EXPECT(mpi->iallgather(world, &byte, WEFT_MPI_BYTES_MAX, &byte, &request) == WEFT_MPI_LIMIT);
  EXPECT(mpi->iallgather(world, &byte, UINT64_MAX / 2 + 1, &byte, &request) == WEFT_MPI_LIMIT);
  EXPECT(mpi->bcast(world, &byte, 1, 99) == WEFT_MPI_INVALID);
  EXPECT(mpi->bcast(world, nullptr, 1, 0) == WEFT_MPI_INVALID);
  EXPECT(mpi->barrier(nullptr) == WEFT_MPI_INVALID);
  weft_mpi_comm* made = nullptr;
  const int32_t all[] = {0, 1, 2};
  const int32_t twice[] = {rank_here, rank_here};
  const int32_t beyond[] = {rank_here, 99};
  EXPECT(mpi->comm_create_group(world, all, 3, 40'000, &made) == WEFT_MPI_INVALID);
  EXPECT(mpi->comm_create_group(world, twice, 2, 0, &made) == WEFT_MPI_INVALID);
  EXPECT(mpi->comm_create_group(world, beyond, 2, 0, &made) == WEFT_MPI_INVALID);
  const int32_t others[] = {(rank_here + 1) % 3};
  EXPECT(mpi->comm_create_group(world, others, 1, 0, &made) == WEFT_MPI_INVALID);
  for (const int32_t handle : {0x7fffffff, -1, 123456}) {
    EXPECT(mpi->comm_from_fortran(handle, &made) == WEFT_MPI_INVALID);
  }
}

int say_ok() {
  printf("rank %d: ok\n", rank_here);
  fflush(stdout);
  return 0;
}

// Says by a file that this rank got as far as `word`, and waits until the ranks below `count` said so.
void meet(const char* folder, const char* word, int32_t rank, int32_t count) {
  const auto deadline = SteadyClock::now() + kPatience;
  if (rank < count) {
    const std::string path = weft::join_text(folder, "/", word, "-", rank);
    const int file = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    EXPECT(file >= 0);
    close(file);
  }
  for (int32_t other = 0; other < count; ++other) {
    const std::string path = weft::join_text(folder, "/", word, "-", other);
    while (access(path.c_str(), F_OK) != 0) {
      EXPECT(SteadyClock::now() < deadline);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
}

// The last rank does not come to the finalization; the others give up at their deadline. Nobody may hang.
void late(weft_mpi_comm* world, int32_t rank, int32_t size, const char* folder) {
  if (rank < size - 1) {
    int32_t outcome = -1;
    const auto start = SteadyClock::now();
    CALL(mpi->finalize(world, 300, &outcome));
    const auto took = SteadyClock::now() - start;
    EXPECT(outcome == WEFT_MPI_FINALIZE_SKIPPED);
    EXPECT(took >= std::chrono::milliseconds(300) && took < kPatience);
  }
  meet(folder, "gave-up", rank, size - 1);
  say_ok();
  // Hydra ends everybody as soon as the first process ends without MPI_Finalize: all must have said ok by then.
  meet(folder, "said-ok", rank, size);
  _exit(0);
}

void polled_finalize(weft_mpi_comm* world) {
  int32_t outcome = -1;
  weft_mpi_request* request = nullptr;
  CALL(mpi->ifinalize(world, 20'000, &outcome, &request));
  finish(request);
  EXPECT(outcome == WEFT_MPI_FINALIZED);
  EXPECT(mpi->finalized() == 1);
}

// Beside own_init ranks in one world: see there.
void mpmd(weft_mpi_comm* world, const weft_mpi_facts& facts, int32_t size) {
  EXPECT(facts.appnum == 0);
  EXPECT(facts.initialized_here == 1);
  std::vector<int32_t> programs(size);
  CALL(mpi->allgather(world, &facts.appnum, sizeof facts.appnum, programs.data()));
  EXPECT(programs.front() == 0 && programs.back() == 1);
}

int wrong_launcher() {
  rank_here = 0;  // each process is alone, and there its own rank 0
  weft::Result<const weft::LoadedMpi*> loaded = weft::load_mpi();
  EXPECT(loaded.ok());
  weft::Result<weft_mpi_facts> facts = weft::init_mpi(*loaded.value());
  EXPECT(!facts.ok());
  if (facts.status().code() != weft::Code::MPI_WRONG_LAUNCHER) give_up(__LINE__, facts.status().text());
  EXPECT(facts.status().message().find("MPI sees a world of 1") != std::string::npos);
  return say_ok();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "wrong-launcher") return wrong_launcher();
  weft_mpi_comm* world = nullptr;
  const weft_mpi_facts facts = join_world(&world);
  const int32_t rank = facts.world_rank;
  const int32_t size = facts.world_size;
  if (mode == "absent") {
    EXPECT(std::string(mpi->family) == "none" && size == 1);
    int32_t outcome = -1;
    CALL(mpi->finalize(world, 0, &outcome));
    EXPECT(outcome == WEFT_MPI_FINALIZED);
    return say_ok();
  }
  EXPECT(facts.thread_level == WEFT_MPI_THREAD_MULTIPLE);
  // UCX's try of its hooks in MPI_Init cuts off what other threads allocate meanwhile.
  EXPECT(getenv("UCX_MEM_EVENTS") != nullptr && std::string(getenv("UCX_MEM_EVENTS")) == "no");
  if (mode == "singleton") {
    EXPECT(std::string(mpi->family) != "none" && size == 1);
    end_normally(world);
    return say_ok();
  }
  EXPECT(size >= 3);
  if (mode == "collectives") {
    blocking_collectives(world, rank, size);
    started_collectives(world, rank, size);
    children(world, rank, size);
    end_normally(world);
  } else if (mode == "limits") {
    limits(world);
    mpi_error(world);
    end_normally(world);
  } else if (mode == "finalize") {
    polled_finalize(world);
  } else if (mode == "late" && argc == 3) {
    late(world, rank, size, argv[2]);
  } else if (mode == "mpmd") {
    mpmd(world, facts, size);
    end_normally(world);
  } else {
    give_up(__LINE__, "unknown case: " + mode);
  }
  return say_ok();
}
