/* Gray-Scott reaction-diffusion in two dimensions, double precision, periodic, on the ranks of one communicator.
     du/dt = Du lap(u) - u v^2 + F (1 - u)        dv/dt = Dv lap(v) + u v^2 - (F + k) v
   Explicit Euler, 5-point Laplacian with grid spacing 1. Each cell's new value is computed from the same numbers in the
   same order on any number of ranks, so the fields are the same bit for bit.
   Every function is collective over the communicator unless marked local. MPI errors end the program (MPI's default).
 */
#ifndef GRAY_SCOTT_SOLVER_H
#define GRAY_SCOTT_SOLVER_H

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

typedef struct solver_options {
  int64_t rows; /* of the whole grid */
  int64_t columns;
  double du;
  double dv;
  double feed;
  double kill;
  double dt;
  uint64_t seed;
} solver_options;

/* This rank's part of the grid. Arrays are row by row, without ghost cells: rows x columns doubles. */
typedef struct solver_block {
  int64_t row; /* of the whole grid, of the first cell */
  int64_t column;
  int64_t rows;
  int64_t columns;
} solver_block;

typedef struct solver_summary {
  double u_mean;
  double v_mean;
  double v_min;
  double v_max;
  uint64_t checksum; /* of all bits of u and v, the same for any number of ranks */
} solver_summary;

typedef struct solver solver;

/* NULL on every rank, with the reason in *why, when the grid cannot be split over the ranks or memory is short. */
solver* solver_create(MPI_Comm comm, const solver_options* options, const char** why);
void solver_free(solver* s);

void solver_advance(solver* s);
solver_summary solver_summarize(const solver* s);

/* Local. The arrays of the current step; they are overwritten not by the next solver_advance but by the one after. */
const double* solver_u(const solver* s);
const double* solver_v(const solver* s);
solver_block solver_own_block(const solver* s);
/* Local. The one piece of memory that solver_u and solver_v always point into: register this once. */
void* solver_memory(solver* s, size_t* size_bytes);
/* Local. The solver's own communicator (a 2-D Cartesian one). */
MPI_Comm solver_comm(const solver* s);

#endif
