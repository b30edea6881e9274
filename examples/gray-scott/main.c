/* gray_scott: reads the options, advances the solver, publishes every k-th step.
   MPI is used by this thread only (FUNNELED). The solver gets a communicator of its own: other ranks of a launch may be
   servers and consumers. */
#include <errno.h>
#include <getopt.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "solver.h"

typedef struct program_options {
  solver_options solver;
  int64_t steps;
  int64_t every;
} program_options;

static const char usage[] =
    "usage: gray_scott [options]\n"
    "  --shape ROWSxCOLUMNS  cells of the grid         (512x512)\n"
    "  --steps N             time steps                (400)\n"
    "  --every N             publish each N-th step    (20)\n"
    "  --du X --dv X         diffusion of u and v      (0.2, 0.1)\n"
    "  --feed X --kill X     feed and kill rates       (0.02, 0.048)\n"
    "  --dt X                time step                 (1.0)\n"
    "  --seed N              of the initial noise      (1)\n"
    "example: mpiexec -n 4 gray_scott --shape 1024x1024 --steps 1000\n";

/* 0 when the whole text is a number within the bounds. */
static int read_integer(const char* text, int64_t min, int64_t* out) {
  char* end = NULL;
  errno = 0;
  const long long value = strtoll(text, &end, 10);
  if (errno != 0 || end == text || *end != 0 || value < min) return -1;
  *out = value;
  return 0;
}

static int read_real(const char* text, double* out) {
  char* end = NULL;
  errno = 0;
  const double value = strtod(text, &end);
  if (errno != 0 || end == text || *end != 0 || !(value >= 0.0 && value <= 1e6)) return -1;
  *out = value;
  return 0;
}

static int read_shape(const char* text, int64_t* rows, int64_t* columns) {
  char first[32];
  const char* cross = strchr(text, 'x');
  if (cross == NULL || (size_t)(cross - text) >= sizeof first) return -1;
  memcpy(first, text, (size_t)(cross - text));
  first[cross - text] = 0;
  return read_integer(first, 1, rows) || read_integer(cross + 1, 1, columns);
}

/* 0; 1 when help was asked for; -1 with the bad option in *bad. */
static int read_options(int argc, char** argv, program_options* o, const char** bad) {
  static const struct option names[] = {{"shape", 1, NULL, 's'}, {"steps", 1, NULL, 'n'}, {"every", 1, NULL, 'e'},
                                        {"du", 1, NULL, 'u'},    {"dv", 1, NULL, 'v'},    {"feed", 1, NULL, 'f'},
                                        {"kill", 1, NULL, 'k'},  {"dt", 1, NULL, 't'},    {"seed", 1, NULL, 'r'},
                                        {"help", 0, NULL, 'h'},  {NULL, 0, NULL, 0}};
  int64_t seed = 1;
  int failed = 0;
  opterr = 0;
  for (int name; !failed && (name = getopt_long(argc, argv, "", names, NULL)) != -1;) {
    switch (name) {
      case 's':
        failed = read_shape(optarg, &o->solver.rows, &o->solver.columns);
        break;
      case 'n':
        failed = read_integer(optarg, 0, &o->steps);
        break;
      case 'e':
        failed = read_integer(optarg, 1, &o->every);
        break;
      case 'u':
        failed = read_real(optarg, &o->solver.du);
        break;
      case 'v':
        failed = read_real(optarg, &o->solver.dv);
        break;
      case 'f':
        failed = read_real(optarg, &o->solver.feed);
        break;
      case 'k':
        failed = read_real(optarg, &o->solver.kill);
        break;
      case 't':
        failed = read_real(optarg, &o->solver.dt);
        break;
      case 'r':
        failed = read_integer(optarg, 0, &seed);
        break;
      case 'h':
        return 1;
      default:
        failed = -1;
        break;
    }
    *bad = argv[optind - 1];
  }
  if (!failed && optind < argc) {
    *bad = argv[optind];
    failed = -1;
  }
  o->solver.seed = (uint64_t)seed;
  return failed ? -1 : 0;
}

static int simulate(solver* s, const program_options* o) {
  output* out = output_open(s);
  int failed = out == NULL;
  /* A rank that failed alone must not leave the others in a halo exchange. */
  MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, solver_comm(s));
  for (int64_t step = 1; !failed && step <= o->steps; ++step) {
    /* The step after a published one writes beside it; the one after that writes over it. */
    if (step > 2 && (step - 2) % o->every == 0) failed = output_before_overwrite(out) != 0;
    if (!failed) solver_advance(s);
    if (step % o->every == 0) {
      failed = failed || output_publish(out, step) != 0;
      MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, solver_comm(s));
    }
  }
  if (out != NULL && output_close(out) != 0) failed = 1;
  MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, solver_comm(s));
  return failed;
}

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  program_options o = {
      .solver = {.rows = 512, .columns = 512, .du = 0.2, .dv = 0.1, .feed = 0.02, .kill = 0.048, .dt = 1.0},
      .steps = 400,
      .every = 20};
  const char* words = NULL;
  int failed = read_options(argc, argv, &o, &words);
  if (failed != 0) {
    if (rank == 0 && failed < 0) fprintf(stderr, "gray_scott: '%s' is not valid\n%s", words, usage);
    if (rank == 0 && failed > 0) fputs(usage, stdout);
    MPI_Finalize();
    return failed < 0 ? 2 : 0;
  }
  solver* s = solver_create(MPI_COMM_WORLD, &o.solver, &words);
  if (s == NULL) {
    if (rank == 0) fprintf(stderr, "gray_scott: %s; use fewer ranks or another --shape\n", words);
    MPI_Finalize();
    return 2;
  }
  failed = simulate(s, &o);
  solver_free(s);
  MPI_Finalize();
  return failed ? 1 : 0;
}
