// Generated from native/include/weftline/weft_errors.h by scripts/generate-errors.mjs. Do not edit: run `npm run generate`.

/** Every code that an error of Weftline can carry. */
export type ErrorCode =
  | "WEFT_INTERNAL"
  | "WEFT_INVALID_ARGUMENT"
  | "WEFT_WRONG_HANDLE"
  | "WEFT_UNSUPPORTED"
  | "WEFT_TIMED_OUT"
  | "WEFT_CANCELLED"
  | "WEFT_CLOSED"
  | "WEFT_BUSY"
  | "WEFT_LIMIT"
  | "WEFT_OUT_OF_MEMORY"
  | "WEFT_TOPIC_UNKNOWN"
  | "WEFT_TOPIC_EXISTS"
  | "WEFT_PARTITION_RANGE"
  | "WEFT_PARTITION_READ_ONLY"
  | "WEFT_PARTITION_UNAVAILABLE"
  | "WEFT_EVENT_TOO_LARGE"
  | "WEFT_METADATA_INVALID"
  | "WEFT_SELECTION_OUTSIDE"
  | "WEFT_FENCED"
  | "WEFT_SEQUENCE_GAP"
  | "WEFT_TRUNCATED"
  | "WEFT_OFFSET_GONE"
  | "WEFT_BUFFER_TOO_LARGE"
  | "WEFT_BUFFER_CHANGED"
  | "WEFT_VALIDATOR_REJECTED"
  | "WEFT_DELIVERY_TIMED_OUT"
  | "WEFT_END_OF_STREAM"
  | "WEFT_MODULE"
  | "WEFT_HANDLER"
  | "WEFT_DROPPED"
  | "WEFT_TOPIC_SEALED"
  | "WEFT_PRODUCER_LOST"
  | "WEFT_STEP_FAILED"
  | "WEFT_CORRUPT"
  | "WEFT_NO_SPACE"
  | "WEFT_IO"
  | "WEFT_SYNC_FAILED"
  | "WEFT_DATA_DIRECTORY_LOCKED"
  | "WEFT_FORMAT_NEWER"
  | "WEFT_NOT_WRITABLE"
  | "WEFT_GROUP_MISSING"
  | "WEFT_GROUP_STALE"
  | "WEFT_GROUP_UNREADABLE"
  | "WEFT_GROUP_OTHER_JOB"
  | "WEFT_SECRET_WRONG"
  | "WEFT_PROTOCOL_VERSION"
  | "WEFT_PEER_LOST"
  | "WEFT_FABRIC"
  | "WEFT_NO_SERVER"
  | "WEFT_MPI"
  | "WEFT_MPI_WRONG_LAUNCHER"
  | "WEFT_RANK_LOST"
  | "WEFT_CONFIG_INVALID";

export interface ErrorDescription {
  /** The number that the C API returns. Numbers are never reused. */
  readonly number: number;
  /** The same call may succeed later without a change by the caller. */
  readonly canRetry: boolean;
  readonly meaning: string;
  /** What to do next; empty where nothing is to be done. */
  readonly next: string;
}

export const errorTable: Readonly<Record<ErrorCode, ErrorDescription>> = {
  WEFT_INTERNAL: {
    number: 1,
    canRetry: false,
    meaning: "a fault in Weftline itself",
    next: "report it with the message",
  },
  WEFT_INVALID_ARGUMENT: {
    number: 2,
    canRetry: false,
    meaning: "an argument is outside what the call accepts",
    next: "correct the argument named in the message",
  },
  WEFT_WRONG_HANDLE: {
    number: 3,
    canRetry: false,
    meaning: "a handle of another kind, or one that was closed, was given",
    next: "give the handle that the call asks for",
  },
  WEFT_UNSUPPORTED: {
    number: 4,
    canRetry: false,
    meaning: "this build, platform or topic does not offer it",
    next: "see the message for what is offered",
  },
  WEFT_TIMED_OUT: {
    number: 5,
    canRetry: true,
    meaning: "the time limit passed first",
    next: "wait longer or look at why it is slow; nothing was lost",
  },
  WEFT_CANCELLED: {
    number: 6,
    canRetry: false,
    meaning: "the caller cancelled it",
    next: "",
  },
  WEFT_CLOSED: {
    number: 7,
    canRetry: false,
    meaning: "the object was closed",
    next: "open it again",
  },
  WEFT_BUSY: {
    number: 8,
    canRetry: true,
    meaning: "a bounded queue or credit is used up",
    next: "wait, or raise the limit named in the message",
  },
  WEFT_LIMIT: {
    number: 9,
    canRetry: false,
    meaning: "a stated limit would be passed",
    next: "stay below the limit named in the message, or raise it",
  },
  WEFT_OUT_OF_MEMORY: {
    number: 10,
    canRetry: true,
    meaning: "memory could not be had",
    next: "free memory or lower the limits",
  },
  WEFT_TOPIC_UNKNOWN: {
    number: 20,
    canRetry: false,
    meaning: "no topic has this name",
    next: "create it, or list the topics",
  },
  WEFT_TOPIC_EXISTS: {
    number: 21,
    canRetry: false,
    meaning: "a topic has this name already",
    next: "open it, or choose another name",
  },
  WEFT_PARTITION_RANGE: {
    number: 22,
    canRetry: false,
    meaning: "the topic has no partition of this number",
    next: "use a number below the topic's partition count",
  },
  WEFT_PARTITION_READ_ONLY: {
    number: 23,
    canRetry: false,
    meaning: "the partition takes no events since a write or sync failed",
    next: "look at the device, then restart the server: the partition is verified at start",
  },
  WEFT_PARTITION_UNAVAILABLE: {
    number: 24,
    canRetry: true,
    meaning: "the server slot of this partition is not there",
    next: "start the slot again",
  },
  WEFT_EVENT_TOO_LARGE: {
    number: 25,
    canRetry: false,
    meaning: "the event is larger than the partition or the metadata limit allows",
    next: "send a smaller event, or raise the limit",
  },
  WEFT_METADATA_INVALID: {
    number: 26,
    canRetry: false,
    meaning: "the metadata is not what the topic's serializer takes",
    next: "correct the metadata",
  },
  WEFT_SELECTION_OUTSIDE: {
    number: 27,
    canRetry: false,
    meaning: "the selection reaches outside the event's data",
    next: "select within the length in the message",
  },
  WEFT_FENCED: {
    number: 28,
    canRetry: false,
    meaning: "a newer producer opened this name",
    next: "stop this one, or open the name again",
  },
  WEFT_SEQUENCE_GAP: {
    number: 29,
    canRetry: false,
    meaning: "a batch came out of sequence",
    next: "resend from the expected sequence",
  },
  WEFT_TRUNCATED: {
    number: 30,
    canRetry: false,
    meaning: "the log ends before this offset: it was cut at recovery",
    next: "continue at the offset in the message",
  },
  WEFT_OFFSET_GONE: {
    number: 31,
    canRetry: false,
    meaning: "the offset was removed by retention",
    next: "continue at the first offset in the message",
  },
  WEFT_BUFFER_TOO_LARGE: {
    number: 32,
    canRetry: false,
    meaning: "the data does not fit one JavaScript buffer",
    next: "read a range, or give a list of segments",
  },
  WEFT_BUFFER_CHANGED: {
    number: 33,
    canRetry: false,
    meaning: "the data was changed between push and transfer",
    next: "wait for the receipt before the memory is written again",
  },
  WEFT_VALIDATOR_REJECTED: {
    number: 34,
    canRetry: false,
    meaning: "the topic's validator rejected the event",
    next: "correct the field in the message",
  },
  WEFT_DELIVERY_TIMED_OUT: {
    number: 35,
    canRetry: false,
    meaning: "the batch was not acknowledged within deliveryTimeoutMs",
    next: "it may or may not be stored; look at the server, then send it again under the same producer name",
  },
  WEFT_END_OF_STREAM: {
    number: 36,
    canRetry: false,
    meaning: "there are no more events",
    next: "",
  },
  WEFT_MODULE: {
    number: 37,
    canRetry: false,
    meaning: "a module of the topic cannot be used",
    next: "put the file there that the topic was created with, or create the topic anew",
  },
  WEFT_HANDLER: {
    number: 38,
    canRetry: false,
    meaning: "a function of the program that handles events failed",
    next: "see its cause; the event was not acknowledged",
  },
  WEFT_DROPPED: {
    number: 39,
    canRetry: false,
    meaning: "the event was dropped, since the producer's queue was full",
    next: "push more slowly, raise queueEvents, or choose another whenFull",
  },
  WEFT_TOPIC_SEALED: {
    number: 64,
    canRetry: false,
    meaning: "the topic takes no more events",
    next: "create another topic for them",
  },
  WEFT_PRODUCER_LOST: {
    number: 65,
    canRetry: false,
    meaning: "a producer that the topic ends with died before it was closed",
    next: "what it stored is there; start it again under its name to go on",
  },
  WEFT_STEP_FAILED: {
    number: 66,
    canRetry: false,
    meaning: "the step was not committed",
    next: "begin it again on all ranks of the group",
  },
  WEFT_CORRUPT: {
    number: 40,
    canRetry: false,
    meaning: "stored bytes do not match their checksum",
    next: "run weftline log verify",
  },
  WEFT_NO_SPACE: {
    number: 41,
    canRetry: true,
    meaning: "the device or the memory of the partition is full",
    next: "make room; the partition goes on by itself",
  },
  WEFT_IO: {
    number: 42,
    canRetry: false,
    meaning: "a system call on a file failed",
    next: "look at the device named in the message",
  },
  WEFT_SYNC_FAILED: {
    number: 43,
    canRetry: false,
    meaning: "fdatasync failed: pages may be lost",
    next: "look at the device; the partition is read-only until it is opened again",
  },
  WEFT_DATA_DIRECTORY_LOCKED: {
    number: 44,
    canRetry: false,
    meaning: "a live server uses this data directory",
    next: "stop that server or use another directory",
  },
  WEFT_FORMAT_NEWER: {
    number: 45,
    canRetry: false,
    meaning: "the directory was written by a newer version",
    next: "use that version",
  },
  WEFT_NOT_WRITABLE: {
    number: 46,
    canRetry: false,
    meaning: "the directory cannot be written",
    next: "correct its permissions or use another directory",
  },
  WEFT_GROUP_MISSING: {
    number: 50,
    canRetry: true,
    meaning: "the group directory does not exist",
    next: "start a server, or correct WEFTLINE_GROUP",
  },
  WEFT_GROUP_STALE: {
    number: 51,
    canRetry: true,
    meaning: "the group directory names servers that are gone",
    next: "start the server again",
  },
  WEFT_GROUP_UNREADABLE: {
    number: 52,
    canRetry: false,
    meaning: "the group directory cannot be read",
    next: "run as its owner",
  },
  WEFT_GROUP_OTHER_JOB: {
    number: 53,
    canRetry: false,
    meaning: "the group directory belongs to another job",
    next: "give the directory of this job; if its servers were started again as a new job, connect again",
  },
  WEFT_SECRET_WRONG: {
    number: 54,
    canRetry: false,
    meaning: "the other side does not know the job's secret",
    next: "read the group directory of the same job on both sides",
  },
  WEFT_PROTOCOL_VERSION: {
    number: 55,
    canRetry: false,
    meaning: "the other side speaks another protocol version",
    next: "use one version of Weftline in a job",
  },
  WEFT_PEER_LOST: {
    number: 56,
    canRetry: true,
    meaning: "the other process is gone or silent",
    next: "the client connects again by itself until its deadline",
  },
  WEFT_FABRIC: {
    number: 57,
    canRetry: false,
    meaning: "libfabric reported an error",
    next: "run weftline doctor",
  },
  WEFT_NO_SERVER: {
    number: 58,
    canRetry: false,
    meaning: "no rank of this world is a server",
    next: "start at least one rank as a server",
  },
  WEFT_MPI: {
    number: 60,
    canRetry: false,
    meaning: "MPI reported an error",
    next: "look at the MPI library and the launcher",
  },
  WEFT_MPI_WRONG_LAUNCHER: {
    number: 61,
    canRetry: false,
    meaning: "the MPI library does not belong to the launcher",
    next: "use the mpiexec of the same MPI, or set WEFTLINE_MPI",
  },
  WEFT_RANK_LOST: {
    number: 62,
    canRetry: false,
    meaning: "a rank of the world is gone",
    next: "restart the job",
  },
  WEFT_CONFIG_INVALID: {
    number: 63,
    canRetry: false,
    meaning: "the configuration is not valid",
    next: "correct the line in the message",
  },
};

const codesByNumber: ReadonlyMap<number, ErrorCode> = new Map<number, ErrorCode>([
  [1, "WEFT_INTERNAL"],
  [2, "WEFT_INVALID_ARGUMENT"],
  [3, "WEFT_WRONG_HANDLE"],
  [4, "WEFT_UNSUPPORTED"],
  [5, "WEFT_TIMED_OUT"],
  [6, "WEFT_CANCELLED"],
  [7, "WEFT_CLOSED"],
  [8, "WEFT_BUSY"],
  [9, "WEFT_LIMIT"],
  [10, "WEFT_OUT_OF_MEMORY"],
  [20, "WEFT_TOPIC_UNKNOWN"],
  [21, "WEFT_TOPIC_EXISTS"],
  [22, "WEFT_PARTITION_RANGE"],
  [23, "WEFT_PARTITION_READ_ONLY"],
  [24, "WEFT_PARTITION_UNAVAILABLE"],
  [25, "WEFT_EVENT_TOO_LARGE"],
  [26, "WEFT_METADATA_INVALID"],
  [27, "WEFT_SELECTION_OUTSIDE"],
  [28, "WEFT_FENCED"],
  [29, "WEFT_SEQUENCE_GAP"],
  [30, "WEFT_TRUNCATED"],
  [31, "WEFT_OFFSET_GONE"],
  [32, "WEFT_BUFFER_TOO_LARGE"],
  [33, "WEFT_BUFFER_CHANGED"],
  [34, "WEFT_VALIDATOR_REJECTED"],
  [35, "WEFT_DELIVERY_TIMED_OUT"],
  [36, "WEFT_END_OF_STREAM"],
  [37, "WEFT_MODULE"],
  [38, "WEFT_HANDLER"],
  [39, "WEFT_DROPPED"],
  [64, "WEFT_TOPIC_SEALED"],
  [65, "WEFT_PRODUCER_LOST"],
  [66, "WEFT_STEP_FAILED"],
  [40, "WEFT_CORRUPT"],
  [41, "WEFT_NO_SPACE"],
  [42, "WEFT_IO"],
  [43, "WEFT_SYNC_FAILED"],
  [44, "WEFT_DATA_DIRECTORY_LOCKED"],
  [45, "WEFT_FORMAT_NEWER"],
  [46, "WEFT_NOT_WRITABLE"],
  [50, "WEFT_GROUP_MISSING"],
  [51, "WEFT_GROUP_STALE"],
  [52, "WEFT_GROUP_UNREADABLE"],
  [53, "WEFT_GROUP_OTHER_JOB"],
  [54, "WEFT_SECRET_WRONG"],
  [55, "WEFT_PROTOCOL_VERSION"],
  [56, "WEFT_PEER_LOST"],
  [57, "WEFT_FABRIC"],
  [58, "WEFT_NO_SERVER"],
  [60, "WEFT_MPI"],
  [61, "WEFT_MPI_WRONG_LAUNCHER"],
  [62, "WEFT_RANK_LOST"],
  [63, "WEFT_CONFIG_INVALID"],
]);

/** The code of a number from the C API; undefined for 0 (no error) and for numbers of a newer native core. */
export function errorCodeOf(number: number): ErrorCode | undefined {
  return codesByNumber.get(number);
}
