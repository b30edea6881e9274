/* Two files of one rank, as a simulation writes them that has no Weftline: PREFIX.RANK.data is the blocks of values one
   after the other, PREFIX.RANK.metadata a line for each. Local. On NULL or -1 the words are on stderr. */
#ifndef GRAY_SCOTT_FILES_H
#define GRAY_SCOTT_FILES_H

#include <stddef.h>
#include <stdint.h>

typedef struct files files;

/* Empties those that are there. */
files* files_open(const char* prefix, int rank);
/* Into the page cache: the memory may change when it returns. */
int files_append(files* f, const char* metadata, size_t length, const void* data, uint64_t bytes);
/* Frees. */
int files_close(files* f);

#endif
