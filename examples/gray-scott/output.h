/* Where the simulation's fields go. This one prints a summary on the solver's first rank.
   publish may keep reading the solver's current arrays after it returned, until before_overwrite returned. */
#ifndef GRAY_SCOTT_OUTPUT_H
#define GRAY_SCOTT_OUTPUT_H

#include <stdint.h>

#include "solver.h"

typedef struct output output;

/* Collective over the solver's communicator, as are the others. NULL when it cannot be opened (said on stderr). */
output* output_open(solver* s);
/* 0, or -1 (said on stderr): the simulation should end. */
int output_publish(output* o, int64_t step);
/* Before the solver overwrites what was last published. */
int output_before_overwrite(output* o);
/* Ends and frees; -1 when something published was not delivered. */
int output_close(output* o);

#endif
