// The inside of an MPI module: what its source files share. Compiled once per MPI library; knows nothing of Weftline
// but the table. State of the process (was MPI initialized here, is it over) is in module_process.cc; a communicator or
// request belongs to the caller that holds its handle. Error words are per thread.
#pragma once

#include <mpi.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "mpi/mpi_table.h"

struct weft_mpi_comm {
  uint32_t magic = 0;
  MPI_Comm comm = MPI_COMM_NULL;
  int rank = 0;
  int size = 0;
  int32_t splits_started = 0;         // gives each isplit a tag of its own, alike on all ranks
  std::atomic<int> open_requests{0};  // comm_free is refused while one is open
};

// One started operation. step() moves it on; when it says done, test() deletes it.
struct weft_mpi_request {
  weft_mpi_comm* comm = nullptr;  // not set for a finalization, which consumes its communicator
  virtual ~weft_mpi_request() = default;
  virtual int step(bool& done) = 0;
};

namespace weft_mpi {

constexpr uint32_t kCommMagic = 0x57434f4d;  // "WCOM"
constexpr int32_t kUserTags = 16384;         // comm_create_group's tags; isplit uses the same number above them

// Words for the calling thread; return `code`.
int fail(weft_mpi_code code, const std::string& text);
const char* error_text();

// WEFT_MPI_OK for MPI_SUCCESS; otherwise the words of MPI_Error_string after "`function` failed".
int check(int mpi_result, const char* function);
int check(int mpi_result, const char* function, const weft_mpi_comm* comm);

// WEFT_MPI_OK between MPI_Init and our finalization.
int require_running(const char* function);
// The same, and the handle is one of ours.
int require_comm(const weft_mpi_comm* comm, const char* function);
bool thread_multiple();
bool initialized_here();
// From here on every call is refused: a finalization has started.
void mark_finalizing();

// Makes a handle of a communicator that is ours already: errors returned, rank and size read.
int wrap(MPI_Comm comm, weft_mpi_comm** out);
// Frees without the collective's checks; the handle is gone after it, whatever MPI says.
int release(weft_mpi_comm* comm);
// The communicator of the listed ranks; collective over those.
int create_group(const weft_mpi_comm* parent, const int* ranks, int count, int tag, MPI_Comm* out);

// Starts counting a request to its communicator and hands it out.
int hand_out(weft_mpi_request* request, weft_mpi_comm* comm, weft_mpi_request** out);

// The table's functions, by file.
// module_process.cc
int initialized();
int finalized();
int init();
int facts(weft_mpi_facts* out);
void abort_world(weft_mpi_comm* comm, int32_t exit_code);
// module_comm.cc
int comm_world(weft_mpi_comm** out);
int comm_from_fortran(int32_t handle, weft_mpi_comm** out);
int comm_to_fortran(weft_mpi_comm* comm, int32_t* handle);
int comm_dup(weft_mpi_comm* comm, weft_mpi_comm** out);
int comm_split(weft_mpi_comm* comm, int32_t color, int32_t key, weft_mpi_comm** out);
int comm_split_shared(weft_mpi_comm* comm, weft_mpi_comm** out);
int comm_create_group(weft_mpi_comm* comm, const int32_t* ranks, int32_t count, int32_t tag, weft_mpi_comm** out);
int comm_rank(weft_mpi_comm* comm, int32_t* rank);
int comm_size(weft_mpi_comm* comm, int32_t* size);
int comm_free(weft_mpi_comm* comm);
// module_bytes.cc
int barrier(weft_mpi_comm* comm);
int bcast(weft_mpi_comm* comm, void* bytes, uint64_t count, int32_t root);
int allgather(weft_mpi_comm* comm, const void* sent, uint64_t count, void* received);
int allgatherv(weft_mpi_comm* comm, const void* sent, uint64_t sent_count, void* received, const uint64_t* counts,
               const uint64_t* offsets);
int ibarrier(weft_mpi_comm* comm, weft_mpi_request** out);
int ibcast(weft_mpi_comm* comm, void* bytes, uint64_t count, int32_t root, weft_mpi_request** out);
int iallgather(weft_mpi_comm* comm, const void* sent, uint64_t count, void* received, weft_mpi_request** out);
int iallgatherv(weft_mpi_comm* comm, const void* sent, uint64_t sent_count, void* received, const uint64_t* counts,
                const uint64_t* offsets, weft_mpi_request** out);
int test(weft_mpi_request* request, int32_t* done);
// module_split.cc
int isplit(weft_mpi_comm* comm, int32_t color, int32_t key, weft_mpi_comm** result, weft_mpi_request** out);
// module_finalize.cc
int ifinalize(weft_mpi_comm* comm, uint64_t timeout_ms, int32_t* outcome, weft_mpi_request** out);
int finalize(weft_mpi_comm* comm, uint64_t timeout_ms, int32_t* outcome);

}  // namespace weft_mpi
