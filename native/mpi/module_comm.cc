// Communicators of an MPI module: each is a duplicate or a child of one, with errors returned instead of fatal.
// Everything here is collective and blocks, but for rank, size and the Fortran handle. What can fail: a handle that is
// no communicator, an intercommunicator, MPI's own limits (context ids).
#include <new>
#include <vector>

#include "mpi/module.h"

namespace weft_mpi {

namespace {
// While it lives, an error about an invalid handle is returned: MPI raises it on the world's error handler, whose
// default ends the program. The user's handler is put back.
class WorldErrorsReturned {
 public:
  WorldErrorsReturned() {
    saved_ = MPI_Comm_get_errhandler(MPI_COMM_WORLD, &handler_) == MPI_SUCCESS;
    if (saved_) MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  }
  ~WorldErrorsReturned() {
    if (!saved_) return;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, handler_);
    MPI_Errhandler_free(&handler_);
  }
  WorldErrorsReturned(const WorldErrorsReturned&) = delete;
  WorldErrorsReturned& operator=(const WorldErrorsReturned&) = delete;

 private:
  MPI_Errhandler handler_ = MPI_ERRHANDLER_NULL;
  bool saved_ = false;
};

int duplicate(MPI_Comm source, weft_mpi_comm** out) {
  MPI_Comm copy = MPI_COMM_NULL;
  if (int code = check(MPI_Comm_dup(source, &copy), "MPI_Comm_dup")) return code;
  return wrap(copy, out);
}
}  // namespace

int wrap(MPI_Comm comm, weft_mpi_comm** out) {
  // The duplicate of a communicator inherits its error handler.
  if (int code = check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler")) return code;
  weft_mpi_comm* made = new (std::nothrow) weft_mpi_comm;
  if (made == nullptr) return fail(WEFT_MPI_OUT_OF_MEMORY, "no memory for a communicator's handle");
  made->comm = comm;
  made->magic = kCommMagic;
  int code = check(MPI_Comm_rank(comm, &made->rank), "MPI_Comm_rank");
  if (code == WEFT_MPI_OK) code = check(MPI_Comm_size(comm, &made->size), "MPI_Comm_size");
  if (code != WEFT_MPI_OK) {
    delete made;
    return code;
  }
  *out = made;
  return WEFT_MPI_OK;
}

int release(weft_mpi_comm* comm) {
  int code = check(MPI_Comm_free(&comm->comm), "MPI_Comm_free", comm);
  comm->magic = 0;
  delete comm;
  return code;
}

int create_group(const weft_mpi_comm* parent, const int* ranks, int count, int tag, MPI_Comm* out) {
  MPI_Group all = MPI_GROUP_NULL;
  MPI_Group some = MPI_GROUP_NULL;
  int code = check(MPI_Comm_group(parent->comm, &all), "MPI_Comm_group", parent);
  if (code != WEFT_MPI_OK) return code;
  code = check(MPI_Group_incl(all, count, ranks, &some), "MPI_Group_incl", parent);
  if (code == WEFT_MPI_OK) {
    code = check(MPI_Comm_create_group(parent->comm, some, tag, out), "MPI_Comm_create_group", parent);
    MPI_Group_free(&some);
  }
  MPI_Group_free(&all);
  return code;
}

int comm_world(weft_mpi_comm** out) {
  if (int code = require_running("comm_world")) return code;
  return duplicate(MPI_COMM_WORLD, out);
}

int comm_from_fortran(int32_t handle, weft_mpi_comm** out) {
  if (int code = require_running("comm_from_fortran")) return code;
  WorldErrorsReturned errors_returned;
  const MPI_Comm source = MPI_Comm_f2c(handle);
  const std::string words = "comm_from_fortran: " + std::to_string(handle);
  // Open MPI gives a null pointer for a number out of its range.
  if (source == MPI_COMM_NULL || source == MPI_Comm{}) {
    return fail(WEFT_MPI_INVALID, words + " is not a communicator; give MPI_Comm_c2f of a live one");
  }
  int is_inter = 0;
  if (MPI_Comm_test_inter(source, &is_inter) != MPI_SUCCESS) {
    return fail(WEFT_MPI_INVALID, words + " is not a communicator; give MPI_Comm_c2f of a live one");
  }
  if (is_inter) return fail(WEFT_MPI_INVALID, words + " is an intercommunicator; give an ordinary one");
  return duplicate(source, out);
}

int comm_to_fortran(weft_mpi_comm* comm, int32_t* handle) {
  if (int code = require_comm(comm, "comm_to_fortran")) return code;
  *handle = MPI_Comm_c2f(comm->comm);
  return WEFT_MPI_OK;
}

int comm_dup(weft_mpi_comm* comm, weft_mpi_comm** out) {
  if (int code = require_comm(comm, "comm_dup")) return code;
  return duplicate(comm->comm, out);
}

int comm_split(weft_mpi_comm* comm, int32_t color, int32_t key, weft_mpi_comm** out) {
  if (int code = require_comm(comm, "comm_split")) return code;
  MPI_Comm part = MPI_COMM_NULL;
  const int mpi_color = color < 0 ? MPI_UNDEFINED : color;
  if (int code = check(MPI_Comm_split(comm->comm, mpi_color, key, &part), "MPI_Comm_split", comm)) return code;
  if (part == MPI_COMM_NULL) {
    *out = nullptr;
    return WEFT_MPI_OK;
  }
  return wrap(part, out);
}

int comm_split_shared(weft_mpi_comm* comm, weft_mpi_comm** out) {
  if (int code = require_comm(comm, "comm_split_shared")) return code;
  MPI_Comm part = MPI_COMM_NULL;
  const int result = MPI_Comm_split_type(comm->comm, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &part);
  if (int code = check(result, "MPI_Comm_split_type", comm)) return code;
  return wrap(part, out);
}

int comm_create_group(weft_mpi_comm* comm, const int32_t* ranks, int32_t count, int32_t tag, weft_mpi_comm** out) {
  if (int code = require_comm(comm, "comm_create_group")) return code;
  if (count < 1 || count > comm->size || tag < 0 || tag >= kUserTags) {
    return fail(WEFT_MPI_INVALID, "comm_create_group: " + std::to_string(count) + " ranks with tag " +
                                      std::to_string(tag) + "; give 1 to " + std::to_string(comm->size) +
                                      " ranks and a tag below " + std::to_string(kUserTags));
  }
  // Checked here, since the libraries differ: Open MPI waits forever for a rank that is listed twice.
  std::vector<bool> listed(comm->size, false);
  for (int32_t i = 0; i < count; ++i) {
    if (ranks[i] < 0 || ranks[i] >= comm->size || listed[ranks[i]]) {
      return fail(WEFT_MPI_INVALID, "comm_create_group: rank " + std::to_string(ranks[i]) +
                                        " is listed twice, or is not below " + std::to_string(comm->size));
    }
    listed[ranks[i]] = true;
  }
  if (!listed[comm->rank]) {
    return fail(WEFT_MPI_INVALID, "comm_create_group: rank " + std::to_string(comm->rank) +
                                      " calls but is not in its own list; only listed ranks call");
  }
  MPI_Comm made = MPI_COMM_NULL;
  if (int code = create_group(comm, ranks, count, tag, &made)) return code;
  return wrap(made, out);
}

int comm_rank(weft_mpi_comm* comm, int32_t* rank) {
  if (int code = require_comm(comm, "comm_rank")) return code;
  *rank = comm->rank;
  return WEFT_MPI_OK;
}

int comm_size(weft_mpi_comm* comm, int32_t* size) {
  if (int code = require_comm(comm, "comm_size")) return code;
  *size = comm->size;
  return WEFT_MPI_OK;
}

int comm_free(weft_mpi_comm* comm) {
  if (int code = require_comm(comm, "comm_free")) return code;
  const int open_requests = comm->open_requests.load();
  if (open_requests != 0) {
    return fail(WEFT_MPI_INVALID, "comm_free: " + std::to_string(open_requests) +
                                      " requests are still open on the communicator; test them until done");
  }
  return release(comm);
}

}  // namespace weft_mpi
