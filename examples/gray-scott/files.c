/* See files.h. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DATA, METADATA, KINDS };

struct files {
  int descriptor[KINDS];
  uint64_t end[KINDS];
};

static int failed(const char* doing, const char* what) {
  fprintf(stderr, "gray_scott: %s %s: %s\n", doing, what, strerror(errno));
  return -1;
}

files* files_open(const char* prefix, int rank) {
  static const char* const names[KINDS] = {"data", "metadata"};
  files* f = calloc(1, sizeof *f);
  if (f == NULL) return NULL;
  for (int kind = 0; kind < KINDS; ++kind) f->descriptor[kind] = -1;
  for (int kind = 0; kind < KINDS; ++kind) {
    char path[4096];
    const int length = snprintf(path, sizeof path, "%s.%d.%s", prefix, rank, names[kind]);
    errno = ENAMETOOLONG;
    if (length > 0 && (size_t)length < sizeof path)
      f->descriptor[kind] = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (f->descriptor[kind] >= 0) continue;
    failed("opening", path);
    files_close(f);
    return NULL;
  }
  return f;
}

static int append(files* f, int kind, const char* bytes, uint64_t count) {
  while (count > 0) {
    const ssize_t written = pwrite(f->descriptor[kind], bytes, count, (off_t)f->end[kind]);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("writing", kind == DATA ? "the data" : "the metadata");
    bytes += written;
    count -= (uint64_t)written;
    f->end[kind] += (uint64_t)written;
  }
  return 0;
}

int files_append(files* f, const char* metadata, size_t length, const void* data, uint64_t bytes) {
  if (append(f, DATA, data, bytes) != 0 || append(f, METADATA, metadata, length) != 0) return -1;
  return append(f, METADATA, "\n", 1);
}

int files_close(files* f) {
  int result = 0;
  for (int kind = 0; kind < KINDS; ++kind) {
    if (f->descriptor[kind] >= 0 && close(f->descriptor[kind]) != 0) result = failed("closing", "a file");
  }
  free(f);
  return result;
}
