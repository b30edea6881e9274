/* The command line of gray_scott: its defaults, its check, its help. */
#ifndef GRAY_SCOTT_OPTIONS_H
#define GRAY_SCOTT_OPTIONS_H

#include <stdint.h>

#include "solver.h"

typedef struct program_options {
  solver_options solver;
  int64_t steps;
  int64_t every;
  int publishes;      /* --output weftline: every k-th step's field goes into the topic */
  int together;       /* wait for all other ranks of the launch before leaving */
  const char* topic;  /* these point into argv */
  const char* report; /* a file per rank that says what was pushed; NULL: none */
} program_options;

/* 0; 1 when help was asked for; -1 with the bad option in *bad. */
int options_read(int argc, char** argv, program_options* o, const char** bad);
const char* options_usage(void);

#endif
