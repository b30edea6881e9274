// The end of MPI in this process, within a time limit.
// MPI_Finalize waits for every rank of the world, and MPICH was seen to hang in it across hosts when ranks came at
// different times; so a non-blocking barrier comes first, MPI_Finalize runs on a thread of its own, and neither is
// waited for past the limit. A rank that does not come costs the others their time limit, never their exit.
// The thread that is left in a hung MPI_Finalize is detached: it owns only the shared state below.
#include <chrono>
#include <memory>
#include <new>
#include <system_error>
#include <thread>

#include "mpi/module.h"

namespace weft_mpi {

namespace {
using SteadyClock = std::chrono::steady_clock;
constexpr auto kPollPause = std::chrono::milliseconds(1);
// Longer limits count as this: adding to a time point must not overflow.
constexpr uint64_t kTimeoutMsMax = uint64_t{1000} * 3600 * 24 * 365;

struct Finalizing {
  int result = MPI_SUCCESS;
  std::atomic<bool> done{false};
};

void run_finalize(Finalizing& finalizing) {
  finalizing.result = MPI_Finalize();
  finalizing.done.store(true, std::memory_order_release);
}

struct FinalizeRequest final : weft_mpi_request {
  weft_mpi_comm* last = nullptr;  // ours until the barrier is over
  MPI_Request barrier_request = MPI_REQUEST_NULL;
  SteadyClock::time_point deadline;
  int32_t* outcome = nullptr;
  std::shared_ptr<Finalizing> finalizing;

  int end(bool& done, weft_mpi_finalize_outcome how) {
    *outcome = how;
    done = true;
    return WEFT_MPI_OK;
  }

  int step(bool& done) override {
    if (finalizing == nullptr) {
      int flag = 0;
      // On an error, as at the deadline, the communicator is left alone: freeing it would meet the lost rank again.
      if (MPI_Test(&barrier_request, &flag, MPI_STATUS_IGNORE) != MPI_SUCCESS)
        return end(done, WEFT_MPI_FINALIZE_SKIPPED);
      if (flag == 0) {
        if (SteadyClock::now() >= deadline) return end(done, WEFT_MPI_FINALIZE_SKIPPED);
        done = false;
        return WEFT_MPI_OK;
      }
      if (release(last) != WEFT_MPI_OK) return end(done, WEFT_MPI_FINALIZE_SKIPPED);
      if (!initialized_here()) return end(done, WEFT_MPI_FINALIZE_NOT_OURS);
      start_finalize();
    }
    if (finalizing->done.load(std::memory_order_acquire)) {
      return end(done, finalizing->result == MPI_SUCCESS ? WEFT_MPI_FINALIZED : WEFT_MPI_FINALIZE_SKIPPED);
    }
    if (SteadyClock::now() >= deadline) return end(done, WEFT_MPI_FINALIZE_HUNG);
    done = false;
    return WEFT_MPI_OK;
  }

  void start_finalize() {
    finalizing = std::make_shared<Finalizing>();
    if (thread_multiple()) {
      try {
        std::thread([shared = finalizing] { run_finalize(*shared); }).detach();
        return;
      } catch (const std::system_error&) {
        // No thread to be had: without the limit, then.
      }
    }
    run_finalize(*finalizing);
  }
};

FinalizeRequest* start(weft_mpi_comm* comm, uint64_t timeout_ms, int32_t* outcome, int& code) {
  code = require_comm(comm, "finalize");
  if (code != WEFT_MPI_OK) return nullptr;
  if (outcome == nullptr || comm->open_requests.load() != 0) {
    code = fail(WEFT_MPI_INVALID, "finalize: outcome is null, or requests are still open on the communicator");
    return nullptr;
  }
  auto* request = new (std::nothrow) FinalizeRequest;
  if (request == nullptr) {
    code = fail(WEFT_MPI_OUT_OF_MEMORY, "finalize: no memory for a request");
    return nullptr;
  }
  code = check(MPI_Ibarrier(comm->comm, &request->barrier_request), "MPI_Ibarrier (of a finalization)", comm);
  if (code != WEFT_MPI_OK) {
    delete request;
    return nullptr;
  }
  request->last = comm;
  request->outcome = outcome;
  request->deadline =
      SteadyClock::now() + std::chrono::milliseconds(timeout_ms < kTimeoutMsMax ? timeout_ms : kTimeoutMsMax);
  // A program that initialized MPI itself goes on after this, and may join again.
  if (initialized_here()) mark_finalizing();
  return request;
}
}  // namespace

int ifinalize(weft_mpi_comm* comm, uint64_t timeout_ms, int32_t* outcome, weft_mpi_request** out) {
  int code = WEFT_MPI_OK;
  weft_mpi_request* request = start(comm, timeout_ms, outcome, code);
  if (request != nullptr) *out = request;
  return code;
}

int finalize(weft_mpi_comm* comm, uint64_t timeout_ms, int32_t* outcome) {
  int code = WEFT_MPI_OK;
  weft_mpi_request* request = start(comm, timeout_ms, outcome, code);
  if (request == nullptr) return code;
  bool done = false;
  for (code = request->step(done); !done; code = request->step(done)) std::this_thread::sleep_for(kPollPause);
  delete request;
  return code;
}

}  // namespace weft_mpi
