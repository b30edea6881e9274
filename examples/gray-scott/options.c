/* See options.h. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

const char* options_usage(void) {
  return "usage: gray_scott [options]\n"
         "  --shape ROWSxCOLUMNS  cells of the grid         (512x512)\n"
         "  --steps N             time steps                (400)\n"
         "  --every N             publish each N-th step    (20)\n"
         "  --du X --dv X         diffusion of u and v      (0.2, 0.1)\n"
         "  --feed X --kill X     feed and kill rates       (0.02, 0.048)\n"
         "  --dt X                time step                 (1.0)\n"
         "  --seed N              of the initial noise      (1)\n"
         "  --output KIND         none: a line per published step is all; weftline: v goes into a topic too;\n"
         "                        files: into files of each rank, as a program does without Weftline (none)\n"
         "  --topic NAME          of the published fields   (field)\n"
         "  --files PREFIX        of --output files: PREFIX.RANK.data, PREFIX.RANK.metadata (gray-scott)\n"
         "  --report PREFIX       each rank writes what it pushed to PREFIX.RANK.json\n"
         "  --timing FILE         how long the steps took, and their output, as JSON\n"
         "  --together            leaves when all ranks of the launch meet in a last barrier, servers included\n"
         "example: mpiexec -n 4 gray_scott --shape 1024x1024 --steps 1000\n"
         "example: mpiexec -n 1 weftline serve --until clients-gone : -n 2 gray_scott --output weftline\n"
         "         (with the topic in weftline.yaml: \"topics: { field: {} }\")\n";
}

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

static int read_output(const char* text, output_kind* out) {
  static const char* const names[] = {[OUTPUT_NONE] = "none", [OUTPUT_FILES] = "files", [OUTPUT_WEFTLINE] = "weftline"};
  for (size_t kind = 0; kind < sizeof names / sizeof names[0]; ++kind) {
    if (strcmp(text, names[kind]) != 0) continue;
    *out = (output_kind)kind;
    return 0;
  }
  return -1;
}

static int read_text(const char* text, const char** out) {
  *out = text;
  return *text == 0 ? -1 : 0;
}

static int read_one(int name, program_options* o) {
  int64_t seed = 0;
  switch (name) {
    case 's':
      return read_shape(optarg, &o->solver.rows, &o->solver.columns);
    case 'n':
      return read_integer(optarg, 0, &o->steps);
    case 'e':
      return read_integer(optarg, 1, &o->every);
    case 'u':
      return read_real(optarg, &o->solver.du);
    case 'v':
      return read_real(optarg, &o->solver.dv);
    case 'f':
      return read_real(optarg, &o->solver.feed);
    case 'k':
      return read_real(optarg, &o->solver.kill);
    case 't':
      return read_real(optarg, &o->solver.dt);
    case 'r':
      if (read_integer(optarg, 0, &seed) != 0) return -1;
      o->solver.seed = (uint64_t)seed;
      return 0;
    case 'o':
      return read_output(optarg, &o->output);
    case 'a':
      o->together = 1;
      return 0;
    case 'p':
      return read_text(optarg, &o->topic);
    case 'w':
      return read_text(optarg, &o->report);
    case 'i':
      return read_text(optarg, &o->files);
    case 'c':
      return read_text(optarg, &o->timing);
    default:
      return -1;
  }
}

int options_read(int argc, char** argv, program_options* o, const char** bad) {
  static const struct option names[] = {{"shape", 1, NULL, 's'},  {"steps", 1, NULL, 'n'},    {"every", 1, NULL, 'e'},
                                        {"du", 1, NULL, 'u'},     {"dv", 1, NULL, 'v'},       {"feed", 1, NULL, 'f'},
                                        {"kill", 1, NULL, 'k'},   {"dt", 1, NULL, 't'},       {"seed", 1, NULL, 'r'},
                                        {"help", 0, NULL, 'h'},   {"output", 1, NULL, 'o'},   {"topic", 1, NULL, 'p'},
                                        {"report", 1, NULL, 'w'}, {"together", 0, NULL, 'a'}, {"files", 1, NULL, 'i'},
                                        {"timing", 1, NULL, 'c'}, {NULL, 0, NULL, 0}};
  *o = (program_options){
      .solver = {.rows = 512, .columns = 512, .du = 0.2, .dv = 0.1, .feed = 0.02, .kill = 0.048, .dt = 1.0, .seed = 1},
      .steps = 400,
      .every = 20,
      .topic = "field",
      .files = "gray-scott"};
  opterr = 0;
  for (int name; (name = getopt_long(argc, argv, "", names, NULL)) != -1;) {
    *bad = argv[optind - 1];
    if (name == 'h') return 1;
    if (read_one(name, o) != 0) return -1;
  }
  if (optind < argc) {
    *bad = argv[optind];
    return -1;
  }
  return 0;
}
