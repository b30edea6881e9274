/* gray_scott: advances the solver, says each published step on stdout and, if asked to, publishes its field.
   MPI is used by this thread only (FUNNELED). With --output weftline the launch also holds servers and consumers: the
   solver then computes on the communicator of the ranks that joined under its name.
   Errors: the solver's ranks agree on a failure at the next published step, so that none is left in a halo exchange.
   In a launch with others they then exit with 1 without MPI_Finalize: waiting for those others would hang, and every
   launcher ends a launch of which one process leaves like that. */
#include <inttypes.h>
#include <mpi.h>
#include <stdio.h>
#include <unistd.h>

#include "membership.h"
#include "options.h"
#include "output.h"
#include "solver.h"

/* A checksum that is the same on any number of ranks, and a few values. Collective. */
static int say_step(const solver* s, int64_t step, int rank) {
  const solver_summary summary = solver_summarize(s);
  if (rank != 0) return 0;
  const int printed =
      printf("step %" PRId64 " checksum %016" PRIx64 " u_mean %.10f v_mean %.10f v_min %.10f v_max %.10f\n", step,
             summary.checksum, summary.u_mean, summary.v_mean, summary.v_min, summary.v_max);
  return printed < 0 || fflush(stdout) != 0;
}

/* A rank that failed alone must not leave the others in a halo exchange. Collective. */
static int any_failed(const solver* s, int failed) {
  MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, solver_comm(s));
  return failed;
}

/* `out` NULL: nothing is published. */
static int simulate(solver* s, const program_options* o, output* out, int rank) {
  int failed = 0;
  for (int64_t step = 1; !failed && step <= o->steps; ++step) {
    /* The step after a published one writes beside it; the one after that writes over it. A rank that failed here
       goes on computing until all of them look. */
    int wrong = 0;
    if (out != NULL && step > 2 && (step - 2) % o->every == 0) wrong = output_before_overwrite(out) != 0;
    solver_advance(s);
    const int publishes = step % o->every == 0;
    if (publishes || (step - 2) % o->every == 0) {
      if (publishes) wrong |= say_step(s, step, rank);
      if (publishes && !wrong && out != NULL) wrong |= output_publish(out, step) != 0;
      failed = any_failed(s, wrong);
    }
  }
  return failed;
}

/* How long the steps took with all of their output, and the slowest rank's parts of it. Collective; rank 0 writes. */
static int write_timing(const program_options* o, MPI_Comm comm, int rank, double steps_s, const output* out) {
  const output_times spent = out != NULL ? output_spent(out) : (output_times){0};
  double mine[] = {steps_s, spent.describe_s, spent.push_s, spent.wait_s, spent.flush_s};
  double most[5] = {0};
  MPI_Reduce(mine, most, 5, MPI_DOUBLE, MPI_MAX, 0, comm);
  if (rank != 0) return 0;
  FILE* file = fopen(o->timing, "w");
  int wrong = file == NULL;
  if (!wrong) {
    wrong = fprintf(file,
                    "{\"steps\":%" PRId64 ",\"published\":%" PRId64
                    ",\"steps_s\":%.6f,\"describe_s\":%.6f,"
                    "\"push_s\":%.6f,\"wait_s\":%.6f,\"flush_s\":%.6f}\n",
                    o->steps, o->steps / o->every, most[0], most[1], most[2], most[3], most[4]) < 0;
    wrong |= fclose(file) != 0;
  }
  if (wrong) fprintf(stderr, "gray_scott: %s cannot be written; choose another --timing\n", o->timing);
  return wrong;
}

/* 0, 1 when something failed, 2 when the grid does not fit the ranks. Collective over `comm`. */
static int run(const program_options* o, MPI_Comm comm, weft_job* job) {
  int rank = 0;
  int ranks = 0;
  const char* words = NULL;
  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &ranks);
  solver* s = solver_create(comm, &o->solver, &words);
  if (s == NULL) {
    if (rank == 0) fprintf(stderr, "gray_scott: %s; use fewer ranks or another --shape\n", words);
    return 2;
  }
  output* out = o->output != OUTPUT_NONE ? output_open(job, s, o, rank, ranks) : NULL;
  int failed = any_failed(s, o->output != OUTPUT_NONE && out == NULL);
  const double began_s = MPI_Wtime();
  if (!failed) failed = simulate(s, o, out, rank);
  if (!failed && out != NULL) failed = any_failed(s, output_finish(out) != 0);
  const double steps_s = MPI_Wtime() - began_s;
  if (!failed && o->timing != NULL) failed = any_failed(s, write_timing(o, comm, rank, steps_s, out));
  /* After a failure the server may still read the solver's memory: it stays until the process ends. */
  if (failed) return 1;
  if (out != NULL && output_close(out) != 0) return 1;
  solver_free(s);
  return 0;
}

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  program_options o;
  const char* words = NULL;
  const int wrong = options_read(argc, argv, &o, &words);
  if (wrong != 0) {
    if (wrong < 0) fprintf(stderr, "gray_scott: '%s' is not valid\n%s", words, options_usage());
    if (rank == 0 && wrong > 0) fputs(options_usage(), stdout);
    MPI_Finalize();
    return wrong < 0 ? 2 : 0;
  }
  membership member = {.ranks = MPI_COMM_WORLD};
  const int joins = o.output == OUTPUT_WEFTLINE;
  int status = joins && membership_join(&member, o.together) != 0 ? 1 : 0;
  if (status == 0) status = run(&o, member.ranks, member.job);
  if (joins && status == 0 && membership_leave(&member) != 0) status = 1;
  if (joins && status != 0) {
    fflush(NULL);
    _exit(status);
  }
  MPI_Finalize();
  return status;
}
