# Generated from native/include/weftline/weft_errors.h by scripts/generate-errors.mjs. Do not edit: run `npm run generate`.
"""Every code that an error of Weftline can carry."""
from typing import NamedTuple


class Code(NamedTuple):
    """One row of the table; `can_retry`: the same call may succeed later without a change by the caller."""

    name: str
    number: int
    can_retry: bool
    meaning: str
    next: str


CODES = (
    Code("WEFT_OK", 0, False, "no error", ""),
    Code("WEFT_INTERNAL", 1, False, "a fault in Weftline itself", "report it with the message"),
    Code("WEFT_INVALID_ARGUMENT", 2, False, "an argument is outside what the call accepts", "correct the argument named in the message"),
    Code("WEFT_WRONG_HANDLE", 3, False, "a handle of another kind, or one that was closed, was given", "give the handle that the call asks for"),
    Code("WEFT_UNSUPPORTED", 4, False, "this build, platform or topic does not offer it", "see the message for what is offered"),
    Code("WEFT_TIMED_OUT", 5, True, "the time limit passed first", "wait longer or look at why it is slow; nothing was lost"),
    Code("WEFT_CANCELLED", 6, False, "the caller cancelled it", ""),
    Code("WEFT_CLOSED", 7, False, "the object was closed", "open it again"),
    Code("WEFT_BUSY", 8, True, "a bounded queue or credit is used up", "wait, or raise the limit named in the message"),
    Code("WEFT_LIMIT", 9, False, "a stated limit would be passed", "stay below the limit named in the message, or raise it"),
    Code("WEFT_OUT_OF_MEMORY", 10, True, "memory could not be had", "free memory or lower the limits"),
    Code("WEFT_TOPIC_UNKNOWN", 20, False, "no topic has this name", "create it, or list the topics"),
    Code("WEFT_TOPIC_EXISTS", 21, False, "a topic has this name already", "open it, or choose another name"),
    Code("WEFT_PARTITION_RANGE", 22, False, "the topic has no partition of this number", "use a number below the topic's partition count"),
    Code("WEFT_PARTITION_READ_ONLY", 23, False, "the partition takes no events since a write or sync failed", "look at the device, then restart the server: the partition is verified at start"),
    Code("WEFT_PARTITION_UNAVAILABLE", 24, True, "the server slot of this partition is not there", "start the slot again"),
    Code("WEFT_EVENT_TOO_LARGE", 25, False, "the event is larger than the partition or the metadata limit allows", "send a smaller event, or raise the limit"),
    Code("WEFT_METADATA_INVALID", 26, False, "the metadata is not what the topic's serializer takes", "correct the metadata"),
    Code("WEFT_SELECTION_OUTSIDE", 27, False, "the selection reaches outside the event's data", "select within the length in the message"),
    Code("WEFT_FENCED", 28, False, "a newer producer opened this name", "stop this one, or open the name again"),
    Code("WEFT_SEQUENCE_GAP", 29, False, "a batch came out of sequence", "resend from the expected sequence"),
    Code("WEFT_TRUNCATED", 30, False, "the log ends before this offset: it was cut at recovery", "continue at the offset in the message"),
    Code("WEFT_OFFSET_GONE", 31, False, "the offset was removed by retention", "continue at the first offset in the message"),
    Code("WEFT_BUFFER_TOO_LARGE", 32, False, "the data does not fit one JavaScript buffer", "read a range, or give a list of segments"),
    Code("WEFT_BUFFER_CHANGED", 33, False, "the data was changed between push and transfer", "wait for the receipt before the memory is written again"),
    Code("WEFT_VALIDATOR_REJECTED", 34, False, "the topic's validator rejected the event", "correct the field in the message"),
    Code("WEFT_DELIVERY_TIMED_OUT", 35, False, "the batch was not acknowledged within deliveryTimeoutMs", "it may or may not be stored; look at the server, then send it again under the same producer name"),
    Code("WEFT_END_OF_STREAM", 36, False, "there are no more events", ""),
    Code("WEFT_MODULE", 37, False, "a module of the topic cannot be used", "put the file there that the topic was created with, or create the topic anew"),
    Code("WEFT_HANDLER", 38, False, "a function of the program that handles events failed", "see its cause; the event was not acknowledged"),
    Code("WEFT_DROPPED", 39, False, "the event was dropped, since the producer's queue was full", "push more slowly, raise queueEvents, or choose another whenFull"),
    Code("WEFT_TOPIC_SEALED", 64, False, "the topic takes no more events", "create another topic for them"),
    Code("WEFT_PRODUCER_LOST", 65, False, "a producer that the topic ends with died before it was closed", "what it stored is there; start it again under its name to go on"),
    Code("WEFT_STEP_FAILED", 66, False, "the step was not committed", "begin it again on all ranks of the group"),
    Code("WEFT_CORRUPT", 40, False, "stored bytes do not match their checksum", "run weftline log verify"),
    Code("WEFT_NO_SPACE", 41, True, "the device or the memory of the partition is full", "make room; the partition goes on by itself"),
    Code("WEFT_IO", 42, False, "a system call on a file failed", "look at the device named in the message"),
    Code("WEFT_SYNC_FAILED", 43, False, "fdatasync failed: pages may be lost", "look at the device; the partition is read-only until it is opened again"),
    Code("WEFT_DATA_DIRECTORY_LOCKED", 44, False, "a live server uses this data directory", "stop that server or use another directory"),
    Code("WEFT_FORMAT_NEWER", 45, False, "the directory was written by a newer version", "use that version"),
    Code("WEFT_NOT_WRITABLE", 46, False, "the directory cannot be written", "correct its permissions or use another directory"),
    Code("WEFT_GROUP_MISSING", 50, True, "the group directory does not exist", "start a server, or correct WEFTLINE_GROUP"),
    Code("WEFT_GROUP_STALE", 51, True, "the group directory names servers that are gone", "start the server again"),
    Code("WEFT_GROUP_UNREADABLE", 52, False, "the group directory cannot be read", "run as its owner"),
    Code("WEFT_GROUP_OTHER_JOB", 53, False, "the group directory belongs to another job", "give the directory of this job; if its servers were started again as a new job, connect again"),
    Code("WEFT_SECRET_WRONG", 54, False, "the other side does not know the job's secret", "read the group directory of the same job on both sides"),
    Code("WEFT_PROTOCOL_VERSION", 55, False, "the other side speaks another protocol version", "use one version of Weftline in a job"),
    Code("WEFT_PEER_LOST", 56, True, "the other process is gone or silent", "the client connects again by itself until its deadline"),
    Code("WEFT_FABRIC", 57, False, "libfabric reported an error", "run weftline doctor"),
    Code("WEFT_NO_SERVER", 58, False, "no rank of this world is a server", "start at least one rank as a server"),
    Code("WEFT_MPI", 60, False, "MPI reported an error", "look at the MPI library and the launcher"),
    Code("WEFT_MPI_WRONG_LAUNCHER", 61, False, "the MPI library does not belong to the launcher", "use the mpiexec of the same MPI, or set WEFTLINE_MPI"),
    Code("WEFT_RANK_LOST", 62, False, "a rank of the world is gone", "restart the job"),
    Code("WEFT_CONFIG_INVALID", 63, False, "the configuration is not valid", "correct the line in the message"),
)
BY_NUMBER = {code.number: code for code in CODES}
BY_NAME = {code.name: code for code in CODES}
