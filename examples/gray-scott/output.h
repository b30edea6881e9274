/* The way of the simulation's field into a Weftline topic. Each rank pushes its own block of v as one event: the
   metadata says where the block lies, the data is the solver's array itself, which the server reads out of the
   solver's memory. That memory is registered once, in output_open. Or, to compare, into files: the same bytes, by
   pwrite. After output_publish returned the array must stay as it is until output_before_overwrite returned. Every
   function is local to the rank. On -1 the words are on stderr. */
#ifndef GRAY_SCOTT_OUTPUT_H
#define GRAY_SCOTT_OUTPUT_H

#include <stdint.h>
#include <weftline/weftline.h>

#include "options.h"
#include "solver.h"

typedef struct output output;

/* Where this rank's time went, in seconds. */
typedef struct output_times {
  double describe_s; /* the metadata: minimum, maximum, checksum */
  double push_s;
  double wait_s;  /* until the solver may overwrite */
  double flush_s; /* at the end: until all is stored */
} output_times;

/* `rank` of `ranks` of the solver. NULL when it cannot be opened. `job` NULL: into files. */
output* output_open(weft_job* job, solver* s, const program_options* options, int rank, int ranks);
int output_publish(output* o, int64_t step);
/* Before the solver overwrites what was last published. */
int output_before_overwrite(output* o);
/* Pushes the event that ends this rank's stream, waits until everything is stored, writes the report. */
int output_finish(output* o);
output_times output_spent(const output* o);
/* Frees. The solver's memory is its own again. */
int output_close(output* o);

#endif
