"""A process's place in a job."""

import ctypes
import json
import weakref
from ctypes import c_void_p
from typing import Any, Dict, List, NamedTuple, Optional, TypeVar

from .errors import failure
from .library import JobFacts, JoinOptions, check, load, options_of, take_text
from .memory import Region, allocated, region_of
from .topic import Topic

_COMM_WORLD = -1
Opened = TypeVar("Opened")


class Facts(NamedTuple):
    """Who this process is among those that joined."""

    rank: int
    world_size: int
    node_rank: int
    node_size: int
    group_rank: int
    group_size: int
    server_count: int
    role: str
    name: str
    mpi: str
    group: str


def attach(group: Optional[str] = None, **options: Any) -> "Job":
    """Joins from outside the MPI world, through the group directory; without one that of WEFTLINE_GROUP. Local. Options as
    in C: name, transports, timeout_ms, delivery_timeout_ms, … WEFT_GROUP_MISSING, WEFT_GROUP_STALE.

    with weftline.attach("./weft/group") as job:
        print(job.topics())
    """
    raw = options_of(JoinOptions, options)
    handle = c_void_p()
    directory = None if group is None else group.encode()
    check(load().weft_attach(directory, ctypes.byref(raw), ctypes.byref(handle)))
    assert handle.value is not None
    return Job(handle.value)


def join(communicator: Any = None, **options: Any) -> "Job":
    """Joins over MPI: collective over the communicator, of mpi4py or a Fortran handle; without one over MPI_COMM_WORLD.
    MPI is initialised if it was not. Without a launcher it is a world of one. Options as in C: role, name, group, ….

    job = weftline.join(name="analysis")
    """
    world = _COMM_WORLD
    if communicator is not None:
        world = communicator.py2f() if hasattr(communicator, "py2f") else int(communicator)
    raw = options_of(JoinOptions, options)
    handle = c_void_p()
    check(load().weft_join(world, ctypes.byref(raw), ctypes.byref(handle)))
    assert handle.value is not None
    return Job(handle.value)


class Job:
    """From `attach` or `join`. A context manager: leaving it closes it, and what is open on it."""

    def __init__(self, handle: int):
        self._handle: Optional[int] = handle
        self._opened: "weakref.WeakSet[Any]" = weakref.WeakSet()

    @property
    def handle(self) -> int:
        if self._handle is None:
            raise failure("WEFT_CLOSED", "the job was closed")
        return self._handle

    def keep(self, opened: Opened) -> Opened:
        """Something that is closed with the job."""
        self._opened.add(opened)
        return opened

    @property
    def facts(self) -> Facts:
        raw = JobFacts(size=ctypes.sizeof(JobFacts))
        check(load().weft_job_describe(self.handle, ctypes.byref(raw)))
        numbers = (getattr(raw, name) for name in Facts._fields[:7])
        texts = (getattr(raw, name).decode() for name in Facts._fields[7:])
        return Facts(*numbers, *texts)

    @property
    def group_communicator(self) -> int:
        """The Fortran handle of the communicator of all ranks that joined under the same name; -1 without MPI. It is freed
        by close(). With mpi4py: MPI.Comm.f2py(job.group_communicator)."""
        return load().weft_job_group_communicator(self.handle)

    def counters(self) -> Dict[str, Any]:
        """What this process counted (docs/counters.md)."""
        text = c_void_p()
        check(load().weft_job_counters(self.handle, ctypes.byref(text)))
        return json.loads(take_text(text))

    def control(self, request: Dict[str, Any], *, slot: int = 0, timeout_ms: int = 30_000) -> Dict[str, Any]:
        """A request to the control plane of a slot (docs/formats/control.md)."""
        encoded = json.dumps(request).encode()
        reply = c_void_p()
        check(load().weft_control(self.handle, slot, encoded, len(encoded), timeout_ms, ctypes.byref(reply)))
        return json.loads(take_text(reply))

    def topic(self, name: str) -> Topic:
        """WEFT_TOPIC_UNKNOWN."""
        return Topic(self, name)

    def create_topic(self, name: str, config: Optional[Dict[str, Any]] = None, *, if_exists: str = "fail") -> Topic:
        """Creates a topic and opens it. `config`: {"partitions": 2, "durability": "synced"} and what docs/topics.md has.
        `if_exists`: "fail" (WEFT_TOPIC_EXISTS) or "open"."""
        self.control({"op": "topic.create", "name": name, "config": config or {}, "ifExists": if_exists})
        return Topic(self, name)

    def topics(self) -> List[Dict[str, Any]]:
        """Summaries of all topics, in order of name."""
        found: List[Dict[str, Any]] = []
        request: Dict[str, Any] = {"op": "topic.list"}
        while True:
            reply = self.control(request)
            found += reply["topics"]
            if reply.get("next") is None:
                return found
            request["after"] = reply["next"]

    def seal_topic(self, name: str) -> None:
        """It takes no more events; loops over its consumers end. For good."""
        self.control({"op": "topic.seal", "name": name})

    def alter_topic(self, name: str, change: Dict[str, Any]) -> None:
        """{"retention": …, "partitions": …} and what docs/topics.md has."""
        self.control({"op": "topic.alter", "name": name, "change": change})

    def delete_topic(self, name: str) -> None:
        """Deletes it with its events."""
        self.control({"op": "topic.delete", "name": name})

    def register(self, memory: Any) -> Region:
        """Memory of a NumPy array or another writable buffer, for pushes and fetches without a copy. It is kept."""
        return self.keep(region_of(self.handle, memory))

    def allocate(self, length: int) -> Region:
        """Memory that the library owns, page aligned; in bytes."""
        return self.keep(allocated(self.handle, length))

    def close(self) -> None:
        """Leaves, and closes what is open. Collective after `join`, with a deadline. Again: nothing happens."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        try:
            check(load().weft_close(handle))
        finally:
            for opened in list(self._opened):
                opened.forget()

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
