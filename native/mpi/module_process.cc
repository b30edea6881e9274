// The process's side of an MPI module: initialization, facts, error words, the table itself.
// init() may meet an MPI that the program initialized itself; then nothing here changes it, and finalizing stays with
// the program. What can fail: MPI_Init_thread (most libraries abort by themselves then).
#include <cstring>
#include <mutex>

#include "mpi/module.h"

namespace weft_mpi {

namespace {
thread_local std::string thread_error_text;
std::mutex init_mutex;
std::atomic<bool> did_initialize{false};
std::atomic<bool> is_finalizing{false};

std::string mpi_words(int mpi_result) {
  char words[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  if (MPI_Error_string(mpi_result, words, &length) != MPI_SUCCESS) {
    return "error number " + std::to_string(mpi_result);
  }
  return words;
}

void copy_first_line(char* out, size_t out_size, const char* text) {
  size_t length = strcspn(text, "\n");
  if (length >= out_size) length = out_size - 1;
  memcpy(out, text, length);
  out[length] = 0;
}
}  // namespace

int fail(weft_mpi_code code, const std::string& text) {
  thread_error_text = text;
  return code;
}

const char* error_text() { return thread_error_text.c_str(); }

int check(int mpi_result, const char* function) {
  if (mpi_result == MPI_SUCCESS) return WEFT_MPI_OK;
  return fail(WEFT_MPI_FAILED, std::string(function) + " failed: " + mpi_words(mpi_result));
}

int check(int mpi_result, const char* function, const weft_mpi_comm* comm) {
  if (mpi_result == MPI_SUCCESS) return WEFT_MPI_OK;
  return fail(WEFT_MPI_FAILED, std::string(function) + " on rank " + std::to_string(comm->rank) + " of " +
                                   std::to_string(comm->size) + " failed: " + mpi_words(mpi_result));
}

int initialized() {
  int flag = 0;
  return MPI_Initialized(&flag) == MPI_SUCCESS && flag != 0 ? 1 : 0;
}

int finalized() {
  int flag = 0;
  return MPI_Finalized(&flag) == MPI_SUCCESS && flag != 0 ? 1 : 0;
}

int require_running(const char* function) {
  if (is_finalizing.load() || finalized()) {
    return fail(WEFT_MPI_NOT_INITIALIZED, std::string(function) + ": MPI was finalized; it cannot start again");
  }
  if (!initialized()) {
    return fail(WEFT_MPI_NOT_INITIALIZED, std::string(function) + ": MPI is not initialized; call init first");
  }
  return WEFT_MPI_OK;
}

int require_comm(const weft_mpi_comm* comm, const char* function) {
  if (int code = require_running(function)) return code;
  if (comm == nullptr || comm->magic != kCommMagic) {
    return fail(WEFT_MPI_INVALID, std::string(function) + ": the communicator is not one of this table, or was freed");
  }
  return WEFT_MPI_OK;
}

bool thread_multiple() {
  int level = MPI_THREAD_SINGLE;
  return MPI_Query_thread(&level) == MPI_SUCCESS && level == MPI_THREAD_MULTIPLE;
}

bool initialized_here() { return did_initialize.load(); }
void mark_finalizing() { is_finalizing.store(true); }

int init() {
  std::lock_guard<std::mutex> lock(init_mutex);
  if (is_finalizing.load() || finalized()) {
    return fail(WEFT_MPI_NOT_INITIALIZED, "init: MPI was finalized in this process; it cannot start again");
  }
  if (initialized()) return WEFT_MPI_OK;
  int provided = MPI_THREAD_SINGLE;
  if (int code = check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread")) {
    return code;
  }
  did_initialize.store(true);
  return WEFT_MPI_OK;
}

int facts(weft_mpi_facts* out) {
  if (int code = require_running("facts")) return code;
  if (out == nullptr || out->size_bytes != sizeof(weft_mpi_facts)) {
    return fail(WEFT_MPI_INVALID, "facts: size_bytes is not sizeof(weft_mpi_facts) of this module's version");
  }
  weft_mpi_facts found = {};
  found.size_bytes = sizeof found;
  found.initialized_here = initialized_here() ? 1 : 0;
  int level = MPI_THREAD_SINGLE;
  if (int code = check(MPI_Query_thread(&level), "MPI_Query_thread")) return code;
  // MPI orders its constants but does not fix their values.
  found.thread_level = level == MPI_THREAD_MULTIPLE     ? WEFT_MPI_THREAD_MULTIPLE
                       : level == MPI_THREAD_SERIALIZED ? WEFT_MPI_THREAD_SERIALIZED
                       : level == MPI_THREAD_FUNNELED   ? WEFT_MPI_THREAD_FUNNELED
                                                        : WEFT_MPI_THREAD_SINGLE;
  if (int code = check(MPI_Comm_rank(MPI_COMM_WORLD, &found.world_rank), "MPI_Comm_rank")) return code;
  if (int code = check(MPI_Comm_size(MPI_COMM_WORLD, &found.world_size), "MPI_Comm_size")) return code;
  int* appnum = nullptr;
  int has_appnum = 0;
  if (int code = check(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_APPNUM, &appnum, &has_appnum), "MPI_Comm_get_attr")) {
    return code;
  }
  found.appnum = has_appnum ? *appnum : -1;
  char library[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  if (int code = check(MPI_Get_library_version(library, &length), "MPI_Get_library_version")) return code;
  copy_first_line(found.library, sizeof found.library, library);
  char processor[MPI_MAX_PROCESSOR_NAME] = "";
  if (int code = check(MPI_Get_processor_name(processor, &length), "MPI_Get_processor_name")) return code;
  copy_first_line(found.processor, sizeof found.processor, processor);
  *out = found;
  return WEFT_MPI_OK;
}

void abort_world(weft_mpi_comm* comm, int32_t exit_code) {
  if (initialized() && !finalized()) {
    MPI_Abort(comm != nullptr && comm->magic == kCommMagic ? comm->comm : MPI_COMM_WORLD, exit_code);
  }
  _Exit(exit_code);  // MPI_Abort does not return; without a running MPI there is only this process to end
}

}  // namespace weft_mpi

extern "C" __attribute__((visibility("default"))) const weft_mpi_table* weft_mpi_get_table() {
  namespace m = weft_mpi;
  static const weft_mpi_table table = {
      .version = WEFT_MPI_TABLE_VERSION,
      .size_bytes = sizeof(weft_mpi_table),
#ifdef OPEN_MPI
      .family = "openmpi",
#else
      .family = "mpich",
#endif
      .error_text = m::error_text,
      .initialized = m::initialized,
      .finalized = m::finalized,
      .init = m::init,
      .facts = m::facts,
      .comm_world = m::comm_world,
      .comm_from_fortran = m::comm_from_fortran,
      .comm_to_fortran = m::comm_to_fortran,
      .comm_dup = m::comm_dup,
      .comm_split = m::comm_split,
      .comm_split_shared = m::comm_split_shared,
      .comm_create_group = m::comm_create_group,
      .comm_rank = m::comm_rank,
      .comm_size = m::comm_size,
      .comm_free = m::comm_free,
      .barrier = m::barrier,
      .bcast = m::bcast,
      .allgather = m::allgather,
      .allgatherv = m::allgatherv,
      .ibarrier = m::ibarrier,
      .ibcast = m::ibcast,
      .iallgather = m::iallgather,
      .iallgatherv = m::iallgatherv,
      .isplit = m::isplit,
      .test = m::test,
      .ifinalize = m::ifinalize,
      .finalize = m::finalize,
      .abort = m::abort_world,
  };
  return &table;
}
