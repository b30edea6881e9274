/* The C table between Weftline and an MPI library.
   Each MPI module (weftline_mpi_mpich.so, weftline_mpi_openmpi.so) exports one symbol, weft_mpi_get_table(), which
   gives a table of functions; a process that has no MPI gets the same table for a world of one (mpi/loader.h). This
   header does not include mpi.h, so that one build of everything above it serves every MPI.

   Calling rules
   - Threads: where weft_mpi_facts.thread_level is WEFT_MPI_THREAD_MULTIPLE, any thread may call, one at a time per
     communicator; below that, only the thread that called MPI_Init (or init here).
   - Blocking: functions marked BLOCKING wait for other ranks without a time limit; they belong in join, before
     anything else runs. Everything else returns at once.
   - Collective functions are called by every rank of the communicator, in the same order on each.
   - Communicators are always duplicates made here, with errors returned, so that Weftline's messages never meet the
     user's and an error never aborts the program by itself. They must be freed (comm_free) unless the process ends.
   - Byte counts are 64-bit here but MPI counts with int: one call moves at most WEFT_MPI_BYTES_MAX bytes in all and
     refuses more with WEFT_MPI_LIMIT.
   - A function returns WEFT_MPI_OK or another code of weft_mpi_code; error_text() then holds the words for the calling
     thread, until its next call here. Out-parameters are written only on WEFT_MPI_OK. */
#ifndef WEFTLINE_MPI_MPI_TABLE_H
#define WEFTLINE_MPI_MPI_TABLE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_MPI_TABLE_VERSION 1u
#define WEFT_MPI_BYTES_MAX ((uint64_t)0x7fffffff)

typedef enum weft_mpi_code {
  WEFT_MPI_OK = 0,
  WEFT_MPI_FAILED = 1,          /* an MPI function returned an error */
  WEFT_MPI_INVALID = 2,         /* an argument is not valid */
  WEFT_MPI_NOT_INITIALIZED = 3, /* MPI was not initialized, or was finalized */
  WEFT_MPI_LIMIT = 4,           /* more than WEFT_MPI_BYTES_MAX bytes */
  WEFT_MPI_OUT_OF_MEMORY = 5,
  WEFT_MPI_UNSUPPORTED = 6 /* this table cannot do it (a world of one has no Fortran handles) */
} weft_mpi_code;

typedef enum weft_mpi_thread_level {
  WEFT_MPI_THREAD_SINGLE = 0,
  WEFT_MPI_THREAD_FUNNELED = 1,
  WEFT_MPI_THREAD_SERIALIZED = 2,
  WEFT_MPI_THREAD_MULTIPLE = 3
} weft_mpi_thread_level;

/* How a finalization ended. */
typedef enum weft_mpi_finalize_outcome {
  WEFT_MPI_FINALIZED = 0,         /* MPI_Finalize returned */
  WEFT_MPI_FINALIZE_NOT_OURS = 1, /* init() did not initialize MPI: whoever did will finalize it */
  WEFT_MPI_FINALIZE_SKIPPED = 2,  /* a rank did not come before the deadline (or MPI failed): MPI_Finalize not called */
  WEFT_MPI_FINALIZE_HUNG = 3      /* MPI_Finalize was called and did not return in time: a thread is left inside it */
} weft_mpi_finalize_outcome;

typedef struct weft_mpi_comm weft_mpi_comm;       /* a communicator of our own */
typedef struct weft_mpi_request weft_mpi_request; /* an operation that has started; ended by test() only */

/* Filled by facts(). The caller sets size_bytes to sizeof(weft_mpi_facts). */
typedef struct weft_mpi_facts {
  uint32_t size_bytes;
  int32_t initialized_here; /* 1: init() called MPI_Init_thread, so finalize() is ours to do */
  int32_t thread_level;     /* weft_mpi_thread_level, as provided */
  int32_t world_rank;       /* in MPI_COMM_WORLD */
  int32_t world_size;
  int32_t appnum;      /* MPI_APPNUM: which program of an MPMD launch; -1 when the launcher does not say */
  char library[128];   /* first line of MPI_Get_library_version */
  char processor[128]; /* MPI_Get_processor_name, cut to fit */
} weft_mpi_facts;

typedef struct weft_mpi_table {
  uint32_t version;    /* WEFT_MPI_TABLE_VERSION of the module: other versions are refused by the loader */
  uint32_t size_bytes; /* sizeof(weft_mpi_table) of the module: a table may grow at its end */
  const char* family;  /* "mpich", "openmpi" or "none" */

  /* ---- the process ---- */
  const char* (*error_text)(void); /* of the calling thread's last failed call; "" if none */
  int (*initialized)(void);        /* 1 after MPI_Init by anybody in this process; any thread, any time */
  int (*finalized)(void);
  /* BLOCKING, collective over MPI_COMM_WORLD when MPI is not initialized yet (asks for THREAD_MULTIPLE); otherwise
     local. Calling it again is fine. After a finalization: WEFT_MPI_NOT_INITIALIZED. */
  int (*init)(void);
  int (*facts)(weft_mpi_facts* out);

  /* ---- communicators; each is BLOCKING and collective unless it says otherwise ---- */
  int (*comm_world)(weft_mpi_comm** out);                        /* duplicate of MPI_COMM_WORLD */
  int (*comm_from_fortran)(int32_t handle, weft_mpi_comm** out); /* duplicate of MPI_Comm_f2c(handle) */
  int (*comm_to_fortran)(weft_mpi_comm* comm, int32_t* handle);  /* local; of the duplicate, valid until comm_free */
  int (*comm_dup)(weft_mpi_comm* comm, weft_mpi_comm** out);
  /* color < 0: this rank is in none, *out is set to NULL. */
  int (*comm_split)(weft_mpi_comm* comm, int32_t color, int32_t key, weft_mpi_comm** out);
  int (*comm_split_shared)(weft_mpi_comm* comm, weft_mpi_comm** out); /* ranks that share memory: one node's */
  /* Collective over the listed ranks only. tag tells apart groups that are made at the same time (0 to 16383). */
  int (*comm_create_group)(weft_mpi_comm* comm, const int32_t* ranks, int32_t count, int32_t tag, weft_mpi_comm** out);
  int (*comm_rank)(weft_mpi_comm* comm, int32_t* rank); /* local */
  int (*comm_size)(weft_mpi_comm* comm, int32_t* size); /* local */
  int (*comm_free)(weft_mpi_comm* comm); /* collective; refused with WEFT_MPI_INVALID while a request of it is open */

  /* ---- bytes, BLOCKING ---- */
  int (*barrier)(weft_mpi_comm* comm);
  int (*bcast)(weft_mpi_comm* comm, void* bytes, uint64_t count, int32_t root);
  /* Each rank gives `count` bytes; `received` holds size * count. */
  int (*allgather)(weft_mpi_comm* comm, const void* sent, uint64_t count, void* received);
  /* Rank i gives counts[i] bytes, put at received + offsets[i]; both arrays have `size` members. */
  int (*allgatherv)(weft_mpi_comm* comm, const void* sent, uint64_t sent_count, void* received, const uint64_t* counts,
                    const uint64_t* offsets);

  /* ---- the same, started: the buffers stay the operation's until test() says done ---- */
  int (*ibarrier)(weft_mpi_comm* comm, weft_mpi_request** out);
  int (*ibcast)(weft_mpi_comm* comm, void* bytes, uint64_t count, int32_t root, weft_mpi_request** out);
  int (*iallgather)(weft_mpi_comm* comm, const void* sent, uint64_t count, void* received, weft_mpi_request** out);
  int (*iallgatherv)(weft_mpi_comm* comm, const void* sent, uint64_t sent_count, void* received, const uint64_t* counts,
                     const uint64_t* offsets, weft_mpi_request** out);
  /* Split without blocking the caller; *result is written when test() says done (NULL where color < 0). Below
     THREAD_MULTIPLE its last step blocks inside test() until the other ranks of the color are there too. */
  int (*isplit)(weft_mpi_comm* comm, int32_t color, int32_t key, weft_mpi_comm** result, weft_mpi_request** out);
  /* Moves the operation on; never waits (but see isplit). *done is 1 when it ended, and then the request is gone, also
     when it ended with an error code. There is no cancel: MPI cannot take a collective back. */
  int (*test)(weft_mpi_request* request, int32_t* done);

  /* ---- the end ---- */
  /* Collective over `comm`, which holds everybody who closes. First a non-blocking barrier; then, if init() had
     initialized MPI, MPI_Finalize on a thread of its own; both within timeout_ms from now. The outcome is written when
     test() says done: what went wrong is an outcome, not an error code. Consumes `comm` (other communicators of ours
     should be freed before); no other call is allowed after it has started. After SKIPPED or HUNG the process
     must end with _exit() or abort, since MPI's own exit handlers may wait for the others again. */
  int (*ifinalize)(weft_mpi_comm* comm, uint64_t timeout_ms, int32_t* outcome, weft_mpi_request** out);
  /* The same, waiting for the end (at most timeout_ms, and about 10 ms more). */
  int (*finalize)(weft_mpi_comm* comm, uint64_t timeout_ms, int32_t* outcome);
  /* MPI_Abort: ends every process of `comm` (of the world if NULL). Does not return. */
  void (*abort)(weft_mpi_comm* comm, int32_t exit_code);
} weft_mpi_table;

/* The one exported symbol of a module. */
typedef const weft_mpi_table* (*weft_mpi_table_function)(void);
#define WEFT_MPI_TABLE_SYMBOL "weft_mpi_get_table"

#ifdef __cplusplus
}
#endif

#endif
