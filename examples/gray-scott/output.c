/* See output.h. Events of one rank:
     {"step":20,"rank":0,"field":"v","grid":[512,512],"origin":[0,0],"shape":[512,256],"min":…,"max":…,"crc32c":"…"}
   with the block's doubles as data, and at the end, without data,
     {"last":true,"rank":0,"ranks":2,"events":20,"bytes":…}
   so that whoever has seen the last event of every rank knows how many others there are. */
#include "output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <weftline/weftline_server.h> /* weft_crc32c */

#include "files.h"

enum { METADATA_BYTES_MAX = 512 };
/* How long the server may take to read a block, or to store what is left at the end. */
static const int64_t wait_ms = 60000;

typedef struct pushed {
  int64_t step;
  uint32_t crc32c;
} pushed;

struct output {
  weft_job* job;
  solver* source;
  const program_options* options;
  int rank;
  int ranks;
  weft_producer* producer;
  weft_region* region;
  const char* memory; /* where the region begins */
  files* files;       /* in the place of the two above */
  pushed* list;       /* one per published step: their number is known beforehand */
  int64_t list_max;
  int64_t events; /* with data */
  uint64_t bytes;
  double began_s;
  output_times spent;
};

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int failed(const output* o, const char* doing) {
  fprintf(stderr, "gray_scott rank %d: %s: %s\n", o->rank, doing, weft_error_text(o->job));
  return -1;
}

static int open_parts(output* o, solver* s) {
  size_t length = 0;
  void* memory = solver_memory(s, &length);
  o->memory = memory;
  if (o->job == NULL) {
    o->files = files_open(o->options->files, o->rank);
    return o->files != NULL ? 0 : -1;
  }
  if (weft_producer_open(o->job, o->options->topic, NULL, &o->producer) != WEFT_OK) {
    return failed(o, "opening the producer");
  }
  if (weft_region_register(o->job, memory, length, &o->region) != WEFT_OK) {
    return failed(o, "registering the solver's memory");
  }
  return 0;
}

output* output_open(weft_job* job, solver* s, const program_options* options, int rank, int ranks) {
  output* o = calloc(1, sizeof *o);
  const int64_t list_max = options->steps / options->every;
  pushed* list = calloc((size_t)list_max + 1, sizeof *list);
  if (o == NULL || list == NULL) {
    fprintf(stderr, "gray_scott rank %d: no memory for the list of %" PRId64 " events\n", rank, list_max);
    free(list);
    free(o);
    return NULL;
  }
  *o = (output){.job = job, .source = s, .options = options, .rank = rank, .ranks = ranks, .list = list};
  o->list_max = list_max;
  o->began_s = now_s();
  if (open_parts(o, s) == 0) return o;
  output_close(o);
  return NULL;
}

static int push(output* o, const char* metadata, int length, const void* data, uint64_t bytes) {
  if (length < 0 || length >= METADATA_BYTES_MAX) {
    fprintf(stderr, "gray_scott rank %d: metadata of %d bytes; the limit is %d\n", o->rank, length, METADATA_BYTES_MAX);
    return -1;
  }
  if (o->files != NULL) return files_append(o->files, metadata, (size_t)length, data, bytes);
  weft_region* region = bytes > 0 ? o->region : NULL;
  const uint64_t at = bytes > 0 ? (uint64_t)((const char*)data - o->memory) : 0;
  if (weft_push(o->producer, metadata, (uint64_t)length, region, at, bytes, NULL) != WEFT_OK) {
    return failed(o, "pushing an event");
  }
  return 0;
}

int output_publish(output* o, int64_t step) {
  const double began_s = now_s();
  const solver_block block = solver_own_block(o->source);
  const double* v = solver_v(o->source);
  const int64_t cells = block.rows * block.columns;
  const uint64_t bytes = (uint64_t)cells * sizeof *v;
  double min = v[0];
  double max = v[0];
  for (int64_t i = 1; i < cells; ++i) {
    if (v[i] < min) min = v[i];
    if (v[i] > max) max = v[i];
  }
  const uint32_t crc32c = weft_crc32c(v, bytes, 0);
  char metadata[METADATA_BYTES_MAX];
  const int length = snprintf(metadata, sizeof metadata,
                              "{\"step\":%" PRId64 ",\"rank\":%d,\"field\":\"v\",\"grid\":[%" PRId64 ",%" PRId64
                              "],\"origin\":[%" PRId64 ",%" PRId64 "],\"shape\":[%" PRId64 ",%" PRId64
                              "],\"min\":%.17g,\"max\":%.17g,\"crc32c\":\"%08" PRIx32 "\"}",
                              step, o->rank, o->options->solver.rows, o->options->solver.columns, block.row,
                              block.column, block.rows, block.columns, min, max, crc32c);
  const double described_s = now_s();
  o->spent.describe_s += described_s - began_s;
  if (push(o, metadata, length, v, bytes) != 0) return -1;
  o->spent.push_s += now_s() - described_s;
  if (o->events < o->list_max) o->list[o->events] = (pushed){.step = step, .crc32c = crc32c};
  ++o->events;
  o->bytes += bytes;
  return 0;
}

int output_before_overwrite(output* o) {
  if (o->files != NULL) return 0;
  const double began_s = now_s();
  if (weft_region_wait(o->region, wait_ms) != WEFT_OK) return failed(o, "waiting until the server has read the field");
  o->spent.wait_s += now_s() - began_s;
  return 0;
}

static int write_report(const output* o, double elapsed_s) {
  if (o->options->report == NULL) return 0;
  char path[4096];
  const int length = snprintf(path, sizeof path, "%s.%d.json", o->options->report, o->rank);
  FILE* file = length > 0 && (size_t)length < sizeof path ? fopen(path, "w") : NULL;
  if (file == NULL) {
    fprintf(stderr, "gray_scott rank %d: the report %s cannot be written; choose another --report\n", o->rank, path);
    return -1;
  }
  fprintf(file, "{\"rank\":%d,\"ranks\":%d,\"events\":%" PRId64 ",\"bytes\":%" PRIu64 ",\"seconds\":%.3f,\"pushed\":[",
          o->rank, o->ranks, o->events, o->bytes, elapsed_s);
  for (int64_t i = 0; i < o->events; ++i) {
    fprintf(file, "%s{\"step\":%" PRId64 ",\"crc32c\":\"%08" PRIx32 "\"}", i == 0 ? "" : ",", o->list[i].step,
            o->list[i].crc32c);
  }
  fputs("]}\n", file);
  const int wrong = ferror(file);
  if (fclose(file) == 0 && !wrong) return 0;
  fprintf(stderr, "gray_scott rank %d: writing the report %s failed; look at its device\n", o->rank, path);
  return -1;
}

/* At the topic's durability; files are in the page cache with the return of pwrite, as `written` promises. */
static int flush(output* o) {
  if (o->files != NULL) return 0;
  const double began_s = now_s();
  if (weft_flush(o->producer, wait_ms) != WEFT_OK) return failed(o, "waiting until everything is stored");
  o->spent.flush_s += now_s() - began_s;
  return 0;
}

int output_finish(output* o) {
  char metadata[METADATA_BYTES_MAX];
  if (flush(o) != 0) return -1;
  const int length = snprintf(metadata, sizeof metadata,
                              "{\"last\":true,\"rank\":%d,\"ranks\":%d,\"events\":%" PRId64 ",\"bytes\":%" PRIu64 "}",
                              o->rank, o->ranks, o->events, o->bytes);
  if (push(o, metadata, length, NULL, 0) != 0) return -1;
  if (flush(o) != 0) return -1;
  return write_report(o, now_s() - o->began_s);
}

output_times output_spent(const output* o) { return o->spent; }

int output_close(output* o) {
  int result = 0;
  if (o->files != NULL && files_close(o->files) != 0) result = -1;
  if (o->producer != NULL && weft_producer_close(o->producer, wait_ms) != WEFT_OK) {
    result = failed(o, "closing the producer");
  }
  if (o->region != NULL && weft_region_release(o->region) != WEFT_OK) result = failed(o, "releasing the memory");
  free(o->list);
  free(o);
  return result;
}
