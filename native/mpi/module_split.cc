// A split that does not block its caller. MPI has no non-blocking split, so it is made of two steps: a non-blocking
// allgather of every rank's color and key, and then MPI_Comm_create_group among the ranks of one color, on a thread of
// its own (where MPI allows threads; otherwise inside test). The thread ends when the last rank of the color came; a
// rank that died leaves it waiting, as any MPI call does.
#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "mpi/module.h"

namespace weft_mpi {

namespace {
// Shared by the request and its thread.
struct Making {
  weft_mpi_comm parent;  // the thread's own copy of what it reads: rank, size, communicator
  std::vector<int> ranks;
  int tag = 0;
  int code = WEFT_MPI_OK;
  std::string error;
  weft_mpi_comm* made = nullptr;
  std::atomic<bool> done{false};
};

void make(Making& making) {
  MPI_Comm comm = MPI_COMM_NULL;
  making.code =
      create_group(&making.parent, making.ranks.data(), static_cast<int>(making.ranks.size()), making.tag, &comm);
  if (making.code == WEFT_MPI_OK) making.code = wrap(comm, &making.made);
  if (making.code != WEFT_MPI_OK) making.error = error_text();
  making.done.store(true, std::memory_order_release);
}

struct SplitRequest final : weft_mpi_request {
  using ColorAndKey = std::array<int32_t, 2>;
  MPI_Request request = MPI_REQUEST_NULL;
  ColorAndKey mine = {};
  std::vector<ColorAndKey> all;
  int tag = 0;
  weft_mpi_comm** result = nullptr;
  std::shared_ptr<Making> making;

  int step(bool& done) override {
    if (making == nullptr) {
      int flag = 0;
      const int code = check(MPI_Test(&request, &flag, MPI_STATUS_IGNORE), "MPI_Iallgather (of a split)", comm);
      done = code != WEFT_MPI_OK;
      if (code != WEFT_MPI_OK || flag == 0) return code;
      if (mine[0] < 0) {
        *result = nullptr;
        done = true;
        return WEFT_MPI_OK;
      }
      start_making();
    }
    done = making->done.load(std::memory_order_acquire);
    if (!done) return WEFT_MPI_OK;
    if (making->code != WEFT_MPI_OK) return fail(static_cast<weft_mpi_code>(making->code), making->error);
    *result = making->made;
    return WEFT_MPI_OK;
  }

  void start_making() {
    making = std::make_shared<Making>();
    making->parent.comm = comm->comm;
    making->parent.rank = comm->rank;
    making->parent.size = comm->size;
    making->tag = tag;
    for (int rank = 0; rank < comm->size; ++rank) {
      if (all[rank][0] == mine[0]) making->ranks.push_back(rank);
    }
    // As MPI_Comm_split: by key, and by old rank where keys are equal.
    std::stable_sort(making->ranks.begin(), making->ranks.end(), [&](int a, int b) { return all[a][1] < all[b][1]; });
    if (thread_multiple()) {
      try {
        std::thread([shared = making] { make(*shared); }).detach();
        return;
      } catch (const std::system_error&) {
        // No thread to be had: make it here.
      }
    }
    make(*making);
  }
};
}  // namespace

int isplit(weft_mpi_comm* comm, int32_t color, int32_t key, weft_mpi_comm** result, weft_mpi_request** out) {
  if (int code = require_comm(comm, "isplit")) return code;
  if (result == nullptr) return fail(WEFT_MPI_INVALID, "isplit: result is null");
  auto* request = new (std::nothrow) SplitRequest;
  if (request == nullptr) return fail(WEFT_MPI_OUT_OF_MEMORY, "isplit: no memory for a request");
  request->mine = {color, key};
  request->all.resize(comm->size);
  request->result = result;
  request->tag = kUserTags + comm->splits_started % (kUserTags - 1);
  ++comm->splits_started;
  const int started = MPI_Iallgather(request->mine.data(), 2, MPI_INT32_T, request->all.data(), 2, MPI_INT32_T,
                                     comm->comm, &request->request);
  if (int code = check(started, "MPI_Iallgather (of a split)", comm)) {
    delete request;
    return code;
  }
  return hand_out(request, comm, out);
}

}  // namespace weft_mpi
