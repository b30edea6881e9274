/* See halo.h. A rank may be its own neighbour, or the same one on both sides: the tag is the direction of travel. */
#include "halo.h"

#include <stdlib.h>
#include <string.h>

static size_t side_length(const halo* h, int side) {
  return side == HALO_NORTH || side == HALO_SOUTH ? h->columns : h->rows;
}

static int opposite(int side) { return side ^ 1; }

int halo_create(halo* h, MPI_Comm comm, size_t rows, size_t columns) {
  *h = (halo){.comm = comm, .rows = rows, .columns = columns};
  MPI_Cart_shift(comm, 0, 1, &h->neighbour[HALO_NORTH], &h->neighbour[HALO_SOUTH]);
  MPI_Cart_shift(comm, 1, 1, &h->neighbour[HALO_WEST], &h->neighbour[HALO_EAST]);
  for (int side = 0; side < HALO_SIDES; ++side) {
    h->out[side] = calloc(2 * side_length(h, side), sizeof(double));
    h->in[side] = calloc(2 * side_length(h, side), sizeof(double));
    if (h->out[side] == NULL || h->in[side] == NULL) {
      halo_free(h);
      return -1;
    }
  }
  return 0;
}

void halo_free(halo* h) {
  for (int side = 0; side < HALO_SIDES; ++side) {
    free(h->out[side]);
    free(h->in[side]);
    h->out[side] = h->in[side] = NULL;
  }
}

static void pack(const halo* h, const double* field, int side, double* out) {
  if (side == HALO_NORTH) memcpy(out, field, h->columns * sizeof *out);
  if (side == HALO_SOUTH) memcpy(out, field + (h->rows - 1) * h->columns, h->columns * sizeof *out);
  if (side == HALO_WEST || side == HALO_EAST) {
    const double* cell = field + (side == HALO_WEST ? 0 : h->columns - 1);
    for (size_t row = 0; row < h->rows; ++row, cell += h->columns) out[row] = *cell;
  }
}

void halo_start(halo* h, const double* u, const double* v) {
  for (int side = 0; side < HALO_SIDES; ++side) {
    const int count = (int)(2 * side_length(h, side));
    /* What comes in on this side travels towards the opposite one. */
    MPI_Irecv(h->in[side], count, MPI_DOUBLE, h->neighbour[side], opposite(side), h->comm, &h->requests[side]);
  }
  for (int side = 0; side < HALO_SIDES; ++side) {
    const size_t length = side_length(h, side);
    pack(h, u, side, h->out[side]);
    pack(h, v, side, h->out[side] + length);
    MPI_Isend(h->out[side], (int)(2 * length), MPI_DOUBLE, h->neighbour[side], side, h->comm,
              &h->requests[HALO_SIDES + side]);
  }
}

void halo_finish(halo* h) {
  MPI_Status statuses[2 * HALO_SIDES]; /* unused: MPICH's MPI_STATUSES_IGNORE draws a false warning from gcc */
  MPI_Waitall(2 * HALO_SIDES, h->requests, statuses);
}

const double* halo_u(const halo* h, int side) { return h->in[side]; }
const double* halo_v(const halo* h, int side) { return h->in[side] + side_length(h, side); }
