/* See solver.h. One allocation holds u, v and their next values; the halo exchange runs while the inner cells are
   computed. */
#include "solver.h"

#include <stdlib.h>
#include <string.h>

#include "halo.h"

enum { FIELDS = 4 };
/* Halo messages count with int. */
static const int64_t side_max = 1 << 29;

struct solver {
  MPI_Comm comm;
  solver_options options;
  solver_block block;
  halo edges;
  double* memory;
  double* u;
  double* v;
  double* u_next;
  double* v_next;
};

/* splitmix64: mixes all bits of x. */
static uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/* The part of `length` cells that belongs to `index` of `parts`; the first parts are one longer if it does not divide.
 */
static void part_of(int64_t length, int parts, int index, int64_t* first, int64_t* count) {
  const int64_t each = length / parts;
  const int64_t longer = length % parts;
  *count = each + (index < longer ? 1 : 0);
  *first = index * each + (index < longer ? index : longer);
}

/* u = 1, v = 0 but for a square in the middle, and a little noise that depends on the seed and the cell only. */
static void fill(solver* s) {
  const solver_options* o = &s->options;
  const int64_t half = (o->rows < o->columns ? o->rows : o->columns) / 16 + 1;
  for (int64_t row = 0; row < s->block.rows; ++row) {
    for (int64_t column = 0; column < s->block.columns; ++column) {
      const int64_t y = s->block.row + row;
      const int64_t x = s->block.column + column;
      const int64_t at = row * s->block.columns + column;
      const int inside = llabs(y - o->rows / 2) < half && llabs(x - o->columns / 2) < half;
      const double noise = (double)(mix(o->seed ^ mix((uint64_t)(y * o->columns + x))) >> 11) * 0x1p-53;
      s->u[at] = (inside ? 0.5 : 1.0) - 0.01 * noise;
      s->v[at] = (inside ? 0.25 : 0.0) + 0.01 * noise;
    }
  }
}

static int allocate(solver* s) {
  const size_t cells = (size_t)(s->block.rows * s->block.columns);
  s->memory = calloc(FIELDS * cells, sizeof *s->memory);
  if (s->memory == NULL) return -1;
  s->u = s->memory;
  s->v = s->u + cells;
  s->u_next = s->v + cells;
  s->v_next = s->u_next + cells;
  return halo_create(&s->edges, s->comm, (size_t)s->block.rows, (size_t)s->block.columns);
}

static const char* check_options(const solver_options* o, const int parts[2]) {
  if (o->rows < parts[0] || o->columns < parts[1]) return "the grid has fewer rows or columns than ranks along them";
  if (o->rows > side_max || o->columns > side_max) return "a side of the grid is longer than 2^29 cells";
  return NULL;
}

solver* solver_create(MPI_Comm comm, const solver_options* options, const char** why) {
  int ranks = 0;
  int parts[2] = {0, 0};
  MPI_Comm_size(comm, &ranks);
  MPI_Dims_create(ranks, 2, parts);
  *why = check_options(options, parts);
  if (*why != NULL) return NULL;

  MPI_Comm grid = MPI_COMM_NULL;
  MPI_Cart_create(comm, 2, parts, (int[]){1, 1}, 0, &grid);
  solver* s = calloc(1, sizeof *s);
  int ok = s != NULL;
  if (ok) {
    int rank = 0;
    int place[2] = {0, 0};
    s->comm = grid;
    s->options = *options;
    MPI_Comm_rank(grid, &rank);
    MPI_Cart_coords(grid, rank, 2, place);
    part_of(options->rows, parts[0], place[0], &s->block.row, &s->block.rows);
    part_of(options->columns, parts[1], place[1], &s->block.column, &s->block.columns);
    ok = allocate(s) == 0;
  }
  /* All or none: a rank without memory must not leave the others waiting for its halo. */
  int all_ok = 0;
  MPI_Allreduce(&ok, &all_ok, 1, MPI_INT, MPI_MIN, grid);
  if (!all_ok) {
    *why = "a rank has no memory for its part of the grid";
    if (ok) halo_free(&s->edges);
    if (s != NULL) free(s->memory);
    free(s);
    MPI_Comm_free(&grid);
    return NULL;
  }
  fill(s);
  return s;
}

void solver_free(solver* s) {
  if (s == NULL) return;
  halo_free(&s->edges);
  MPI_Comm_free(&s->comm);
  free(s->memory);
  free(s);
}

/* The rows of u and v above, at and below, and the values beside the row's ends. */
typedef struct stencil_row {
  const double *u_up, *u, *u_down;
  const double *v_up, *v, *v_down;
  double u_west, u_east, v_west, v_east;
} stencil_row;

static inline void cell(const solver* s, const stencil_row* r, int64_t x, double u_west, double u_east, double v_west,
                        double v_east, double* u_out, double* v_out) {
  const solver_options* o = &s->options;
  const double u = r->u[x];
  const double v = r->v[x];
  const double u_lap = (r->u_up[x] + r->u_down[x]) + (u_west + u_east) - 4.0 * u;
  const double v_lap = (r->v_up[x] + r->v_down[x]) + (v_west + v_east) - 4.0 * v;
  const double reaction = u * v * v;
  u_out[x] = u + o->dt * (o->du * u_lap - reaction + o->feed * (1.0 - u));
  v_out[x] = v + o->dt * (o->dv * v_lap + reaction - (o->feed + o->kill) * v);
}

/* Cells 1 to columns - 2: the neighbours are in the row itself. */
static void middle(const solver* s, const stencil_row* r, double* restrict u_out, double* restrict v_out) {
  for (int64_t x = 1; x < s->block.columns - 1; ++x) {
    cell(s, r, x, r->u[x - 1], r->u[x + 1], r->v[x - 1], r->v[x + 1], u_out, v_out);
  }
}

static void ends(const solver* s, const stencil_row* r, double* u_out, double* v_out) {
  const int64_t last = s->block.columns - 1;
  const double u_second = last > 0 ? r->u[1] : r->u_east;
  const double v_second = last > 0 ? r->v[1] : r->v_east;
  cell(s, r, 0, r->u_west, u_second, r->v_west, v_second, u_out, v_out);
  if (last > 0) cell(s, r, last, r->u[last - 1], r->u_east, r->v[last - 1], r->v_east, u_out, v_out);
}

static stencil_row row_at(const solver* s, int64_t y, int with_edges) {
  const int64_t n = s->block.columns;
  const int64_t last = s->block.rows - 1;
  stencil_row r = {.u = s->u + y * n, .v = s->v + y * n};
  r.u_up = y > 0 ? r.u - n : halo_u(&s->edges, HALO_NORTH);
  r.v_up = y > 0 ? r.v - n : halo_v(&s->edges, HALO_NORTH);
  r.u_down = y < last ? r.u + n : halo_u(&s->edges, HALO_SOUTH);
  r.v_down = y < last ? r.v + n : halo_v(&s->edges, HALO_SOUTH);
  if (with_edges) {
    r.u_west = halo_u(&s->edges, HALO_WEST)[y];
    r.v_west = halo_v(&s->edges, HALO_WEST)[y];
    r.u_east = halo_u(&s->edges, HALO_EAST)[y];
    r.v_east = halo_v(&s->edges, HALO_EAST)[y];
  }
  return r;
}

static void swap(double** a, double** b) {
  double* const kept = *a;
  *a = *b;
  *b = kept;
}

void solver_advance(solver* s) {
  const int64_t n = s->block.columns;
  const int64_t last = s->block.rows - 1;
  halo_start(&s->edges, s->u, s->v);
  for (int64_t y = 1; y < last; ++y) {
    const stencil_row r = row_at(s, y, 0);
    middle(s, &r, s->u_next + y * n, s->v_next + y * n);
  }
  halo_finish(&s->edges);
  for (int64_t y = 0; y <= last; ++y) {
    const stencil_row r = row_at(s, y, 1);
    if (y == 0 || y == last) middle(s, &r, s->u_next + y * n, s->v_next + y * n);
    ends(s, &r, s->u_next + y * n, s->v_next + y * n);
  }
  swap(&s->u, &s->u_next);
  swap(&s->v, &s->v_next);
}

static uint64_t bits_of(double value) {
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

solver_summary solver_summarize(const solver* s) {
  double sums[2] = {0.0, 0.0};
  double extremes[2] = {-s->v[0], s->v[0]}; /* -min and max, so that one reduction does both */
  uint64_t checksum = 0;                    /* a sum: it does not depend on the order of the cells */
  for (int64_t row = 0; row < s->block.rows; ++row) {
    for (int64_t column = 0; column < s->block.columns; ++column) {
      const int64_t at = row * s->block.columns + column;
      const uint64_t index = (uint64_t)((s->block.row + row) * s->options.columns + s->block.column + column);
      sums[0] += s->u[at];
      sums[1] += s->v[at];
      if (-s->v[at] > extremes[0]) extremes[0] = -s->v[at];
      if (s->v[at] > extremes[1]) extremes[1] = s->v[at];
      checksum += mix(mix(index) ^ bits_of(s->u[at])) + mix(mix(~index) ^ bits_of(s->v[at]));
    }
  }
  MPI_Allreduce(MPI_IN_PLACE, sums, 2, MPI_DOUBLE, MPI_SUM, s->comm);
  MPI_Allreduce(MPI_IN_PLACE, extremes, 2, MPI_DOUBLE, MPI_MAX, s->comm);
  MPI_Allreduce(MPI_IN_PLACE, &checksum, 1, MPI_UINT64_T, MPI_SUM, s->comm);
  const double cells = (double)s->options.rows * (double)s->options.columns;
  return (solver_summary){.u_mean = sums[0] / cells,
                          .v_mean = sums[1] / cells,
                          .v_min = -extremes[0],
                          .v_max = extremes[1],
                          .checksum = checksum};
}

const double* solver_u(const solver* s) { return s->u; }
const double* solver_v(const solver* s) { return s->v; }
solver_block solver_own_block(const solver* s) { return s->block; }
MPI_Comm solver_comm(const solver* s) { return s->comm; }

void* solver_memory(solver* s, size_t* size_bytes) {
  *size_bytes = FIELDS * (size_t)(s->block.rows * s->block.columns) * sizeof *s->memory;
  return s->memory;
}
