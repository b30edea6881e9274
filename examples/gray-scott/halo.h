/* The exchange of a block's edges with its four neighbours, for two fields at once. The edges that come in are kept
   beside the block, not around it, so that the block itself stays one dense array that can be streamed as it is. */
#ifndef GRAY_SCOTT_HALO_H
#define GRAY_SCOTT_HALO_H

#include <mpi.h>
#include <stddef.h>

enum { HALO_NORTH, HALO_SOUTH, HALO_WEST, HALO_EAST, HALO_SIDES };

typedef struct halo {
  MPI_Comm comm;
  size_t rows;
  size_t columns;
  int neighbour[HALO_SIDES];
  double* out[HALO_SIDES]; /* u's edge, then v's */
  double* in[HALO_SIDES];
  MPI_Request requests[2 * HALO_SIDES];
} halo;

/* 0, or -1 when memory is short; local. comm is a periodic 2-D Cartesian communicator. */
int halo_create(halo* h, MPI_Comm comm, size_t rows, size_t columns);
void halo_free(halo* h);

/* Between start and finish the fields may be read but not written. */
void halo_start(halo* h, const double* u, const double* v);
void halo_finish(halo* h);

/* The neighbour's edge next to this side: columns or rows values. */
const double* halo_u(const halo* h, int side);
const double* halo_v(const halo* h, int side);

#endif
