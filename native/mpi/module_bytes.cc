// Collectives of bytes in an MPI module, blocking and started, and the test of a started request.
// Buffers stay the caller's; the arrays of counts are copied, since MPI reads them until the operation has ended.
// What can fail: more bytes than MPI can count (refused, never cut), an argument, MPI itself.
#include <new>
#include <utility>
#include <vector>

#include "mpi/module.h"

namespace weft_mpi {

namespace {
struct PlainRequest final : weft_mpi_request {
  MPI_Request request = MPI_REQUEST_NULL;
  std::vector<int> counts;
  std::vector<int> offsets;
  const char* function = "";

  int step(bool& done) override {
    int flag = 0;
    const int result = MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
    done = result != MPI_SUCCESS || flag != 0;
    return check(result, function, comm);
  }
};

int require_bytes(const weft_mpi_comm* comm, const char* function, uint64_t total, const void* a, const void* b) {
  if (int code = require_comm(comm, function)) return code;
  if (total > WEFT_MPI_BYTES_MAX) {
    return fail(WEFT_MPI_LIMIT, std::string(function) + ": " + std::to_string(total) +
                                    " bytes in all; one call moves at most " + std::to_string(WEFT_MPI_BYTES_MAX));
  }
  if (total > 0 && (a == nullptr || b == nullptr)) {
    return fail(WEFT_MPI_INVALID, std::string(function) + ": a buffer is null but bytes are to be moved");
  }
  return WEFT_MPI_OK;
}

int require_root(const weft_mpi_comm* comm, int32_t root) {
  if (root >= 0 && root < comm->size) return WEFT_MPI_OK;
  return fail(WEFT_MPI_INVALID, "bcast: root " + std::to_string(root) + " is not a rank of this communicator of " +
                                    std::to_string(comm->size));
}

int require_gather(const weft_mpi_comm* comm, const char* function, const void* sent, uint64_t count, void* received) {
  if (int code = require_comm(comm, function)) return code;
  const uint64_t size = static_cast<uint64_t>(comm->size);
  // Divided, so that the product cannot overflow.
  const uint64_t total = count > WEFT_MPI_BYTES_MAX / size ? WEFT_MPI_BYTES_MAX + 1 : count * size;
  return require_bytes(comm, function, total, sent, received);
}

int convert_counts(const weft_mpi_comm* comm, const char* function, uint64_t sent_count, const void* sent,
                   const void* received, const uint64_t* counts, const uint64_t* offsets, std::vector<int>& int_counts,
                   std::vector<int>& int_offsets) {
  if (int code = require_comm(comm, function)) return code;
  if (counts == nullptr || offsets == nullptr) {
    return fail(WEFT_MPI_INVALID, std::string(function) + ": counts or offsets is null");
  }
  if (sent_count != counts[comm->rank]) {
    return fail(WEFT_MPI_INVALID, std::string(function) + ": this rank sends " + std::to_string(sent_count) +
                                      " bytes but counts says " + std::to_string(counts[comm->rank]));
  }
  uint64_t end_max = 0;
  for (int i = 0; i < comm->size; ++i) {
    if (counts[i] > WEFT_MPI_BYTES_MAX || offsets[i] > WEFT_MPI_BYTES_MAX) end_max = WEFT_MPI_BYTES_MAX + 1;
    if (counts[i] + offsets[i] > end_max) end_max = counts[i] + offsets[i];
  }
  if (int code = require_bytes(comm, function, end_max, received, received)) return code;
  if (sent_count > 0 && sent == nullptr) {
    return fail(WEFT_MPI_INVALID, std::string(function) + ": the sent buffer is null but bytes are to be moved");
  }
  int_counts.assign(counts, counts + comm->size);
  int_offsets.assign(offsets, offsets + comm->size);
  return WEFT_MPI_OK;
}

// Runs `start(&request->request)`; hands the request out if MPI took it.
template <typename Start>
int begin(weft_mpi_comm* comm, const char* function, PlainRequest* request, weft_mpi_request** out, Start start) {
  if (request == nullptr) return fail(WEFT_MPI_OUT_OF_MEMORY, std::string(function) + ": no memory for a request");
  request->function = function;
  if (int code = check(start(&request->request), function, comm)) {
    delete request;
    return code;
  }
  return hand_out(request, comm, out);
}
}  // namespace

int hand_out(weft_mpi_request* request, weft_mpi_comm* comm, weft_mpi_request** out) {
  request->comm = comm;
  comm->open_requests.fetch_add(1);
  *out = request;
  return WEFT_MPI_OK;
}

int barrier(weft_mpi_comm* comm) {
  if (int code = require_comm(comm, "barrier")) return code;
  return check(MPI_Barrier(comm->comm), "MPI_Barrier", comm);
}

int bcast(weft_mpi_comm* comm, void* bytes, uint64_t count, int32_t root) {
  if (int code = require_bytes(comm, "bcast", count, bytes, bytes)) return code;
  if (int code = require_root(comm, root)) return code;
  return check(MPI_Bcast(bytes, static_cast<int>(count), MPI_BYTE, root, comm->comm), "MPI_Bcast", comm);
}

int allgather(weft_mpi_comm* comm, const void* sent, uint64_t count, void* received) {
  if (int code = require_gather(comm, "allgather", sent, count, received)) return code;
  const int n = static_cast<int>(count);
  return check(MPI_Allgather(sent, n, MPI_BYTE, received, n, MPI_BYTE, comm->comm), "MPI_Allgather", comm);
}

int allgatherv(weft_mpi_comm* comm, const void* sent, uint64_t sent_count, void* received, const uint64_t* counts,
               const uint64_t* offsets) {
  std::vector<int> n;
  std::vector<int> at;
  if (int code = convert_counts(comm, "allgatherv", sent_count, sent, received, counts, offsets, n, at)) return code;
  return check(
      MPI_Allgatherv(sent, static_cast<int>(sent_count), MPI_BYTE, received, n.data(), at.data(), MPI_BYTE, comm->comm),
      "MPI_Allgatherv", comm);
}

int ibarrier(weft_mpi_comm* comm, weft_mpi_request** out) {
  if (int code = require_comm(comm, "ibarrier")) return code;
  return begin(comm, "MPI_Ibarrier", new (std::nothrow) PlainRequest, out,
               [&](MPI_Request* request) { return MPI_Ibarrier(comm->comm, request); });
}

int ibcast(weft_mpi_comm* comm, void* bytes, uint64_t count, int32_t root, weft_mpi_request** out) {
  if (int code = require_bytes(comm, "ibcast", count, bytes, bytes)) return code;
  if (int code = require_root(comm, root)) return code;
  return begin(comm, "MPI_Ibcast", new (std::nothrow) PlainRequest, out, [&](MPI_Request* request) {
    return MPI_Ibcast(bytes, static_cast<int>(count), MPI_BYTE, root, comm->comm, request);
  });
}

int iallgather(weft_mpi_comm* comm, const void* sent, uint64_t count, void* received, weft_mpi_request** out) {
  if (int code = require_gather(comm, "iallgather", sent, count, received)) return code;
  const int n = static_cast<int>(count);
  return begin(comm, "MPI_Iallgather", new (std::nothrow) PlainRequest, out, [&](MPI_Request* request) {
    return MPI_Iallgather(sent, n, MPI_BYTE, received, n, MPI_BYTE, comm->comm, request);
  });
}

int iallgatherv(weft_mpi_comm* comm, const void* sent, uint64_t sent_count, void* received, const uint64_t* counts,
                const uint64_t* offsets, weft_mpi_request** out) {
  std::vector<int> n;
  std::vector<int> at;
  if (int code = convert_counts(comm, "iallgatherv", sent_count, sent, received, counts, offsets, n, at)) return code;
  PlainRequest* request = new (std::nothrow) PlainRequest;
  if (request != nullptr) {
    request->counts = std::move(n);
    request->offsets = std::move(at);
  }
  return begin(comm, "MPI_Iallgatherv", request, out, [&](MPI_Request* mpi_request) {
    return MPI_Iallgatherv(sent, static_cast<int>(sent_count), MPI_BYTE, received, request->counts.data(),
                           request->offsets.data(), MPI_BYTE, comm->comm, mpi_request);
  });
}

int test(weft_mpi_request* request, int32_t* done) {
  if (request == nullptr || done == nullptr) return fail(WEFT_MPI_INVALID, "test: the request or done is null");
  bool ended = false;
  const int code = request->step(ended);
  if (ended) {
    if (request->comm != nullptr) request->comm->open_requests.fetch_sub(1);
    delete request;
  }
  *done = ended ? 1 : 0;
  return code;
}

}  // namespace weft_mpi
