// The limit of MPI: messages from rank 0 to rank 1, and CRC32C of what came, nothing else. Two ranks.
//   limit_mpi ITEM_BYTES COUNT SOURCES RING IN_FLIGHT
// Rank 0 sends COUNT items out of SOURCES distinct ones, rank 1 receives them into a ring of RING items and takes the
// checksum of each; IN_FLIGHT at a time. Rank 1 prints one line of JSON: {"bytes":…,"seconds":…,"cpuSeconds":…}, the
// last of both ranks, which wait without sleeping.
#include <mpi.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/checksum.h"
#include "base/random.h"
#include "process_cpu.h"

namespace {

struct Plan {
  uint64_t item_bytes, count, sources, ring, in_flight;
};

[[noreturn]] void stop(const char* why) {
  std::fprintf(stderr, "limit_mpi: %s\n", why);
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::exit(1);
}

// The memory of this rank, all of it written: touched, and the sender's distinct.
std::vector<std::byte> make_memory(uint64_t bytes) {
  std::vector<std::byte> memory(bytes);
  weft::SeededRandom random(1);
  for (uint64_t at = 0; at + sizeof(uint64_t) <= bytes; at += sizeof(uint64_t)) {
    const uint64_t value = random.next();
    std::memcpy(memory.data() + at, &value, sizeof value);
  }
  return memory;
}

void move_items(const Plan& plan, bool sends) {
  const uint64_t slots = sends ? plan.sources : plan.ring;
  std::vector<std::byte> memory = make_memory(slots * plan.item_bytes);
  std::vector<MPI_Request> requests(plan.in_flight, MPI_REQUEST_NULL);
  const int length = static_cast<int>(plan.item_bytes);
  uint32_t checksum = 0;
  const auto place = [&](uint64_t item) { return memory.data() + item % slots * plan.item_bytes; };
  MPI_Barrier(MPI_COMM_WORLD);
  const double begun = MPI_Wtime();
  const double cpu_before = weft::bench::process_cpu_seconds();
  for (uint64_t item = 0; item < plan.count + plan.in_flight; item++) {
    MPI_Request& request = requests[item % plan.in_flight];
    if (item >= plan.in_flight) {
      MPI_Wait(&request, MPI_STATUS_IGNORE);
      if (!sends) checksum ^= weft::crc32c(place(item - plan.in_flight), plan.item_bytes);
    }
    if (item >= plan.count) continue;
    if (sends) {
      MPI_Isend(place(item), length, MPI_BYTE, 1, 0, MPI_COMM_WORLD, &request);
    } else {
      MPI_Irecv(place(item), length, MPI_BYTE, 0, 0, MPI_COMM_WORLD, &request);
    }
  }
  const double seconds = MPI_Wtime() - begun;
  const double cpu_here = weft::bench::process_cpu_seconds() - cpu_before;
  double cpu_both = 0;
  MPI_Reduce(&cpu_here, &cpu_both, 1, MPI_DOUBLE, MPI_SUM, 1, MPI_COMM_WORLD);
  if (!sends) {
    std::printf("{\"bytes\":%llu,\"seconds\":%.6f,\"cpuSeconds\":%.6f,\"checksum\":%u}\n",
                static_cast<unsigned long long>(plan.count * plan.item_bytes), seconds, cpu_both, checksum);
  }
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  int size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (argc != 6 || size != 2) stop("use two ranks, and: ITEM_BYTES COUNT SOURCES RING IN_FLIGHT");
  const auto number = [&](int index) { return std::strtoull(argv[index], nullptr, 10); };
  const Plan plan{number(1), number(2), number(3), number(4), number(5)};
  if (plan.item_bytes == 0 || plan.item_bytes > INT32_MAX || plan.in_flight == 0 || plan.sources == 0 ||
      plan.ring < plan.in_flight || plan.count < plan.in_flight) {
    stop("an item is 1 byte to 2 GiB, and the ring and the count at least what is in flight");
  }
  move_items(plan, rank == 0);
  MPI_Finalize();
  return 0;
}
