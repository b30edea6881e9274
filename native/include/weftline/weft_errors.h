/* The one table of codes: C, C++, TypeScript and docs/errors.md are made from it.
   X(NAME, number, can_retry, "what it means", "what to do next")
   Numbers are never reused. can_retry: the same call may succeed later without a change by the caller. */
#ifndef WEFTLINE_WEFT_ERRORS_H
#define WEFTLINE_WEFT_ERRORS_H

/* clang-format off */
#define WEFT_ERROR_TABLE(X) \
  X(OK,                     0, 0, "no error", "") \
  X(INTERNAL,               1, 0, "a fault in Weftline itself", "report it with the message") \
  X(INVALID_ARGUMENT,       2, 0, "an argument is outside what the call accepts", "correct the argument named in the message") \
  X(WRONG_HANDLE,           3, 0, "a handle of another kind, or one that was closed, was given", "give the handle that the call asks for") \
  X(UNSUPPORTED,            4, 0, "this build, platform or topic does not offer it", "see the message for what is offered") \
  X(TIMED_OUT,              5, 1, "the time limit passed first", "wait longer or look at why it is slow; nothing was lost") \
  X(CANCELLED,              6, 0, "the caller cancelled it", "") \
  X(CLOSED,                 7, 0, "the object was closed", "open it again") \
  X(BUSY,                   8, 1, "a bounded queue or credit is used up", "wait, or raise the limit named in the message") \
  X(LIMIT,                  9, 0, "a stated limit would be passed", "stay below the limit named in the message, or raise it") \
  X(OUT_OF_MEMORY,         10, 1, "memory could not be had", "free memory or lower the limits") \
  X(TOPIC_UNKNOWN,         20, 0, "no topic has this name", "create it, or list the topics") \
  X(TOPIC_EXISTS,          21, 0, "a topic has this name already", "open it, or choose another name") \
  X(PARTITION_RANGE,       22, 0, "the topic has no partition of this number", "use a number below the topic's partition count") \
  X(PARTITION_READ_ONLY,   23, 0, "the partition takes no events since a write or sync failed", "look at the device, then restart the server: the partition is verified at start") \
  X(PARTITION_UNAVAILABLE, 24, 1, "the server slot of this partition is not there", "start the slot again") \
  X(EVENT_TOO_LARGE,       25, 0, "the event is larger than the partition or the metadata limit allows", "send a smaller event, or raise the limit") \
  X(METADATA_INVALID,      26, 0, "the metadata is not what the topic's serializer takes", "correct the metadata") \
  X(SELECTION_OUTSIDE,     27, 0, "the selection reaches outside the event's data", "select within the length in the message") \
  X(FENCED,                28, 0, "a newer producer opened this name", "stop this one, or open the name again") \
  X(SEQUENCE_GAP,          29, 0, "a batch came out of sequence", "resend from the expected sequence") \
  X(TRUNCATED,             30, 0, "the log ends before this offset: it was cut at recovery", "continue at the offset in the message") \
  X(OFFSET_GONE,           31, 0, "the offset was removed by retention", "continue at the first offset in the message") \
  X(BUFFER_TOO_LARGE,      32, 0, "the data does not fit one JavaScript buffer", "read a range, or give a list of segments") \
  X(BUFFER_CHANGED,        33, 0, "the data was changed between push and transfer", "wait for the receipt before the memory is written again") \
  X(VALIDATOR_REJECTED,    34, 0, "the topic's validator rejected the event", "correct the field in the message") \
  X(DELIVERY_TIMED_OUT,    35, 0, "the batch was not acknowledged within deliveryTimeoutMs", "it may or may not be stored; look at the server, then send it again under the same producer name") \
  X(END_OF_STREAM,         36, 0, "there are no more events", "") \
  X(MODULE,                37, 0, "a module of the topic cannot be used", "put the file there that the topic was created with, or create the topic anew") \
  X(HANDLER,               38, 0, "a function of the program that handles events failed", "see its cause; the event was not acknowledged") \
  X(DROPPED,               39, 0, "the event was dropped, since the producer's queue was full", "push more slowly, raise queueEvents, or choose another whenFull") \
  X(TOPIC_SEALED,          64, 0, "the topic takes no more events", "create another topic for them") \
  X(PRODUCER_LOST,         65, 0, "a producer that the topic ends with died before it was closed", "what it stored is there; start it again under its name to go on") \
  X(STEP_FAILED,           66, 0, "the step was not committed", "begin it again on all ranks of the group") \
  X(CORRUPT,               40, 0, "stored bytes do not match their checksum", "run weftline log verify") \
  X(NO_SPACE,              41, 1, "the device or the memory of the partition is full", "make room; the partition goes on by itself") \
  X(IO,                    42, 0, "a system call on a file failed", "look at the device named in the message") \
  X(SYNC_FAILED,           43, 0, "fdatasync failed: pages may be lost", "look at the device; the partition is read-only until it is opened again") \
  X(DATA_DIRECTORY_LOCKED, 44, 0, "a live server uses this data directory", "stop that server or use another directory") \
  X(FORMAT_NEWER,          45, 0, "the directory was written by a newer version", "use that version") \
  X(NOT_WRITABLE,          46, 0, "the directory cannot be written", "correct its permissions or use another directory") \
  X(GROUP_MISSING,         50, 1, "the group directory does not exist", "start a server, or correct WEFTLINE_GROUP") \
  X(GROUP_STALE,           51, 1, "the group directory names servers that are gone", "start the server again") \
  X(GROUP_UNREADABLE,      52, 0, "the group directory cannot be read", "run as its owner") \
  X(GROUP_OTHER_JOB,       53, 0, "the group directory belongs to another job", "give the directory of this job; if its servers were started again as a new job, connect again") \
  X(SECRET_WRONG,          54, 0, "the other side does not know the job's secret", "read the group directory of the same job on both sides") \
  X(PROTOCOL_VERSION,      55, 0, "the other side speaks another protocol version", "use one version of Weftline in a job") \
  X(PEER_LOST,             56, 1, "the other process is gone or silent", "the client connects again by itself until its deadline") \
  X(FABRIC,                57, 0, "libfabric reported an error", "run weftline doctor") \
  X(NO_SERVER,             58, 0, "no rank of this world is a server", "start at least one rank as a server") \
  X(MPI,                   60, 0, "MPI reported an error", "look at the MPI library and the launcher") \
  X(MPI_WRONG_LAUNCHER,    61, 0, "the MPI library does not belong to the launcher", "use the mpiexec of the same MPI, or set WEFTLINE_MPI") \
  X(RANK_LOST,             62, 0, "a rank of the world is gone", "restart the job") \
  X(CONFIG_INVALID,        63, 0, "the configuration is not valid", "correct the line in the message")
/* clang-format on */

#endif
