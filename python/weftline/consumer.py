"""Consuming events."""

import ctypes
from ctypes import c_uint32, c_uint64
from typing import Any, Callable, Iterator, NamedTuple, Optional, Sequence, Tuple, Union

from .errors import WeftError, failure
from .library import RawEvent, RawSelection, check, in_slices, load
from .memory import Buffer, Region, RegionSlice
from .position import FROM, Position, position
from .records import Codec
from .selection import Selection, everything

Selector = Union[None, Selection, Callable[[Any], Optional[Selection]]]


class Lag(NamedTuple):
    """How far a consumer is in one partition: events from next_offset up to visible_end are still to come."""

    next_offset: int
    visible_end: int


class Event:
    """One event. It stays good after the iteration; its data is fetched when it is first asked for."""

    def __init__(self, consumer: "Consumer", raw: RawEvent):
        self._consumer = consumer
        self.partition: int = raw.partition
        self.offset: int = raw.offset
        self.partition_epoch: int = raw.partition_epoch
        self.time_ns: int = raw.time_ns
        """The producer's, since 1970."""
        self.append_time_ns: int = raw.append_time_ns
        """The server's."""
        self.data_length: int = raw.data_length
        """Of the whole event, in bytes, selected or not."""
        self.metadata_bytes: bytes = ctypes.string_at(raw.metadata, raw.metadata_length) if raw.metadata else b""
        self._selection: Optional[Selection] = None
        self._metadata: Any = None
        self._has_metadata = False
        self._data: Optional[bytearray] = None

    @property
    def metadata(self) -> Any:
        """Decoded by the topic's serializer, once: a dict, the fields of a record, or bytes."""
        if not self._has_metadata:
            self._metadata = self._consumer.codec.decode(self.metadata_bytes)
            self._has_metadata = True
        return self._metadata

    @property
    def data(self) -> memoryview:
        """The bytes that `select` chose; none without it. Fetched with the first use."""
        if self._data is None:
            self._data = bytearray() if self._selection is None else self.fetch(self._selection)
        return memoryview(self._data)

    def array(self, dtype: Any, shape: Optional[Tuple[int, ...]] = None) -> Any:
        """`data` as a NumPy array, without another copy.

        values = event.array(np.float64, (64, 64))

        WEFT_INVALID_ARGUMENT for an event of a consumer that selects nothing: give it `select=weftline.everything`.
        """
        import numpy

        if self._selection is None and self.data_length > 0:
            raise failure(
                "WEFT_INVALID_ARGUMENT",
                "this consumer selects no data; open it with select=weftline.everything, or use event.fetch()",
            )
        values = numpy.frombuffer(self.data, dtype=dtype)
        return values if shape is None else values.reshape(shape)

    def fetch(self, selection: Selection = everything, into: Any = None) -> Any:
        """The selected bytes: in a new bytearray, or written into the memory `into` (a NumPy array, a region or a slice of
        one, …), which must be long enough and is returned. Servers write into a region themselves."""
        length = selection.bytes_for(self.data_length)
        if isinstance(into, (Region, RegionSlice)):
            self._fetch(selection, into.address, into.length, into.handle)
            return into
        destination = bytearray(length) if into is None else into
        buffer = Buffer(destination, writable=True)
        try:
            if length > 0:
                self._fetch(selection, buffer.address, buffer.length, None)
        finally:
            buffer.release()
        return destination

    def _fetch(self, selection: Selection, address: int, length: int, region: Optional[int]) -> None:
        runs, count = selection.runs(self.data_length)
        one = (RawSelection * 1)(RawSelection(self.offset, 0, runs, count))
        check(load().weft_data_fetch(self._consumer.handle, self.partition, one, 1, address, length, region))

    def ack(self) -> None:
        """The event is done, in any order; `ack_every_events` of the consumer says when that is committed."""
        check(load().weft_ack(self._consumer.handle, self.partition, self.offset))


class Consumer:
    """From `topic.consumer(...)`. An iterator of events, and a context manager: leaving it commits what was acknowledged,
    and closes.

        for event in topic.consumer(name="means", until="end", select=lambda metadata: corner):
            print(event.metadata["step"], event.array(np.float64).mean())
            event.ack()
    """

    def __init__(self, handle: int, topic: str, codec: Codec, name: Optional[str], select: Selector):
        self._handle: Optional[int] = handle
        self._topic = topic
        self._name = name
        self._select = select
        self.codec = codec

    @property
    def handle(self) -> int:
        if self._handle is None:
            raise failure("WEFT_CLOSED", f"the consumer of topic '{self._topic}' was closed")
        return self._handle

    def pull(self, timeout_ms: Optional[float] = None) -> Optional[Event]:
        """The next event that `select` does not pass over; None at the end of the stream, when what was acknowledged until
        then is committed. WEFT_TIMED_OUT loses nothing."""
        raw = RawEvent()
        while True:
            try:
                in_slices(timeout_ms, lambda now: load().weft_pull(self.handle, now, ctypes.byref(raw)))
            except WeftError as error:
                if error.code != "WEFT_END_OF_STREAM":
                    raise
                # The loop's variable keeps the consumer open: what a loop acknowledged is not to wait for its end.
                self.commit()
                return None
            event = Event(self, raw)
            selection = self._select(event.metadata) if callable(self._select) else self._select
            if selection is None or selection.kind != "skip":
                event._selection = selection
                return event
            if self._name is not None:
                event.ack()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        event = self.pull()
        if event is None:
            raise StopIteration
        return event

    def commit(self, timeout_ms: Optional[float] = None) -> None:
        """Makes durable how far all events are acknowledged: whoever opens the name next begins there."""
        in_slices(timeout_ms, lambda now: load().weft_commit_acknowledged(self.handle, now))

    def seek(self, to: Position, partitions: Optional[Sequence[int]] = None) -> None:
        """Goes on from another place, as `start` of the consumer has it, in these partitions or in all that it reads; between
        events."""
        from_, value = position("to", FROM, to)
        listed = None if partitions is None else (c_uint32 * max(1, len(partitions)))(*partitions)
        count = 0 if partitions is None else len(partitions)
        check(load().weft_consumer_seek(self.handle, listed, count, from_, value))

    def lag(self, partition: int) -> Lag:
        """How far it is in a partition, as its server says now."""
        offset = c_uint64()
        end = c_uint64()
        check(load().weft_consumer_lag(self.handle, partition, ctypes.byref(offset), ctypes.byref(end)))
        return Lag(offset.value, end.value)

    def close(self) -> None:
        """Commits what was acknowledged. Again: nothing happens."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        check(load().weft_consumer_close(handle))

    def forget(self) -> None:
        """Its job was closed, and it with that."""
        self._handle = None

    def __del__(self) -> None:
        # That of a loop over a consumer that nobody named.
        try:
            self.close()
        except Exception:  # nobody would hear it
            pass

    def __enter__(self) -> "Consumer":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
