"""A topic as it was looked up, and what is opened on it."""

import ctypes
import json
from ctypes import c_uint32, c_uint64, c_void_p
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional, Sequence, Tuple

from .consumer import Consumer, Selector
from .errors import failure
from .library import ConsumerOptions, ProducerOptions, TopicFacts, check, load, options_of
from .position import FROM, UNTIL, Position, position
from .producer import Producer
from .records import Codec

if TYPE_CHECKING:
    from .job import Job

_WHEN_FULL = ("block", "error", "drop-newest")
_ORDERING = ("strict", "loose")
_SERIALIZERS = ("json", "raw", "packed", "custom")


class PartitionState(NamedTuple):
    """What is stored of a partition, as its server says now."""

    first_offset: int
    visible_end: int


def _choice(what: str, known: Sequence[str], given: str) -> int:
    if given in known:
        return known.index(given)
    raise failure("WEFT_INVALID_ARGUMENT", f"{what} is {given!r}", "give one of " + ", ".join(known))


class Topic:
    """From `job.topic(name)` or `job.create_topic(name, config)`."""

    def __init__(self, job: "Job", name: str):
        handle = c_void_p()
        check(load().weft_topic_open(job.handle, name.encode(), ctypes.byref(handle)))
        self._job = job
        self.name = name
        try:
            facts = TopicFacts(size=ctypes.sizeof(TopicFacts))
            check(load().weft_topic_describe(handle, ctypes.byref(facts)))
            self.partition_count: int = facts.partition_count
            self.description: Dict[str, Any] = json.loads(facts.json)
            """All that its creation said, with defaults: partitions, durability, serializer, retention, …"""
            self.serializer: str = _SERIALIZERS[facts.serializer]
        finally:
            load().weft_topic_close(handle)
        self._codec = Codec(name, self.serializer, self.description.get("packed"))

    @property
    def dtype(self) -> Any:
        """Of packed records: the fixed part as a NumPy structured type.

        records = np.frombuffer(event.metadata_bytes, topic.dtype)
        """
        if self._codec.packed is None:
            raise failure("WEFT_UNSUPPORTED", f"topic '{self.name}' has the serializer {self.serializer}, not packed")
        return self._codec.packed.dtype

    def partition(self, partition: int) -> PartitionState:
        """WEFT_PARTITION_RANGE, WEFT_PARTITION_UNAVAILABLE."""
        handle = c_void_p()
        first = c_uint64()
        end = c_uint64()
        check(load().weft_topic_open(self._job.handle, self.name.encode(), ctypes.byref(handle)))
        try:
            check(load().weft_partition_query(handle, partition, ctypes.byref(first), ctypes.byref(end)))
        finally:
            load().weft_topic_close(handle)
        return PartitionState(first.value, end.value)

    def producer(
        self, *, name: Optional[str] = None, when_full: str = "block", ordering: str = "strict", **options: Any
    ) -> Producer:
        """Opens a producer. `name`: one that is opened again fences its older self. `when_full`: "block", "error" or
        "drop-newest". `ordering`: "strict" or "loose". Others as in C: batch_events, batch_bytes, batch_data_bytes,
        batches_in_flight, linger_ms. WEFT_UNSUPPORTED when the topic demands JavaScript."""
        given = {
            **options,
            "name": name,
            "when_full": _choice("when_full", _WHEN_FULL, when_full),
            "ordering": _choice("ordering", _ORDERING, ordering),
        }
        raw = options_of(ProducerOptions, given)
        handle = c_void_p()
        check(load().weft_producer_open(self._job.handle, self.name.encode(), ctypes.byref(raw), ctypes.byref(handle)))
        assert handle.value is not None
        return self._job.keep(Producer(handle.value, self.name, self._codec))

    def consumer(
        self,
        *,
        name: Optional[str] = None,
        start: Position = "cursor",
        until: Position = "stopped",
        select: Selector = None,
        partitions: Optional[Sequence[int]] = None,
        share: Optional[Tuple[int, int]] = None,
        ack_every_events: int = 1000,
        **options: Any,
    ) -> Consumer:
        """Opens a consumer. `start`: "cursor" (behind what the name committed, else the first), "earliest", "latest",
        {"offset": n} or {"time": nanoseconds since 1970}. `until`: "stopped" (when the topic ends), "end" (behind what is
        visible now), or an offset or time. `select`: a selection, or a function of the metadata that returns one, or None
        for an event without data. `share`: (rank, size), a static group. Others as in C: prefetch_events,
        prefetch_bytes."""
        from_, from_value = position("start", FROM, start)
        until_, until_value = position("until", UNTIL, until)
        given = {
            **options,
            "name": name,
            "from_": from_,
            "from_value": from_value,
            "until": until_,
            "until_value": until_value,
            "ack_every_events": ack_every_events,
        }
        if share is not None:
            given["share_rank"], given["share_size"] = share
        raw = options_of(ConsumerOptions, given)
        if partitions is not None:
            listed = (c_uint32 * max(1, len(partitions)))(*partitions)
            raw.partitions = listed
            raw.partition_count = len(partitions)
        handle = c_void_p()
        check(load().weft_consumer_open(self._job.handle, self.name.encode(), ctypes.byref(raw), ctypes.byref(handle)))
        assert handle.value is not None
        return self._job.keep(Consumer(handle.value, self.name, self._codec, name, select))
