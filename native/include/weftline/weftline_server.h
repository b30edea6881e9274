/* Weftline's C API for hosting a server's data plane. The control plane (catalogue, placement) is the host's, which
 * answers WEFT_COMPLETION_CONTROL_REQUEST and writes WEFT_COMPLETION_LOG where it wants. Conventions as in weftline.h.
 *
 * A server rank:  weft_join_begin → weft_server_start → weft_server_topic_put, weft_server_partition_open … →
 * weft_join_finish A client rank:  weft_join (which is weft_join_begin and weft_join_finish).
 */
#ifndef WEFTLINE_WEFTLINE_SERVER_H
#define WEFTLINE_WEFTLINE_SERVER_H

#include "weftline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_server weft_server;

/* First half of weft_join: MPI, who is who. Collective. */
WEFT_API int weft_join_begin(int64_t world, const weft_join_options* options, weft_job** job);
/* Second half: servers give their addresses, everybody connects to them. Collective; every rank that began must finish.
 * `server` NULL on ranks that host none; `failure` (else NULL) says why this rank's server could not start: every rank
 * then gets it as its error. WEFT_NO_SERVER if no rank is one and no group directory is known. */
WEFT_API int weft_join_finish(weft_job* job, weft_server* server, const char* failure);

typedef struct weft_server_options {
  uint32_t size;
  int32_t slot;                      /* -1: what the data directory records, else the rank among the servers */
  const char* data;                  /* data directory; NULL: no disk storage */
  const char* group;                 /* group directory; NULL: WEFTLINE_GROUP, else <data of slot 0>/group */
  uint32_t force_lock;               /* 1: use a directory whose file system has no locks */
  uint32_t threads;                  /* log writers and readers; 0: 4, at most the cores allowed */
  uint64_t slab_bytes;               /* registered memory for pulls; 0: 64 MiB */
  uint64_t data_bytes_in_flight_max; /* of one session; 0: 1 GiB */
} weft_server_options;
#define WEFT_SERVER_OPTIONS_DEFAULT \
  { sizeof(weft_server_options), -1, NULL, NULL, 0, 0, 0, 0 }

/* Locks the data directory, raises the slot's epoch, listens. Partitions are opened by the calls below. Before
 * weft_join_finish nobody is let in. */
WEFT_API int weft_server_start(weft_job* job, const weft_server_options* options, weft_server** server);
/* Drains: takes no new batch, finishes and syncs what it has, closes partitions, removes its group file. */
WEFT_API int weft_server_stop(weft_server* server, int64_t timeout_ms);
/* WEFT_LIMIT when no thread can be started for it; then nothing was begun. */
WEFT_API int weft_server_stop_async(weft_server* server, int64_t timeout_ms, uint64_t tag);

typedef struct weft_server_facts {
  uint32_t size;
  uint32_t slot;
  uint32_t slot_epoch;
  uint32_t session_count;
  const char* data;
  const char* group;
} weft_server_facts;
/* Fills `facts`; its texts are valid while the job is open. Any thread. */
WEFT_API int weft_server_describe(const weft_server* server, weft_server_facts* facts);

/* Topics that clients may look up at this slot (slot 0 has all). Replaces an entry of the same name. */
typedef struct weft_server_topic {
  uint32_t size;
  uint32_t partition_count;
  const char* name;
  uint8_t uuid[16];
  const uint32_t* slots; /* [partition_count] */
  uint32_t storage, durability, serializer, flags;
  uint64_t event_data_bytes_max;
  const char* json;
} weft_server_topic;
/* Copies all of `topic`. WEFT_INVALID_ARGUMENT for modes that do not go together. */
WEFT_API int weft_server_topic_put(weft_server* server, const weft_server_topic* topic);
/* Clients no longer find it; its partitions stay until they are closed. */
WEFT_API int weft_server_topic_remove(weft_server* server, const char* name);

/* What may change while a partition is open. */
typedef struct weft_partition_rules {
  uint32_t size;
  uint32_t sealed;    /* 1: takes no more batches; consumers end behind the last event */
  uint32_t producers; /* it ends when so many named producers were opened and all of them closed; 0: no rule */
  uint32_t producer_timeout_ms; /* one that is lost for so long counts as closed, and consumers get WEFT_PRODUCER_LOST;
                                   0: 60 s */
  /* Retention, each by itself; 0 and NULL: no rule. Whole segments go on disk, whole batches in memory. */
  uint64_t retention_bytes;          /* of metadata and data; the oldest beyond it go */
  uint64_t retention_ms;             /* those appended longer ago go */
  const char* retention_consumed_by; /* names joined by commas: what all of these consumers have committed goes */
} weft_partition_rules;
#define WEFT_PARTITION_RULES_DEFAULT \
  { sizeof(weft_partition_rules), 0, 0, 0, 0, 0, NULL }

/* A partition of this slot. */
typedef struct weft_server_partition {
  uint32_t size;
  uint32_t partition;
  const char* topic;
  uint8_t uuid[16];
  uint32_t storage, durability;
  const char* metadata_directory; /* NULL: <data>/topics/<topic>/<partition>/metadata */
  const char* data_directory;     /* NULL: <data>/topics/<topic>/<partition>/data */
  uint64_t segment_bytes;         /* 0: 256 MiB */
  uint64_t memory_data_bytes;     /* memory storage: limits; 0: 256 MiB and 64 MiB */
  uint64_t memory_metadata_bytes;
  const weft_partition_rules* rules; /* NULL: none */
} weft_server_partition;
/* Opens (creating what is not there), recovers; completion SERVER: value[0] first offset, [1] next offset, [2] epoch;
 * text: what recovery cut off, if anything. Runs on its own thread: recovery may take long. */
WEFT_API int weft_server_partition_open_async(weft_server* server, const weft_server_partition* partition,
                                              uint64_t tag);
/* Gives an open partition other rules. When it is sealed, the completion SERVER follows once what was accepted before
 * is stored. */
WEFT_API int weft_server_partition_alter_async(weft_server* server, const uint8_t uuid[16], uint32_t partition,
                                               const weft_partition_rules* rules, uint64_t tag);
/* Closes it and, with `remove`, deletes its files. */
WEFT_API int weft_server_partition_close_async(weft_server* server, const uint8_t uuid[16], uint32_t partition,
                                               int remove, uint64_t tag);
/* State of a hosted partition as JSON. */
WEFT_API int weft_server_partition_describe(weft_server* server, const uint8_t uuid[16], uint32_t partition,
                                            char** json);

/* Answers a WEFT_COMPLETION_CONTROL_REQUEST: code 0 with JSON, else a code with text. */
WEFT_API int weft_server_control_reply(weft_server* server, uint64_t tag, int32_t code, const char* text,
                                       uint64_t length);

/* Verifies every partition under a data directory; no server, no change. One call of `report` per partition with its
 * JSON:
 * {"partition":"quakes/0","events":2456,"bytes":…,"ok":true} or {…,"ok":false,"damage":"…"}. */
WEFT_API int weft_log_verify(const char* data, void (*report)(void* context, const char* json), void* context);

/* Takes the lock of a data directory, as a server does, finds that it cannot be had twice, and lets go: WEFT_OK;
 * WEFT_UNSUPPORTED where the file system has no locks, WEFT_DATA_DIRECTORY_LOCKED, WEFT_NOT_WRITABLE. Makes the
 * directory if it is missing, and leaves the lock's file in it. */
WEFT_API int weft_lock_check(const char* directory);

/* What this process could use, as JSON (docs/doctor.md); weft_free. Of `options` (NULL: defaults) transports and
 * bind_address count. What cannot be had is told in the JSON, not as an error. Opens a lane for a moment; loads no MPI.
 * Any thread. */
WEFT_API int weft_doctor(const weft_join_options* options, char** json);

/* A probe: memory that other processes' probes may send to, read from and write into, without a job or a server. It
 * answers by itself until it is closed. Of `options` (NULL: defaults) transports and bind_address count. */
typedef struct weft_probe weft_probe;
WEFT_API int weft_probe_open(const weft_join_options* options, weft_probe** probe);
/* What another process needs to measure against this one: opaque, at most 1 KiB, valid while the probe is open. */
WEFT_API int weft_probe_address(const weft_probe* probe, const void** bytes, uint64_t* length);
/* Sends messages to the probe at `address`, reads its memory and writes into it, compares checksums, and says what it
 * took, as JSON (docs/doctor.md); weft_free. Takes about a second. WEFT_TIMED_OUT, WEFT_PEER_LOST, WEFT_FABRIC;
 * WEFT_CORRUPT when other bytes came than were sent. One at a time for each probe, any thread. */
WEFT_API int weft_probe_measure(weft_probe* probe, const void* address, uint64_t length, uint64_t timeout_ms,
                                char** json);
/* No other call may be under way. */
WEFT_API int weft_probe_close(weft_probe* probe);

/* Says that this process is about to call exit(): waits (at most 5 s) for a lane that another thread is opening and
 * lets none be opened any more, so that no thread is inside libfabric when its destructors run. An exit handler of the
 * library does the same, later. */
WEFT_API void weft_prepare_exit(void);
/* CRC32C, for the control plane's own files. */
WEFT_API uint32_t weft_crc32c(const void* bytes, uint64_t length, uint32_t seed);

#ifdef __cplusplus
}
#endif

#endif
