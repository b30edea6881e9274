"""Finds libweftline.so, and says how its functions are called. Loaded with the first use, once in a process.

Looked for: the file that WEFTLINE_LIBRARY names; the build beside this package (build/native of a checkout or of the npm
package); the library of the prefix that this package was installed in; then wherever the system's loader looks.
"""

import ctypes
import os
import threading
from ctypes import POINTER, Structure, c_char_p, c_int, c_int32, c_int64, c_uint8, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, Callable, List, Optional

from .errors import WeftError, failure

OK = 0
TIMED_OUT = 5
FOREVER = -1
ABI_VERSION = 1
LIBRARY = "libweftline.so"
SONAME = "libweftline.so.0"
# So often a call that waits looks whether Ctrl-C was pressed.
SLICE_MS = 250


class JoinOptions(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("echo", c_uint32),
        ("role", c_char_p),
        ("name", c_char_p),
        ("group", c_char_p),
        ("transports", c_char_p),
        ("bind_address", c_char_p),
        ("timeout_ms", c_int64),
        ("delivery_timeout_ms", c_int64),
        ("slots_expected", c_uint32),
        ("reserved", c_uint32),
    ]
    DEFAULTS = {"timeout_ms": 30_000, "delivery_timeout_ms": 120_000}


class JobFacts(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("rank", c_int32),
        ("world_size", c_int32),
        ("node_rank", c_int32),
        ("node_size", c_int32),
        ("group_rank", c_int32),
        ("group_size", c_int32),
        ("server_count", c_int32),
        ("role", c_char_p),
        ("name", c_char_p),
        ("mpi", c_char_p),
        ("group", c_char_p),
        ("job_id", c_uint8 * 16),
    ]


class TopicFacts(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("partition_count", c_uint32),
        ("uuid", c_uint8 * 16),
        ("storage", c_uint32),
        ("durability", c_uint32),
        ("serializer", c_uint32),
        ("flags", c_uint32),
        ("event_data_bytes_max", c_uint64),
        ("name", c_char_p),
        ("json", c_char_p),
    ]


class ProducerOptions(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("batch_events", c_uint32),
        ("name", c_char_p),
        ("batch_bytes", c_uint64),
        ("batch_data_bytes", c_uint64),
        ("batches_in_flight", c_uint32),
        ("linger_ms", c_uint32),
        ("when_full", c_uint32),
        ("ordering", c_uint32),
    ]
    DEFAULTS = {
        "batch_events": 128,
        "batch_bytes": 524_288,
        "batch_data_bytes": 1_048_576,
        "batches_in_flight": 16,
        "linger_ms": 2,
    }


class ConsumerOptions(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("from_", c_uint32),
        ("name", c_char_p),
        ("from_value", c_uint64),
        ("partitions", POINTER(c_uint32)),
        ("partition_count", c_uint32),
        ("prefetch_events", c_uint32),
        ("prefetch_bytes", c_uint64),
        ("until", c_uint32),
        ("ack_every_events", c_uint32),
        ("until_value", c_uint64),
        ("share_rank", c_uint32),
        ("share_size", c_uint32),
    ]
    DEFAULTS = {"from_": 4, "prefetch_bytes": 4_194_304, "ack_every_events": 1000}


class RawEvent(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("partition", c_uint32),
        ("offset", c_uint64),
        ("partition_epoch", c_uint32),
        ("reserved", c_uint32),
        ("time_ns", c_uint64),
        ("append_time_ns", c_uint64),
        ("metadata", c_void_p),
        ("metadata_length", c_uint64),
        ("data_length", c_uint64),
    ]


class EventId(Structure):
    _fields_ = [("partition", c_uint32), ("epoch", c_uint32), ("offset", c_uint64)]


class Piece(Structure):
    _fields_ = [("address", c_void_p), ("length", c_uint64), ("region", c_void_p)]


class RunLevel(Structure):
    _fields_ = [("stride", c_uint64), ("count", c_uint64)]


class Run(Structure):
    _fields_ = [("start", c_uint64), ("length", c_uint64), ("level_count", c_uint32), ("levels", POINTER(RunLevel))]


class RawSelection(Structure):
    _fields_ = [("offset", c_uint64), ("destination_at", c_uint64), ("runs", POINTER(Run)), ("run_count", c_uint32)]


# Every function in use: what it returns, and what it takes.
PROTOTYPES = {
    "weft_error_text": (c_char_p, [c_void_p]),
    "weft_abi_version": (c_uint32, []),
    "weft_free": (None, [c_void_p]),
    "weft_join": (c_int, [c_int64, POINTER(JoinOptions), POINTER(c_void_p)]),
    "weft_attach": (c_int, [c_char_p, POINTER(JoinOptions), POINTER(c_void_p)]),
    "weft_close": (c_int, [c_void_p]),
    "weft_job_describe": (c_int, [c_void_p, POINTER(JobFacts)]),
    "weft_job_counters": (c_int, [c_void_p, POINTER(c_void_p)]),
    "weft_job_group_communicator": (c_int64, [c_void_p]),
    "weft_control": (c_int, [c_void_p, c_uint32, c_char_p, c_uint64, c_int64, POINTER(c_void_p)]),
    "weft_topic_open": (c_int, [c_void_p, c_char_p, POINTER(c_void_p)]),
    "weft_topic_close": (None, [c_void_p]),
    "weft_topic_describe": (c_int, [c_void_p, POINTER(TopicFacts)]),
    "weft_partition_query": (c_int, [c_void_p, c_uint32, POINTER(c_uint64), POINTER(c_uint64)]),
    "weft_region_register": (c_int, [c_void_p, c_void_p, c_uint64, POINTER(c_void_p)]),
    "weft_region_allocate": (c_int, [c_void_p, c_uint64, POINTER(c_void_p)]),
    "weft_region_memory": (c_void_p, [c_void_p]),
    "weft_region_length": (c_uint64, [c_void_p]),
    "weft_region_wait": (c_int, [c_void_p, c_int64]),
    "weft_region_release": (c_int, [c_void_p]),
    "weft_producer_open": (c_int, [c_void_p, c_char_p, POINTER(ProducerOptions), POINTER(c_void_p)]),
    "weft_producer_stored_before": (c_int, [c_void_p, c_uint32, POINTER(c_uint64)]),
    "weft_producer_close": (c_int, [c_void_p, c_int64]),
    "weft_push_pieces": (c_int, [c_void_p, c_int32, c_char_p, c_uint64, POINTER(Piece), c_uint32, POINTER(c_uint64)]),
    "weft_partition_of_key": (c_int, [c_void_p, c_char_p, c_uint64, POINTER(c_int32)]),
    "weft_receipt_wait": (c_int, [c_void_p, c_uint64, c_int64, POINTER(EventId)]),
    "weft_flush": (c_int, [c_void_p, c_int64]),
    "weft_sync": (c_int, [c_void_p, c_int64]),
    "weft_consumer_seek": (c_int, [c_void_p, POINTER(c_uint32), c_uint32, c_uint32, c_uint64]),
    "weft_consumer_open": (c_int, [c_void_p, c_char_p, POINTER(ConsumerOptions), POINTER(c_void_p)]),
    "weft_consumer_close": (c_int, [c_void_p]),
    "weft_consumer_lag": (c_int, [c_void_p, c_uint32, POINTER(c_uint64), POINTER(c_uint64)]),
    "weft_pull": (c_int, [c_void_p, c_int64, POINTER(RawEvent)]),
    "weft_data_fetch": (
        c_int,
        [c_void_p, c_uint32, POINTER(RawSelection), c_uint32, c_void_p, c_uint64, c_void_p],
    ),
    "weft_box": (
        c_int,
        [c_uint32, POINTER(c_uint64), POINTER(c_uint64), POINTER(c_uint64), c_uint64, POINTER(Run), POINTER(RunLevel)],
    ),
    "weft_narrow": (
        c_int,
        [POINTER(Run), c_uint32, POINTER(Run), c_uint32, POINTER(Run), POINTER(c_uint32), POINTER(RunLevel)],
    ),
    "weft_ack": (c_int, [c_void_p, c_uint32, c_uint64]),
    "weft_commit_acknowledged": (c_int, [c_void_p, c_int64]),
}

_loading = threading.Lock()
_loaded: Optional[ctypes.CDLL] = None


def candidates() -> List[str]:
    """Where the library may be, in the order in which it is looked for."""
    named = os.environ.get("WEFTLINE_LIBRARY")
    if named:
        return [named]
    package = Path(__file__).resolve().parent
    # …/python/weftline in a checkout; <prefix>/lib/weftline/python/weftline where it was installed.
    beside = [package.parents[1] / "build" / "native" / "library" / LIBRARY, package.parents[2] / SONAME]
    return [str(path) for path in beside if path.exists()] + [SONAME]


def load() -> ctypes.CDLL:
    """The library, with its functions declared. WEFT_UNSUPPORTED where it is not found or of another version."""
    global _loaded
    with _loading:
        if _loaded is None:
            _loaded = _load()
        return _loaded


def _load() -> ctypes.CDLL:
    reasons = []
    for path in candidates():
        try:
            library = ctypes.CDLL(path)
        except OSError as error:
            reasons.append(str(error))
            continue
        for name, (restype, argtypes) in PROTOTYPES.items():
            try:
                function = getattr(library, name)
            except AttributeError:
                raise failure("WEFT_UNSUPPORTED", f"{path} has no {name}", "use the library of this version") from None
            function.restype = restype
            function.argtypes = argtypes
        version = library.weft_abi_version()
        if version != ABI_VERSION:
            what = f"{path} has version {version} of the C API, this package needs {ABI_VERSION}"
            raise failure("WEFT_UNSUPPORTED", what, "use the library of this version")
        return library
    what = f"{LIBRARY} cannot be loaded ({'; '.join(reasons)})"
    raise failure("WEFT_UNSUPPORTED", what, "build it (npm run build, or cmake), or name its file in WEFTLINE_LIBRARY")


def check(number: int) -> None:
    """Raises the error of a call that just returned on this thread."""
    if number == OK:
        return
    text = load().weft_error_text(None)
    raise WeftError(number, text.decode(errors="replace"))


def in_slices(timeout_ms: Optional[float], call: Callable[[int], int]) -> None:
    """A call with a time limit, cut into short ones, between which Python looks at signals. None: no limit."""
    left = float("inf") if timeout_ms is None else float(timeout_ms)
    while True:
        now = int(min(left, SLICE_MS))
        number = call(now)
        left -= now
        if number != TIMED_OUT or left <= 0:
            return check(number)


def options_of(kind: Any, given: dict) -> Any:
    """A struct of options with its defaults and what was given; None is the default."""
    options = kind(size=ctypes.sizeof(kind), **kind.DEFAULTS)
    for name, value in given.items():
        if value is None:
            continue
        if not any(name == field[0] for field in kind._fields_):
            raise TypeError(f"unknown option '{name}'")
        setattr(options, name, value.encode() if isinstance(value, str) else value)
    return options


def take_text(pointer: c_void_p) -> str:
    """A text that the library gave away."""
    try:
        return ctypes.string_at(pointer.value).decode() if pointer.value else ""
    finally:
        load().weft_free(pointer)
