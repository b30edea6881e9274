/* The command line of gray_scott: its defaults, its check, its help. */
#ifndef GRAY_SCOTT_OPTIONS_H
#define GRAY_SCOTT_OPTIONS_H

#include <stdint.h>

#include "solver.h"

typedef enum output_kind {
  OUTPUT_NONE,
  OUTPUT_FILES,   /* every k-th step's field goes into files of each rank */
  OUTPUT_WEFTLINE /* ... into a topic */
} output_kind;

typedef struct program_options {
  solver_options solver;
  int64_t steps;
  int64_t every;
  output_kind output;
  int together;       /* wait for all other ranks of the launch before leaving */
  const char* topic;  /* these point into argv */
  const char* files;  /* beginning of the names of the files */
  const char* report; /* a file per rank that says what was pushed; NULL: none */
  const char* timing; /* a file that says how long it took; NULL: none */
} program_options;

/* 0; 1 when help was asked for; -1 with the bad option in *bad. */
int options_read(int argc, char** argv, program_options* o, const char** bad);
const char* options_usage(void);

#endif
