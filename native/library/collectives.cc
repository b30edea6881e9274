// Collectives for the application's own use, over communicators of ours: nothing here meets the join or the data plane.
#include <memory>
#include <new>

#include "library/job.h"

struct weft_communicator {
  static constexpr auto kKind = weft::library::Kind::kCommunicator;
  std::atomic<weft::library::Kind> kind{kKind};
  const weft_mpi_table* table = nullptr;  // of the process: outlives the job
  weft_mpi_comm* comm = nullptr;
  bool of_job = false;  // `comm` is the job's and stays; else it came from a split
};

struct weft_collective {
  const weft_mpi_table* table = nullptr;
  weft_mpi_request* request = nullptr;
  weft_mpi_comm* made = nullptr;               // of a split
  weft_communicator** communicator = nullptr;  // the caller's, of a split
};

using namespace weft::library;

namespace {
int report_mpi(const weft_mpi_table& table, int code) { return report(weft::mpi_status(table, code)); }

int adopt(const weft_mpi_table& table, weft_mpi_comm* comm, weft_communicator** communicator) {
  *communicator = nullptr;
  if (comm == nullptr) return WEFT_OK;
  auto* made = new weft_communicator;
  made->table = &table;
  made->comm = comm;
  *communicator = made;
  return WEFT_OK;
}

template <typename Start>
int start(weft_communicator* communicator, weft_collective** collective, Start begin) {
  const weft_mpi_table& table = *communicator->table;
  weft_mpi_request* request = nullptr;
  const int code = begin(table, communicator->comm, &request);
  if (code != WEFT_MPI_OK) return report_mpi(table, code);
  *collective = new weft_collective{&table, request, nullptr, nullptr};
  return WEFT_OK;
}
}  // namespace

extern "C" {

int weft_communicator_world(weft_job* job, weft_communicator** communicator) try {
  WEFT_CHECK_HANDLE(job);
  WEFT_CHECK_ARGUMENT(communicator);
  if (job->shared) {
    return report(weft::Code::UNSUPPORTED,
                  "a shared job has no world, since MPI wants the thread that joined; use the job of weft_join there");
  }
  if (job->place.world == nullptr)
    return report(weft::Code::UNSUPPORTED, "a job that was attached has no world; use weft_join");
  auto made = std::make_unique<weft_communicator>();
  made->table = &job->place.table();
  made->comm = job->place.application;
  made->of_job = true;
  *communicator = made.release();
  return WEFT_OK;
}
WEFT_CATCH

int weft_communicator_split(weft_communicator* parent, int color, int key, weft_communicator** communicator) try {
  WEFT_CHECK_HANDLE(parent);
  WEFT_CHECK_ARGUMENT(communicator);
  weft_mpi_comm* comm = nullptr;
  const int code = parent->table->comm_split(parent->comm, color, key, &comm);
  if (code != WEFT_MPI_OK) return report_mpi(*parent->table, code);
  return adopt(*parent->table, comm, communicator);
}
WEFT_CATCH

int weft_communicator_split_start(weft_communicator* parent, int color, int key, weft_communicator** communicator,
                                  weft_collective** collective) try {
  WEFT_CHECK_HANDLE(parent);
  if (communicator == nullptr || collective == nullptr)
    return report(weft::Code::INVALID_ARGUMENT, "communicator or collective is NULL");
  *communicator = nullptr;
  auto made = std::make_unique<weft_collective>();
  made->table = parent->table;
  made->communicator = communicator;
  const int code = parent->table->isplit(parent->comm, color, key, &made->made, &made->request);
  if (code != WEFT_MPI_OK) return report_mpi(*parent->table, code);
  *collective = made.release();
  return WEFT_OK;
}
WEFT_CATCH

int weft_communicator_size(const weft_communicator* communicator, int32_t* rank, int32_t* size) try {
  WEFT_CHECK_HANDLE(communicator);
  const weft_mpi_table& table = *communicator->table;
  int32_t values[2] = {0, 1};
  int code = table.comm_rank(communicator->comm, &values[0]);
  if (code == WEFT_MPI_OK) code = table.comm_size(communicator->comm, &values[1]);
  if (code != WEFT_MPI_OK) return report_mpi(table, code);
  if (rank != nullptr) *rank = values[0];
  if (size != nullptr) *size = values[1];
  return WEFT_OK;
}
WEFT_CATCH

int weft_communicator_free(weft_communicator* communicator) try {
  WEFT_CHECK_HANDLE(communicator);
  if (!communicator->of_job) {
    const int code = communicator->table->comm_free(communicator->comm);
    if (code != WEFT_MPI_OK) return report_mpi(*communicator->table, code);
  }
  communicator->kind = Kind::kClosed;
  delete communicator;
  return WEFT_OK;
}
WEFT_CATCH

int weft_barrier_start(weft_communicator* communicator, weft_collective** collective) try {
  WEFT_CHECK_HANDLE(communicator);
  WEFT_CHECK_ARGUMENT(collective);
  return start(communicator, collective,
               [](const weft_mpi_table& table, weft_mpi_comm* comm, weft_mpi_request** request) {
                 return table.ibarrier(comm, request);
               });
}
WEFT_CATCH

int weft_broadcast_start(weft_communicator* communicator, void* bytes, uint64_t length, int32_t root,
                         weft_collective** collective) try {
  WEFT_CHECK_HANDLE(communicator);
  WEFT_CHECK_ARGUMENT(collective);
  return start(communicator, collective,
               [=](const weft_mpi_table& table, weft_mpi_comm* comm, weft_mpi_request** request) {
                 return table.ibcast(comm, bytes, length, root, request);
               });
}
WEFT_CATCH

int weft_allgather_start(weft_communicator* communicator, const void* from, uint64_t length, void* into,
                         weft_collective** collective) try {
  WEFT_CHECK_HANDLE(communicator);
  WEFT_CHECK_ARGUMENT(collective);
  return start(communicator, collective,
               [=](const weft_mpi_table& table, weft_mpi_comm* comm, weft_mpi_request** request) {
                 return table.iallgather(comm, from, length, into, request);
               });
}
WEFT_CATCH

int weft_collective_test(weft_collective* collective, int* done) try {
  WEFT_CHECK_ARGUMENT(collective);
  WEFT_CHECK_ARGUMENT(done);
  int32_t ended = 0;
  const int code = collective->table->test(collective->request, &ended);
  const weft::Status status = weft::mpi_status(*collective->table, code);
  *done = ended;
  if (ended != 0 || !status.ok()) {
    *done = 1;
    if (status.ok() && collective->communicator != nullptr)
      adopt(*collective->table, collective->made, collective->communicator);
    delete collective;
  }
  return report(status);
}
WEFT_CATCH

}  // extern "C"
