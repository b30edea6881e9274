// The table for a process that is alone: no launcher, no MPI loaded. Every collective is a copy and every request has
// ended when it is handed out. Handles are the same kind of checked pointers as a module's; any thread may call.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include <unistd.h>

#include "mpi/loader.h"

struct weft_mpi_comm {
  uint32_t magic;
};
struct weft_mpi_request {
  uint32_t magic;
};

namespace weft {

namespace {
constexpr uint32_t kCommMagic = 0x314d4f43;     // "COM1"
constexpr uint32_t kRequestMagic = 0x31514552;  // "REQ1"
thread_local std::string thread_error_text;
std::atomic<bool> is_initialized{false};
std::atomic<bool> is_finalized{false};

int fail(weft_mpi_code code, std::string text) {
  thread_error_text = std::move(text);
  return code;
}

int require_running() {
  if (is_initialized.load() && !is_finalized.load()) return WEFT_MPI_OK;
  return fail(WEFT_MPI_NOT_INITIALIZED, is_finalized.load() ? "the world of one was finalized"
                                                            : "the world of one is not initialized; call init");
}

int require_comm(const weft_mpi_comm* comm) {
  if (int code = require_running()) return code;
  if (comm != nullptr && comm->magic == kCommMagic) return WEFT_MPI_OK;
  return fail(WEFT_MPI_INVALID, "the communicator is not one of this table, or was freed");
}

int make_comm(weft_mpi_comm** out) {
  weft_mpi_comm* made = new (std::nothrow) weft_mpi_comm{kCommMagic};
  if (made == nullptr) return fail(WEFT_MPI_OUT_OF_MEMORY, "no memory for a communicator's handle");
  *out = made;
  return WEFT_MPI_OK;
}

int make_request(weft_mpi_request** out) {
  weft_mpi_request* made = new (std::nothrow) weft_mpi_request{kRequestMagic};
  if (made == nullptr) return fail(WEFT_MPI_OUT_OF_MEMORY, "no memory for a request");
  *out = made;
  return WEFT_MPI_OK;
}

const char* error_text() { return thread_error_text.c_str(); }
int initialized() { return is_initialized.load() ? 1 : 0; }
int finalized() { return is_finalized.load() ? 1 : 0; }

int init() {
  // Without an MPI nothing stands against starting again.
  is_initialized.store(true);
  is_finalized.store(false);
  return WEFT_MPI_OK;
}

int facts(weft_mpi_facts* out) {
  if (int code = require_running()) return code;
  if (out == nullptr || out->size_bytes != sizeof(weft_mpi_facts)) {
    return fail(WEFT_MPI_INVALID, "facts: size_bytes is not sizeof(weft_mpi_facts)");
  }
  *out = {};
  out->size_bytes = sizeof(weft_mpi_facts);
  out->initialized_here = 1;
  out->thread_level = WEFT_MPI_THREAD_MULTIPLE;
  out->world_size = 1;
  out->appnum = -1;
  strcpy(out->library, "none (a world of one)");
  if (gethostname(out->processor, sizeof out->processor - 1) != 0) strcpy(out->processor, "localhost");
  return WEFT_MPI_OK;
}

int comm_world(weft_mpi_comm** out) {
  if (int code = require_running()) return code;
  return make_comm(out);
}

int comm_from_fortran(int32_t handle, weft_mpi_comm**) {
  return fail(WEFT_MPI_UNSUPPORTED, join_text("communicator ", handle,
                                              " cannot be used: no MPI is loaded in this process; start it under the "
                                              "mpiexec of the MPI that it is linked with, or join the whole world"));
}

int comm_to_fortran(weft_mpi_comm*, int32_t*) {
  return fail(WEFT_MPI_UNSUPPORTED, "a world of one has no Fortran handles: no MPI is loaded in this process");
}

int comm_dup(weft_mpi_comm* comm, weft_mpi_comm** out) {
  if (int code = require_comm(comm)) return code;
  return make_comm(out);
}

int comm_split(weft_mpi_comm* comm, int32_t color, int32_t, weft_mpi_comm** out) {
  if (int code = require_comm(comm)) return code;
  if (color >= 0) return make_comm(out);
  *out = nullptr;
  return WEFT_MPI_OK;
}

int comm_create_group(weft_mpi_comm* comm, const int32_t* ranks, int32_t count, int32_t, weft_mpi_comm** out) {
  if (int code = require_comm(comm)) return code;
  if (count != 1 || ranks[0] != 0) return fail(WEFT_MPI_INVALID, "comm_create_group: a world of one has only rank 0");
  return make_comm(out);
}

int comm_rank(weft_mpi_comm* comm, int32_t* rank) {
  if (int code = require_comm(comm)) return code;
  *rank = 0;
  return WEFT_MPI_OK;
}

int comm_size(weft_mpi_comm* comm, int32_t* size) {
  if (int code = require_comm(comm)) return code;
  *size = 1;
  return WEFT_MPI_OK;
}

int comm_free(weft_mpi_comm* comm) {
  if (int code = require_comm(comm)) return code;
  comm->magic = 0;
  delete comm;
  return WEFT_MPI_OK;
}

int barrier(weft_mpi_comm* comm) { return require_comm(comm); }

int bcast(weft_mpi_comm* comm, void*, uint64_t, int32_t root) {
  if (int code = require_comm(comm)) return code;
  return root == 0 ? WEFT_MPI_OK : fail(WEFT_MPI_INVALID, "bcast: a world of one has only rank 0 as root");
}

int allgatherv(weft_mpi_comm* comm, const void* sent, uint64_t sent_count, void* received, const uint64_t* counts,
               const uint64_t* offsets) {
  if (int code = require_comm(comm)) return code;
  // The same limit as a real MPI: a program must not work alone and fail in company.
  if (sent_count > WEFT_MPI_BYTES_MAX || offsets[0] > WEFT_MPI_BYTES_MAX - sent_count) {
    return fail(WEFT_MPI_LIMIT, join_text("allgather: more than ", WEFT_MPI_BYTES_MAX, " bytes in one call"));
  }
  if (sent_count != counts[0]) return fail(WEFT_MPI_INVALID, "allgatherv: counts[0] is not the number of bytes sent");
  if (sent_count == 0) return WEFT_MPI_OK;
  if (sent == nullptr || received == nullptr) return fail(WEFT_MPI_INVALID, "allgather: a buffer is null");
  memmove(static_cast<char*>(received) + offsets[0], sent, sent_count);
  return WEFT_MPI_OK;
}

int allgather(weft_mpi_comm* comm, const void* sent, uint64_t count, void* received) {
  const uint64_t offset = 0;
  return allgatherv(comm, sent, count, received, &count, &offset);
}

int ibarrier(weft_mpi_comm* comm, weft_mpi_request** out) {
  if (int code = barrier(comm)) return code;
  return make_request(out);
}

int ibcast(weft_mpi_comm* comm, void* bytes, uint64_t count, int32_t root, weft_mpi_request** out) {
  if (int code = bcast(comm, bytes, count, root)) return code;
  return make_request(out);
}

int iallgather(weft_mpi_comm* comm, const void* sent, uint64_t count, void* received, weft_mpi_request** out) {
  if (int code = allgather(comm, sent, count, received)) return code;
  return make_request(out);
}

int iallgatherv(weft_mpi_comm* comm, const void* sent, uint64_t sent_count, void* received, const uint64_t* counts,
                const uint64_t* offsets, weft_mpi_request** out) {
  if (int code = allgatherv(comm, sent, sent_count, received, counts, offsets)) return code;
  return make_request(out);
}

int isplit(weft_mpi_comm* comm, int32_t color, int32_t key, weft_mpi_comm** result, weft_mpi_request** out) {
  if (int code = comm_split(comm, color, key, result)) return code;
  return make_request(out);
}

int test(weft_mpi_request* request, int32_t* done) {
  if (request == nullptr || request->magic != kRequestMagic) {
    return fail(WEFT_MPI_INVALID, "test: the request is not one of this table, or has ended");
  }
  request->magic = 0;
  delete request;
  *done = 1;
  return WEFT_MPI_OK;
}

int finalize(weft_mpi_comm* comm, uint64_t, int32_t* outcome) {
  if (int code = comm_free(comm)) return code;
  is_finalized.store(true);
  *outcome = WEFT_MPI_FINALIZED;
  return WEFT_MPI_OK;
}

int ifinalize(weft_mpi_comm* comm, uint64_t timeout_ms, int32_t* outcome, weft_mpi_request** out) {
  if (int code = finalize(comm, timeout_ms, outcome)) return code;
  return make_request(out);
}

void abort_world(weft_mpi_comm*, int32_t exit_code) { _Exit(exit_code); }
}  // namespace

const weft_mpi_table* world_of_one_table() {
  static const weft_mpi_table table = {
      .version = WEFT_MPI_TABLE_VERSION,
      .size_bytes = sizeof(weft_mpi_table),
      .family = "none",
      .error_text = error_text,
      .initialized = initialized,
      .finalized = finalized,
      .init = init,
      .facts = facts,
      .comm_world = comm_world,
      .comm_from_fortran = comm_from_fortran,
      .comm_to_fortran = comm_to_fortran,
      .comm_dup = comm_dup,
      .comm_split = comm_split,
      .comm_split_shared = comm_dup,
      .comm_create_group = comm_create_group,
      .comm_rank = comm_rank,
      .comm_size = comm_size,
      .comm_free = comm_free,
      .barrier = barrier,
      .bcast = bcast,
      .allgather = allgather,
      .allgatherv = allgatherv,
      .ibarrier = ibarrier,
      .ibcast = ibcast,
      .iallgather = iallgather,
      .iallgatherv = iallgatherv,
      .isplit = isplit,
      .test = test,
      .ifinalize = ifinalize,
      .finalize = finalize,
      .abort = abort_world,
  };
  return &table;
}

}  // namespace weft
