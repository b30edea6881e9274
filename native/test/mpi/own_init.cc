// A rank of a simulation that was linked with an MPI and called MPI_Init itself (FUNNELED, which is enough), and then
// joins through the loader with a communicator of its own. Weftline must find that MPI, leave its communicator, error
// handler and finalization alone, and bring no second MPI along. Linked with each MPI; cases: own, mpmd,
// wrong-launcher.
#include <mpi.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "mpi/loader.h"

namespace {

int rank_here = -1;

[[noreturn]] void give_up(int line, const std::string& words) {
  printf("own_init rank %d: line %d: %s\n", rank_here, line, words.c_str());
  fflush(stdout);
  MPI_Abort(MPI_COMM_WORLD, 3);
  abort();
}
#define EXPECT(condition) \
  if (!(condition)) give_up(__LINE__, #condition)
#define CALL(call) \
  if (const int code = (call); code != WEFT_MPI_OK) give_up(__LINE__, weft::join_text(#call, ": ", mpi->error_text()))

MPI_Errhandler handler_of(MPI_Comm comm) {
  MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
  MPI_Comm_get_errhandler(comm, &handler);
  return handler;
}

void own(const weft::LoadedMpi& loaded) {
  const weft_mpi_table* mpi = loaded.table;
  MPI_Comm mine = MPI_COMM_NULL;  // the simulation's part of the world: all but rank 0
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Comm_split(MPI_COMM_WORLD, rank_here == 0 ? MPI_UNDEFINED : 1, rank_here, &mine);
  const MPI_Comm joined = rank_here == 0 ? MPI_COMM_SELF : mine;
  weft_mpi_comm* comm = nullptr;
  CALL(mpi->comm_from_fortran(MPI_Comm_c2f(joined), &comm));
  EXPECT(handler_of(joined) == MPI_ERRORS_ARE_FATAL && handler_of(MPI_COMM_WORLD) == MPI_ERRORS_ARE_FATAL);
  weft_mpi_comm* none = nullptr;
  EXPECT(mpi->comm_from_fortran(0x7ffffff0, &none) == WEFT_MPI_INVALID);
  EXPECT(handler_of(MPI_COMM_WORLD) == MPI_ERRORS_ARE_FATAL);
  int32_t handle = 0;
  CALL(mpi->comm_to_fortran(comm, &handle));
  int relation = MPI_UNEQUAL;
  MPI_Comm_compare(MPI_Comm_f2c(handle), joined, &relation);
  EXPECT(relation == MPI_CONGRUENT);  // the same ranks, another context: not the user's own
  int32_t members = 0;
  CALL(mpi->comm_size(comm, &members));
  EXPECT(members == (rank_here == 0 ? 1 : size - 1));
  weft_mpi_comm* part = nullptr;  // FUNNELED: the split's last step runs inside test
  weft_mpi_request* split = nullptr;
  int32_t done = 0;
  CALL(mpi->isplit(comm, 0, 0, &part, &split));
  while (!done) CALL(mpi->test(split, &done));
  CALL(mpi->comm_free(part));
  int32_t outcome = -1;
  CALL(mpi->finalize(comm, 20'000, &outcome));
  EXPECT(outcome == WEFT_MPI_FINALIZE_NOT_OURS);
  // The program goes on with its MPI, and can join again.
  CALL(mpi->comm_from_fortran(MPI_Comm_c2f(joined), &comm));
  CALL(mpi->comm_free(comm));
  MPI_Barrier(MPI_COMM_WORLD);
  if (mine != MPI_COMM_NULL) MPI_Comm_free(&mine);
}

// One world with mpi_ranks (its case mpmd), whose MPI_Finalize waits for ours.
void mpmd(const weft::LoadedMpi& loaded, const weft_mpi_facts& facts) {
  const weft_mpi_table* mpi = loaded.table;
  EXPECT(facts.appnum == 1);
  weft_mpi_comm* world = nullptr;
  CALL(mpi->comm_world(&world));
  std::vector<int32_t> programs(facts.world_size);
  CALL(mpi->allgather(world, &facts.appnum, sizeof facts.appnum, programs.data()));
  EXPECT(programs.front() == 0 && programs.back() == 1);
  int32_t outcome = -1;
  CALL(mpi->finalize(world, 20'000, &outcome));
  EXPECT(outcome == WEFT_MPI_FINALIZE_NOT_OURS);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_here);
  weft::Result<const weft::LoadedMpi*> loaded = weft::load_mpi();
  if (!loaded.ok()) give_up(__LINE__, loaded.status().text());
  weft::Result<weft_mpi_facts> facts = weft::init_mpi(*loaded.value());
  if (mode == "wrong-launcher") {
    EXPECT(!facts.ok());
    if (facts.status().code() != weft::Code::MPI_WRONG_LAUNCHER) give_up(__LINE__, facts.status().text());
  } else {
    if (!facts.ok()) give_up(__LINE__, facts.status().text());
    EXPECT(facts.value().initialized_here == 0);
    EXPECT(facts.value().world_rank == rank_here);
    if (mode == "own") own(*loaded.value());
    if (mode == "mpmd") mpmd(*loaded.value(), facts.value());
  }
  MPI_Finalize();
  printf("rank %d: ok\n", rank_here);
  return 0;
}
