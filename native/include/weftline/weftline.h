/* Weftline's C API for clients: join a job, push events, consume them.
 *
 * Conventions
 *   Every call that can fail returns a code of weft_errors.h (0 is WEFT_OK). weft_error_text() has the words for the
 * last failed call of the calling thread: what failed, on which object, why, and what to do next. Structs of options
 * begin with their size (WEFT_..._DEFAULT fills it), so that they may grow. Times are in milliseconds, int64;
 * WEFT_FOREVER waits without limit, 0 does not wait. Handles may be used from any thread; a producer or consumer
 * serialises its callers. Closing one while another thread uses it is an error of the program (a job may be closed
 * while other threads use jobs that share it: weft_open_shared). Calls are local unless they say collective. The
 * library prints nothing, and throws nothing: a call that cannot have the memory it needs returns WEFT_OUT_OF_MEMORY.
 * Calls ending in _async return at once; their outcome is a weft_completion (weft_poll) with the caller's tag.
 */
#ifndef WEFTLINE_WEFTLINE_H
#define WEFTLINE_WEFTLINE_H

#include <stddef.h>
#include <stdint.h>

#include "weft_errors.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_API __attribute__((visibility("default")))

enum weft_code {
#define WEFT_C_CODE(name, number, can_retry, meaning, next) WEFT_##name = number,
  WEFT_ERROR_TABLE(WEFT_C_CODE)
#undef WEFT_C_CODE
      WEFT_CODE_END = 1 << 16
};

#define WEFT_VERSION "0.1.0"
#define WEFT_FOREVER INT64_C(-1)
#define WEFT_ABI_VERSION 1u

typedef struct weft_job weft_job;
typedef struct weft_topic weft_topic;
typedef struct weft_producer weft_producer;
typedef struct weft_batch weft_batch;
typedef struct weft_consumer weft_consumer;
typedef struct weft_region weft_region;

/* ---- errors ---------------------------------------------------------------------------------------------------- */

/* Words for the last failed call of this thread; "" if none. `job` may be NULL. Valid until the thread's next call. */
WEFT_API const char* weft_error_text(const weft_job* job);
/* "WEFT_BUSY", its meaning, what to do next, whether the same call may succeed later. NULL/0 for an unknown number. */
WEFT_API const char* weft_code_name(int code);
WEFT_API const char* weft_code_meaning(int code);
WEFT_API const char* weft_code_next(int code);
WEFT_API int weft_code_can_retry(int code);
WEFT_API uint32_t weft_abi_version(void);
/* For small programs: the call, or its words on stderr and exit(1). It includes nothing: use stdio.h and stdlib.h. */
#define WEFT_TRY(call)                                \
  do {                                                \
    if ((call) != WEFT_OK) {                          \
      fprintf(stderr, "%s\n", weft_error_text(NULL)); \
      exit(1);                                        \
    }                                                 \
  } while (0)

/* ---- job ------------------------------------------------------------------------------------------------------- */

typedef struct weft_join_options {
  uint32_t size;
  uint32_t echo;            /* 1: no server, no fabric: batches are checked and answered at once (to test a binding) */
  const char* role;         /* "client" (default) or "server"; NULL: WEFTLINE_ROLE, else client */
  const char* name;         /* of this program, for the log and to form the group communicator; NULL: the role */
  const char* group;        /* group directory; NULL: WEFTLINE_GROUP, else what the servers say */
  const char* transports;   /* "tcp,shm": those only; NULL: WEFTLINE_TRANSPORTS, else automatic */
  const char* bind_address; /* numeric address of the interface; NULL: WEFTLINE_BIND, else automatic */
  int64_t timeout_ms;       /* for connecting to the servers; default 30,000 */
  int64_t delivery_timeout_ms; /* a batch not acknowledged by then fails (one with pieces in plain memory that
                                  its server may be reading: up to 30 s later); default 120,000 */
  uint32_t slots_expected; /* connect to all slots now, and go on when so many answer; 0: to at most 16 of those that
                              the world or the group directory names, which must answer, to others when used */
  uint32_t reserved;
} weft_join_options;
#define WEFT_JOIN_OPTIONS_DEFAULT \
  { sizeof(weft_join_options), 0, NULL, NULL, NULL, NULL, NULL, INT64_C(30000), INT64_C(120000), 0, 0 }

/* `world`: MPI_Comm_c2f of the communicator that all call this on; WEFT_COMM_WORLD for MPI_COMM_WORLD. Collective.
 * Without a launcher it is a world of one. MPI is initialised if it was not (and then finalized in weft_close). The
 * calling thread makes the MPI calls. */
#define WEFT_COMM_WORLD INT64_C(-1)
WEFT_API int weft_join(int64_t world, const weft_join_options* options, weft_job** job);
/* Joins from outside the MPI world through the group directory. Local. */
WEFT_API int weft_attach(const char* group, const weft_join_options* options, weft_job** job);
/* Leaves. After weft_join it is collective over its communicator, with a deadline (WEFT_RANK_LOST: others did not
 * come); MPI is finalized only on ranks where Weftline initialised it. Open producers and consumers of the job are
 * closed. Time limits: 30 s for the flush of each producer, 60 s to stop a hosted server, 10 s for MPI to be finalized.
 * NULL is fine. */
WEFT_API int weft_close(weft_job* job);

/* Several threads of a process with a job each, which has completions, topics, producers, consumers and regions of its
 * own, and shares connections, memory limits and the progress thread with the job that joined: for bindings whose
 * threads have event loops of their own. (Plain programs may use one job's handles from all threads.) */
typedef struct weft_ticket {
  uint8_t process[16];
  uint64_t number;
} weft_ticket;
/* Fills `ticket`: good in this process until the job is closed. That of a shared job is the ticket of the job that it
 * shares. WEFT_UNSUPPORTED for the job of a server; WEFT_CLOSED when the job that was shared is closed. Local; any
 * thread. */
WEFT_API int weft_job_share(weft_job* job, weft_ticket* ticket);
/* A job of its own for this thread, to be closed with weft_close, which is local for it: it waits at most 30 s for the
 * batches of all its producers, then at most 5 s for the servers of its consumers, and ends nothing of the others. A
 * fetch into a region of the caller's own memory (weft_region_register) is copied there, as one without a region. It
 * has no collectives (WEFT_UNSUPPORTED): MPI wants the thread that joined. When the job that was shared is closed
 * first, what is under way fails with WEFT_CLOSED, and so does every later call that needs a server or memory; the
 * handles stay good and are to be closed. WEFT_CLOSED: the ticket's job was closed. WEFT_INVALID_ARGUMENT: it is no
 * ticket of this process. Local; any thread. */
WEFT_API int weft_open_shared(const weft_ticket* ticket, weft_job** job);

typedef struct weft_job_facts {
  uint32_t size;
  int32_t rank; /* in the world; 0 in a world of one */
  int32_t world_size;
  int32_t node_rank; /* among the ranks of this host */
  int32_t node_size;
  int32_t group_rank; /* among the ranks that joined under the same name */
  int32_t group_size;
  int32_t server_count; /* slots known */
  const char* role;
  const char* name;
  const char* mpi;   /* "mpich", "openmpi" or "none" */
  const char* group; /* group directory, "" if none */
  uint8_t job_id[16];
} weft_job_facts;
/* Fills `facts`; its texts are valid while the job is open. Any thread. */
WEFT_API int weft_job_describe(const weft_job* job, weft_job_facts* facts);
/* The communicator of all ranks that joined under the same name, for the program's own use: MPI_Comm_f2c of it. It is
 * freed by weft_close. -1 in a world of one without MPI. */
WEFT_API int64_t weft_job_group_communicator(const weft_job* job);

/* Counters as JSON text; free with weft_free. Any time, any thread. */
WEFT_API int weft_job_counters(const weft_job* job, char** json);
WEFT_API void weft_free(void* memory);

/* Collectives for the application's own use over a communicator handle; non-blocking: start, then test until done. The
 * buffers stay the caller's and must live until then. All on the thread that joined. */
typedef struct weft_communicator weft_communicator;
typedef struct weft_collective weft_collective;
/* The communicator of all ranks of the join for such collectives, made by the join. Local; every handle of one job is
 * of the same communicator. WEFT_UNSUPPORTED after weft_attach. */
WEFT_API int weft_communicator_world(weft_job* job, weft_communicator** communicator);
/* Collective over `parent`; blocking for as long as the others take to call it. color < 0: not a member (NULL is
 * returned). */
WEFT_API int weft_communicator_split(weft_communicator* parent, int color, int key, weft_communicator** communicator);
/* The same without blocking: *communicator is set by the weft_collective_test that says done, and must live until then.
 */
WEFT_API int weft_communicator_split_start(weft_communicator* parent, int color, int key,
                                           weft_communicator** communicator, weft_collective** collective);
/* This process's rank in it and how many there are; either may be NULL. Local. */
WEFT_API int weft_communicator_size(const weft_communicator* communicator, int32_t* rank, int32_t* size);
/* After all collectives on it have ended. Collective for one that came from a split; local for the world's, whose
 * communicator ends with weft_close. */
WEFT_API int weft_communicator_free(weft_communicator* communicator);
/* Complete once every rank has started it. */
WEFT_API int weft_barrier_start(weft_communicator* communicator, weft_collective** collective);
/* `length` bytes of rank `root` into `bytes` of all others; the same length and root on every rank. */
WEFT_API int weft_broadcast_start(weft_communicator* communicator, void* bytes, uint64_t length, int32_t root,
                                  weft_collective** collective);
/* `from` of `length` bytes on every rank, into `into` of size * length bytes. */
WEFT_API int weft_allgather_start(weft_communicator* communicator, const void* from, uint64_t length, void* into,
                                  weft_collective** collective);
/* *done is set to 1 and the handle freed when it is complete. */
WEFT_API int weft_collective_test(weft_collective* collective, int* done);

/* ---- completions: for bindings and for programs with an event loop -------------------------------------------------
 */

enum weft_completion_kind {
  WEFT_COMPLETION_CONTROL = 1,  /* text: the reply's JSON */
  WEFT_COMPLETION_TOPIC = 2,    /* handle: weft_topic */
  WEFT_COMPLETION_PRODUCER = 3, /* handle: weft_producer */
  WEFT_COMPLETION_BATCH = 4,    /* value[0] first offset, [2] partition epoch, [3] partition */
  WEFT_COMPLETION_CONSUMER = 5, /* handle: weft_consumer */
  WEFT_COMPLETION_FRAMES = 6,   /* tag of the consumer: weft_consumer_poll has something (said once until polled dry) */
  WEFT_COMPLETION_DATA = 7,     /* value[0] bytes sent, [1] bytes read from storage, [2] failed selection,
                                   [3] 1: no server can write into the destination any more, 0: perhaps one that was
                                   lost; also of a failed one */
  WEFT_COMPLETION_COMMIT = 8,
  WEFT_COMPLETION_FLUSH = 9,      /* of weft_sync_async */
  WEFT_COMPLETION_CLOSED = 10,    /* of weft_..._close_async */
  WEFT_COMPLETION_PARTITION = 11, /* value[0] first offset, [1] visible end, [2] epoch */
  WEFT_COMPLETION_CONTROL_REQUEST =
      12,                   /* servers: tag answers it (weft_server_control_reply); text: JSON; value[0] session */
  WEFT_COMPLETION_LOG = 13, /* servers: text: a line for the log; value[0] level 0 debug, 1 info, 2 warning, 3 error */
  WEFT_COMPLETION_SERVER = 14, /* servers: outcome of an asynchronous weft_server_ call */
  WEFT_COMPLETION_SEEK = 15    /* weft_consumer_position says where it begins now */
};
typedef struct weft_completion {
  uint32_t kind;
  int32_t code;
  uint64_t tag;
  uint64_t value[4];
  void* handle;
  char* text; /* error text when code != 0, else what the kind says; NULL if none; weft_free it */
  uint64_t text_length;
} weft_completion;

/* Takes up to `count` completions. Never blocks. Returns how many. One thread at a time. */
WEFT_API uint32_t weft_poll(weft_job* job, weft_completion* completions, uint32_t count);
/* `wake(context)` is called, on any thread, when the queue goes from empty to not empty; it must not call the library.
 */
WEFT_API int weft_set_wake(weft_job* job, void (*wake)(void* context), void* context);

/* ---- control plane and topics -------------------------------------------------------------------------------------
 */

/* A request to the control plane of a slot (JSON in, JSON out; docs/formats/control.md). */
WEFT_API int weft_control_async(weft_job* job, uint32_t slot, const char* json, uint64_t length, int64_t timeout_ms,
                                uint64_t tag);
/* Waits for the reply, at most timeout_ms (WEFT_FOREVER: the longest that the protocol knows, 49 days). `reply` (may be
 * NULL): the JSON, for weft_free. The control plane's own codes; WEFT_LIMIT over 48 KiB. */
WEFT_API int weft_control(weft_job* job, uint32_t slot, const char* json, uint64_t length, int64_t timeout_ms,
                          char** reply);

/* Creates a topic. `config`: JSON such as {"partitions":2,"durability":"synced"}; NULL for defaults. WEFT_TOPIC_EXISTS.
 */
WEFT_API int weft_topic_create(weft_job* job, const char* name, const char* config, int64_t timeout_ms);
/* Looks the topic up. WEFT_TOPIC_UNKNOWN, after slot 0 has created what its configuration names (at most timeout_ms of
 * the join). weft_topic_open_async asks once: it does not wait for slot 0. */
WEFT_API int weft_topic_open(weft_job* job, const char* name, weft_topic** topic);
WEFT_API int weft_topic_open_async(weft_job* job, const char* name, uint64_t tag);
/* Its producers and consumers stay open. NULL is fine. */
WEFT_API void weft_topic_close(weft_topic* topic);
typedef struct weft_topic_facts {
  uint32_t size;
  uint32_t partition_count;
  uint8_t uuid[16];
  uint32_t storage;    /* 0 disk, 1 memory */
  uint32_t durability; /* 0 memory, 1 written, 2 synced */
  uint32_t serializer; /* 0 json, 1 raw, 2 packed, 3 custom */
  uint32_t flags;      /* 1: demands JavaScript, 2: allows unvalidated events */
  uint64_t event_data_bytes_max;
  const char* name;
  const char* json; /* the topic's whole description; valid while the handle is open */
} weft_topic_facts;
/* Fills `facts` from what the look-up said. Local. */
WEFT_API int weft_topic_describe(const weft_topic* topic, weft_topic_facts* facts);
WEFT_API int weft_partition_query_async(weft_topic* topic, uint32_t partition, uint64_t tag);
/* For each of `count` slots 1 if its server runs on this host, as its address says, else 0, also if it is away. Reads
 * the group directory for slots that nobody has connected to yet. Any thread. */
WEFT_API int weft_slots_local(weft_job* job, const uint32_t* slots, uint32_t count, uint8_t* local);
/* The first offset that is stored and the one behind the last visible event, as its server says now; either may be
 * NULL. At most timeout_ms of the join. WEFT_PARTITION_RANGE, WEFT_PARTITION_UNAVAILABLE. */
WEFT_API int weft_partition_query(weft_topic* topic, uint32_t partition, uint64_t* first_offset, uint64_t* visible_end);

/* ---- memory that the library may reference -------------------------------------------------------------------------
 */

/* Registers the caller's memory for RMA, once. It must stay until weft_region_release. */
WEFT_API int weft_region_register(weft_job* job, void* memory, uint64_t length, weft_region** region);
/* Memory that the library owns, page aligned and registered. */
WEFT_API int weft_region_allocate(weft_job* job, uint64_t length, weft_region** region);
/* Its first byte and its length in bytes; NULL and 0 when it is no region. */
WEFT_API void* weft_region_memory(const weft_region* region);
WEFT_API uint64_t weft_region_length(const weft_region* region);
/* Waits until no event pushed from the region is under way (closes its open batch first). */
WEFT_API int weft_region_wait(weft_region* region, int64_t timeout_ms);
/* Not before its events are done (WEFT_BUSY otherwise). After it returned WEFT_OK the memory is the caller's. */
WEFT_API int weft_region_release(weft_region* region);

/* ---- producer -------------------------------------------------------------------------------------------------------
 */

/* What weft_push does when all batches are under way: wait; WEFT_BUSY, and the event was not taken; WEFT_DROPPED, the
   same as the wish of the program, which weft_flush does not count as a failure. */
enum weft_when_full { WEFT_FULL_BLOCK = 0, WEFT_FULL_ERROR = 1, WEFT_FULL_DROP_NEWEST = 2 };
/* Events that name no partition, of topics with the selector round-robin or same-node: event by event to the next
   partition, or whole batches to the one that has the fewest under way, past one that has not answered for 500 ms. */
enum weft_ordering { WEFT_ORDERING_STRICT = 0, WEFT_ORDERING_LOOSE = 1 };
typedef struct weft_producer_options {
  uint32_t size;
  uint32_t batch_events;      /* a batch is closed at so many events; default 128, at most 65,536 */
  const char* name;           /* NULL: a random id; a name opened again fences its older epoch */
  uint64_t batch_bytes;       /* ... or so many bytes of metadata; default 512 KiB */
  uint64_t batch_data_bytes;  /* ... or so many bytes of copied data; default 1 MiB */
  uint32_t batches_in_flight; /* per partition; default 16, at most 64 */
  uint32_t linger_ms;         /* weft_push: a batch that was not filled is sent after so long; default 2 */
  uint32_t when_full;         /* enum weft_when_full, of weft_push; default WEFT_FULL_BLOCK */
  uint32_t ordering;          /* enum weft_ordering, of weft_push; default WEFT_ORDERING_STRICT */
} weft_producer_options;
#define WEFT_PRODUCER_OPTIONS_DEFAULT                                                                      \
  {                                                                                                        \
    sizeof(weft_producer_options), 128, NULL, UINT64_C(524288), UINT64_C(1048576), 16, 2, WEFT_FULL_BLOCK, \
        WEFT_ORDERING_STRICT                                                                               \
  }

/* Opens all partitions of the topic; looking it up and opening each take at most timeout_ms of the join. Of more than
 * 16 a producer without a name opens 16, and the others with its first batch for them, which fails with what is wrong
 * there. WEFT_TOPIC_UNKNOWN; WEFT_UNSUPPORTED when the topic demands JavaScript (unless it allows unvalidated events);
 * WEFT_PARTITION_UNAVAILABLE. */
WEFT_API int weft_producer_open(weft_job* job, const char* topic, const weft_producer_options* options,
                                weft_producer** producer);
WEFT_API int weft_producer_open_async(weft_topic* topic, const weft_producer_options* options, uint64_t tag);
/* Where a program that was started again goes on: `*next_offset` is the offset behind the last event that was stored in
 * the partition under the producer's name before this one was opened; 0 if there is none, as for a producer without a
 * name. Older producers of the name are fenced: they store nothing any more. Local. WEFT_PARTITION_RANGE;
 * WEFT_PARTITION_UNAVAILABLE while the partition's server has not answered, then ask again. */
WEFT_API int weft_producer_stored_before(const weft_producer* producer, uint32_t partition, uint64_t* next_offset);
/* Flushes first. */
WEFT_API int weft_producer_close(weft_producer* producer, int64_t timeout_ms);
WEFT_API int weft_producer_close_async(weft_producer* producer, uint64_t tag);

typedef struct weft_event_id {
  uint32_t partition;
  uint32_t epoch;
  uint64_t offset;
} weft_event_id;

/* One event: metadata (copied) and `length` bytes of data at `at` in the region (not copied: the server reads it) or,
 * with region NULL, none. The metadata is what the topic's serializer says: JSON text, raw bytes, or a packed record:
 * the struct that `weftline topic header` writes, and behind it the bytes of fields without a size of their own.
 * WEFT_METADATA_INVALID for what is not JSON, or a record of another length. The partition is what the topic's selector
 * says: round-robin, producer-rank and same-node here (round robin over the partitions whose servers were on this host
 * when the producer was opened; over all if there is none); the others want weft_push_pieces with a partition
 * (WEFT_INVALID_ARGUMENT for explicit and key-hash, WEFT_UNSUPPORTED for custom). `receipt` (may be NULL): a number for
 * weft_receipt_wait. While all batches are in flight it does what `when_full` says; it blocks at most
 * delivery_timeout_ms, then WEFT_BUSY. */
WEFT_API int weft_push(weft_producer* producer, const void* metadata, uint64_t metadata_length, weft_region* region,
                       uint64_t at, uint64_t length, uint64_t* receipt);
typedef struct weft_piece {
  const void* address; /* copied when small; else read from here: leave it alone until the receipt */
  uint64_t length;
  weft_region* region; /* that holds the address; NULL: registered for this use */
} weft_piece;
/* Data as a list of pieces, joined in order into one event's data. `partition` -1: as in weft_push; any other is taken
 * whatever the topic's selector is. */
WEFT_API int weft_push_pieces(weft_producer* producer, int32_t partition, const void* metadata,
                              uint64_t metadata_length, const weft_piece* pieces, uint32_t piece_count,
                              uint64_t* receipt);
/* The partition of a key, as TypeScript's key-hash chooses it: CRC32C of its bytes modulo the number of partitions. */
WEFT_API int weft_partition_of_key(const weft_producer* producer, const void* key, uint64_t length, int32_t* partition);
/* Waits until the event is acknowledged at the topic's durability; `id` (may be NULL): where it is. The batch's code
 * when it was not stored; WEFT_TIMED_OUT: it is still under way; WEFT_LIMIT: forgotten, after 4,096 later batches. */
WEFT_API int weft_receipt_wait(weft_producer* producer, uint64_t receipt, int64_t timeout_ms, weft_event_id* id);
/* Sends what is open and waits until all is acknowledged at the topic's durability; the first failed batch's code,
 * once. */
WEFT_API int weft_flush(weft_producer* producer, int64_t timeout_ms);
/* Makes durable what was acknowledged so far, whatever the topic's durability: when it returns, these events survive
 * the loss of power of their servers. After weft_flush, for a point of a program behind which all before is safe;
 * nothing to do in a topic whose durability is synced. WEFT_UNSUPPORTED: the topic is kept in memory; WEFT_TRUNCATED:
 * events that were acknowledged were lost by a server since; WEFT_SYNC_FAILED, WEFT_PARTITION_UNAVAILABLE;
 * WEFT_TIMED_OUT: after timeout_ms, then it goes on, or after delivery_timeout_ms without an answer. Any thread. */
WEFT_API int weft_sync(weft_producer* producer, int64_t timeout_ms);
/* Completion FLUSH. */
WEFT_API int weft_sync_async(weft_producer* producer, uint64_t tag);

/* The batch interface, for bindings: the caller writes columns and metadata into memory of the library; one call sends
 * it. */
typedef struct weft_batch_memory {
  uint32_t size;
  uint32_t event_capacity;
  uint32_t* metadata_end;  /* [event]: cumulative end in `metadata` */
  uint32_t* time_delta_us; /* [event]: after base_time_ns */
  uint64_t* data_length;   /* [event]; read only if the batch has data */
  uint8_t* metadata;
  uint64_t metadata_capacity;
  uint8_t* data; /* for copied data: the extent's bytes, each event at a multiple of 64 */
  uint64_t data_capacity;
} weft_batch_memory;
/* A free batch; WEFT_BUSY when all of the producer's are in flight. Belongs to the caller until submitted or cancelled.
 */
WEFT_API int weft_batch_open(weft_producer* producer, weft_batch** batch);
/* The memory to write into, valid until the batch is submitted or cancelled. */
WEFT_API int weft_batch_describe(weft_batch* batch, weft_batch_memory* memory);
/* Gives it back without sending it. */
WEFT_API int weft_batch_cancel(weft_batch* batch);
typedef struct weft_batch_piece {
  const void* address; /* in the batch's own `data`, in a region, or any memory that stays until the completion */
  uint64_t length;
  uint64_t extent_at;  /* where it lies in the extent */
  weft_region* region; /* NULL: the batch's own data, or registered for this use */
} weft_batch_piece;
/* Sends it; the completion (WEFT_COMPLETION_BATCH) says the offsets. `count` events, `metadata_bytes` written, the
 * pieces that form the data extent (in order, none overlapping; NULL, 0 if no event has data). After the completion the
 * batch's memory is the library's again: the pointers stay mapped, the next weft_batch_open may return the same. */
WEFT_API int weft_batch_submit(weft_batch* batch, uint32_t partition, uint32_t count, uint64_t metadata_bytes,
                               uint64_t base_time_ns, const weft_batch_piece* pieces, uint32_t piece_count,
                               uint64_t tag);

/* ---- consumer -------------------------------------------------------------------------------------------------------
 */

enum weft_from {
  WEFT_FROM_EARLIEST = 0,
  WEFT_FROM_LATEST = 1,
  WEFT_FROM_OFFSET = 2,
  WEFT_FROM_TIME = 3,
  WEFT_FROM_CURSOR = 4
};
/* Where weft_pull ends, with WEFT_END_OF_STREAM: not by itself, before the topic does; behind what was visible when the
   consumer was opened; before an offset of every partition; before the first event appended at or after a time (of the
   servers' clocks; one that is still to come ends it when it has, by this process's clock, also where no event does).
 */
enum weft_until { WEFT_UNTIL_STOPPED = 0, WEFT_UNTIL_END = 1, WEFT_UNTIL_OFFSET = 2, WEFT_UNTIL_TIME = 3 };
typedef struct weft_consumer_options {
  uint32_t size;
  uint32_t from;       /* enum weft_from; default WEFT_FROM_CURSOR: after the last committed event of `name`, else the
                          earliest */
  const char* name;    /* NULL: no cursor */
  uint64_t from_value; /* offset, or nanoseconds since 1970 */
  const uint32_t* partitions; /* NULL: all */
  uint32_t partition_count;
  uint32_t prefetch_events;  /* ... and events, per partition; 0 (default): no limit; a larger batch goes alone */
  uint64_t prefetch_bytes;   /* of metadata frames, per partition; default 4 MiB, at least 2 MiB + 64 KiB */
  uint32_t until;            /* enum weft_until, of weft_pull; default WEFT_UNTIL_STOPPED */
  uint32_t ack_every_events; /* weft_ack commits by itself behind so many; 0: never; default 1,000 */
  uint64_t until_value;      /* offset, or nanoseconds since 1970 */
  uint32_t share_rank;       /* member of a static group: reads the partitions p with p % share_size = share_rank */
  uint32_t share_size;       /* 0 (default): no group. One that is left without a partition has ended at once */
} weft_consumer_options;
#define WEFT_CONSUMER_OPTIONS_DEFAULT                                                                                  \
  {                                                                                                                    \
    sizeof(weft_consumer_options), WEFT_FROM_CURSOR, NULL, 0, NULL, 0, 0, UINT64_C(4194304), WEFT_UNTIL_STOPPED, 1000, \
        0, 0, 0                                                                                                        \
  }

/* Opens a stream for each partition, and events begin to come; looking the topic up and opening each take at most
 * timeout_ms of the join. WEFT_TOPIC_UNKNOWN,
 * WEFT_PARTITION_RANGE, WEFT_PARTITION_UNAVAILABLE. */
WEFT_API int weft_consumer_open(weft_job* job, const char* topic, const weft_consumer_options* options,
                                weft_consumer** consumer);
WEFT_API int weft_consumer_open_async(weft_topic* topic, const weft_consumer_options* options, uint64_t tag);
/* Commits what was acknowledged (weft_ack), ends its streams and frees it, whatever it returns: frames and events of it
 * end. What was not committed is read again by the next consumer of its name. NULL is fine. */
WEFT_API int weft_consumer_close(weft_consumer* consumer);
WEFT_API int weft_consumer_close_async(weft_consumer* consumer, uint64_t tag);

/* A batch of events as stored, in memory of the library, valid until weft_frame_release. */
typedef struct weft_frame {
  uint32_t size;
  uint32_t partition;
  uint64_t id;           /* for weft_frame_release */
  uint64_t first_offset; /* of event 0 of the batch */
  uint32_t count;
  uint32_t skip; /* events before this one were not asked for */
  uint32_t partition_epoch;
  uint32_t flags; /* of the batch: 1 has data */
  uint64_t base_time_ns;
  uint64_t append_time_ns;
  const uint32_t* metadata_end;
  const uint32_t* time_delta_us;
  const uint64_t* data_length; /* NULL if the batch has no data */
  const uint8_t* metadata;
  uint64_t metadata_bytes;
  uint64_t visible_end;  /* of the partition when the frame was sent */
  const uint8_t* memory; /* the ring that all these pointers lie in: stays mapped until weft_consumer_close */
  uint64_t memory_bytes;
} weft_frame;
/* The next frame if one is there (*found = 1). Never blocks. A partition whose stream failed (truncated, gone, corrupt,
 * slot lost for longer than delivery_timeout_ms) gives its error here, once, with `partition` set. */
WEFT_API int weft_consumer_poll(weft_consumer* consumer, weft_frame* frame, int* found);
/* Frames of one partition may be released in any order; memory is granted again in order. */
WEFT_API int weft_frame_release(weft_consumer* consumer, uint32_t partition, uint64_t id);
/* Where the partition's stream began, and what the cursor said. */
WEFT_API int weft_consumer_position(const weft_consumer* consumer, uint32_t partition, uint64_t* start_offset,
                                    int* had_cursor, uint64_t* visible_end);
/* Goes on from another place (enum weft_from and its value) in `partitions`, or in all that it reads (NULL, 0): in all
 * of them or, with an error, in none. Their frames that were not polled are dropped, so are the events that weft_pull
 * has not given out; frames that are held stay valid. A stream that had failed or ended begins anew. Local; at most
 * timeout_ms of the join. WEFT_TRUNCATED behind the end, which it names; WEFT_OFFSET_GONE before the first offset,
 * which it names; WEFT_PARTITION_RANGE; WEFT_PARTITION_UNAVAILABLE while a server is away; WEFT_BUSY while another one
 * is under way, or, of weft_consumer_seek, another thread pulls. With the asynchronous one nothing is polled or pulled
 * until its completion (WEFT_COMPLETION_SEEK): it could be of before or of after. */
WEFT_API int weft_consumer_seek(weft_consumer* consumer, const uint32_t* partitions, uint32_t partition_count,
                                uint32_t from, uint64_t from_value);
WEFT_API int weft_consumer_seek_async(weft_consumer* consumer, const uint32_t* partitions, uint32_t partition_count,
                                      uint32_t from, uint64_t from_value, uint64_t tag);

/* Bytes of one event's data: runs in order, see wire/messages.h. A range is one run without levels; a box of an n-d
 * array one run with n-1 levels; everything is {0, data_length}. */
typedef struct weft_run_level {
  uint64_t stride;
  uint64_t count;
} weft_run_level;
typedef struct weft_run {
  uint64_t start;
  uint64_t length;
  uint32_t level_count;
  const weft_run_level* levels; /* fastest first */
} weft_run;
typedef struct weft_selection {
  uint64_t offset;         /* of the event */
  uint64_t destination_at; /* in the destination */
  const weft_run* runs;
  uint32_t run_count;
} weft_selection;
/* The selected bytes of up to 1,024 events of one partition, in growing order of offset, written into `destination`.
 * `region`: that holds it, written by the server: after an error that is not the server's answer it may still write,
 * and weft_region_release says WEFT_BUSY as long. NULL: they come into memory of the library and are copied when all
 * are there, so that with the completion, or an error, the memory is the caller's again; an error leaves it as it was.
 * WEFT_LIMIT: over 4 GiB of such fetches at once. WEFT_SELECTION_OUTSIDE names the event and its length. */
WEFT_API int weft_data_fetch_async(weft_consumer* consumer, uint32_t partition, const weft_selection* selections,
                                   uint32_t count, void* destination, uint64_t length, weft_region* region,
                                   uint64_t tag);
/* Waits for it, at most delivery_timeout_ms of the join. */
WEFT_API int weft_data_fetch(weft_consumer* consumer, uint32_t partition, const weft_selection* selections,
                             uint32_t count, void* destination, uint64_t length, weft_region* region);
/* The same for events of several partitions: `partitions[i]` is that of selections[i], those of one partition in a row
 * and in growing order of offset. One request goes to each server that has some of them. */
WEFT_API int weft_data_fetch_parts_async(weft_consumer* consumer, const uint32_t* partitions,
                                         const weft_selection* selections, uint32_t count, void* destination,
                                         uint64_t length, weft_region* region, uint64_t tag);
WEFT_API int weft_data_fetch_parts(weft_consumer* consumer, const uint32_t* partitions,
                                   const weft_selection* selections, uint32_t count, void* destination, uint64_t length,
                                   weft_region* region);
/* An n-d box as a run: `levels` has room for dimensions - 1. Checks that the box lies in the shape. Sizes in items. */
WEFT_API int weft_box(uint32_t dimensions, const uint64_t* shape, const uint64_t* origin, const uint64_t* box_size,
                      uint64_t item_bytes, weft_run* run, weft_run_level* levels);
/* A selection out of a selection: what `inner` selects among the bytes of `outer`, counted along them, as runs of the
 * data: a column of a box, every second of the ranges. *run_count: how many there is room for (1,024 is always enough;
 * `levels` has room for 8 a run), then how many there are. Local. WEFT_SELECTION_OUTSIDE when it reaches beyond
 * `outer`; WEFT_LIMIT when it has more runs, or over a million contiguous pieces. */
WEFT_API int weft_narrow(const weft_run* outer, uint32_t outer_count, const weft_run* inner, uint32_t inner_count,
                         weft_run* runs, uint32_t* run_count, weft_run_level* levels);

/* The position behind the last event that is done: `offset` is the next one wanted. Durable at the topic's durability
 * when it completes. Needs a named consumer. */
WEFT_API int weft_commit_async(weft_consumer* consumer, uint32_t partition, uint64_t offset, uint64_t tag);
WEFT_API int weft_commit(weft_consumer* consumer, uint32_t partition, uint64_t offset, int64_t timeout_ms);

/* One event at a time, for plain programs. */
typedef struct weft_event {
  uint32_t size;
  uint32_t partition;
  uint64_t offset;
  uint32_t partition_epoch;
  uint32_t reserved;
  uint64_t time_ns;        /* the producer's */
  uint64_t append_time_ns; /* the server's */
  const uint8_t* metadata; /* valid until the next weft_pull on this consumer, by any thread, whatever it returns */
  uint64_t metadata_length;
  uint64_t data_length;
} weft_event;
/* The next event of any partition; WEFT_TIMED_OUT loses nothing. WEFT_END_OF_STREAM, from then on always: every
 * partition has ended, by `until`, with its topic, or with an error that was returned, which ends its partition only
 * (WEFT_PRODUCER_LOST, WEFT_TRUNCATED, WEFT_OFFSET_GONE, WEFT_CORRUPT, WEFT_PARTITION_UNAVAILABLE …). Threads take
 * turns, and the time limit covers the wait for one's turn. Threads that share a consumer copy the metadata before any
 * of them pulls again: simpler is a consumer for each. */
WEFT_API int weft_pull(weft_consumer* consumer, int64_t timeout_ms, weft_event* event);
/* Says that an event of weft_pull is done, in any order. Behind each ack_every_events of them what is done without a
 * gap is committed, without waiting; a commit that failed is said by the next weft_commit_acknowledged. Needs a named
 * consumer (WEFT_INVALID_ARGUMENT, also for an event that was not pulled); WEFT_PARTITION_RANGE; WEFT_LIMIT a million
 * events behind one that was not acknowledged. Any thread. */
WEFT_API int weft_ack(weft_consumer* consumer, uint32_t partition, uint64_t offset);
/* Commits in every partition how far all events are acknowledged, and waits until that is durable. */
WEFT_API int weft_commit_acknowledged(weft_consumer* consumer, int64_t timeout_ms);
/* How far it is: the offset behind the last event of the partition that weft_pull returned, and the one behind the last
 * visible event as its server says now; either may be NULL. At most timeout_ms of the join. WEFT_PARTITION_RANGE,
 * WEFT_PARTITION_UNAVAILABLE. */
WEFT_API int weft_consumer_lag(weft_consumer* consumer, uint32_t partition, uint64_t* next_offset,
                               uint64_t* visible_end);

#ifdef __cplusplus
}
#endif

#endif
