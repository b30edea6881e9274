/* See membership.h. */
#include "membership.h"

#include <stdio.h>
#include <time.h>

/* The slowest consumer may need so long after the simulation's end. */
static const double leave_limit_s = 600.0;

static int failed(const char* doing, const weft_job* job) {
  fprintf(stderr, "gray_scott: %s: %s\n", doing, weft_error_text(job));
  return -1;
}

int membership_join(membership* m, int together) {
  weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
  options.role = "client";
  options.name = "gray-scott";
  *m = (membership){.ranks = MPI_COMM_NULL};
  if (weft_join(MPI_Comm_c2f(MPI_COMM_WORLD), &options, &m->job) != WEFT_OK) return failed("joining the job", NULL);
  m->ranks = MPI_Comm_f2c((MPI_Fint)weft_job_group_communicator(m->job));
  if (together && weft_communicator_world(m->job, &m->world) != WEFT_OK)
    return failed("reaching the other ranks", m->job);
  return 0;
}

/* MPI_Finalize would wait with a busy loop, and take the processor from the consumers that are still at work. */
static int wait_for_all(const membership* m) {
  const struct timespec pause = {.tv_nsec = 2000000};
  struct timespec began;
  struct timespec now;
  weft_collective* barrier = NULL;
  if (weft_barrier_start(m->world, &barrier) != WEFT_OK) return failed("starting the last barrier", m->job);
  clock_gettime(CLOCK_MONOTONIC, &began);
  for (int done = 0; !done;) {
    if (weft_collective_test(barrier, &done) != WEFT_OK) return failed("the last barrier", m->job);
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!done && difftime(now.tv_sec, began.tv_sec) > leave_limit_s) {
      fprintf(stderr, "gray_scott: other ranks were not done within %.0f s; look at the consumers\n", leave_limit_s);
      return -1;
    }
    if (!done) nanosleep(&pause, NULL);
  }
  return 0;
}

int membership_leave(membership* m) {
  if (m->world != NULL) {
    if (wait_for_all(m) != 0) return -1;
    if (weft_communicator_free(m->world) != WEFT_OK) return failed("freeing a communicator", m->job);
  }
  const int code = weft_close(m->job);
  /* Others are still at work: MPI_Finalize waits for them. */
  return code == WEFT_OK || code == WEFT_RANK_LOST ? 0 : failed("leaving the job", NULL);
}
