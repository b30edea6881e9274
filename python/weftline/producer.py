"""Pushing events."""

import ctypes
from collections import deque
from typing import Any, Deque, List, NamedTuple, Optional, Sequence, Tuple, Union

from .errors import WeftError, failure
from .library import EventId, Piece, check, in_slices, load
from .memory import Buffer, Region, RegionSlice, contiguous
from .records import Codec

# What is larger is not copied by the library, but read where it is.
COPIED_BYTES_MAX = 16 * 1024
# Memory of arrays that wait for their acknowledgement; behind it a push waits for the oldest.
HELD_BYTES_MAX = 256 * 1024 * 1024
# Memory of producers that were closed before all was answered: a server may still read it.
_ABANDONED: List[Any] = []


class Place(NamedTuple):
    """Where an event is, for ever."""

    partition: int
    offset: int
    epoch: int


class Receipt:
    """Stands for an event that was pushed."""

    def __init__(self, producer: "Producer", number: int):
        self._producer = producer
        self.number = number

    def wait(self, timeout_ms: Optional[float] = None) -> Place:
        """Until the event is stored at the topic's durability: where it is. WEFT_TIMED_OUT: still under way; the code of
        its batch when it was not stored; WEFT_LIMIT: forgotten, after 4,096 later batches."""
        place = EventId()
        handle = self._producer.handle
        in_slices(timeout_ms, lambda now: load().weft_receipt_wait(handle, self.number, now, ctypes.byref(place)))
        return Place(place.partition, place.offset, place.epoch)


class Producer:
    """From `topic.producer(...)`. A context manager: leaving it flushes and closes.

    with topic.producer(name="solver-0") as out:
        receipt = out.push({"step": 1}, temperature)   # a NumPy array: not copied, leave it alone until
        out.flush()                                     # the flush, or receipt.wait()
    """

    def __init__(self, handle: int, topic: str, codec: Codec):
        self._handle: Optional[int] = handle
        self._topic = topic
        self._codec = codec
        # What the library may still read, by receipt, oldest first.
        self._held: Deque[Tuple[int, List[Buffer], int]] = deque()
        self._held_bytes = 0

    @property
    def handle(self) -> int:
        if self._handle is None:
            raise failure("WEFT_CLOSED", f"the producer of topic '{self._topic}' was closed")
        return self._handle

    def push(
        self,
        metadata: Any,
        data: Union[None, Any, Sequence[Any]] = None,
        *,
        partition: Optional[int] = None,
        key: Union[None, str, bytes] = None,
    ) -> Receipt:
        """One event. `metadata`: what the topic's serializer takes (a dict; bytes; the fields of a record). `data`: bytes,
        a NumPy array, a region or a slice of one, or a list of these, joined in order. Contiguous data of up to 16 KiB is
        copied; larger data is read where it is, so leave it alone until the receipt or the flush. What is not contiguous
        is copied. `partition` or `key`: for topics whose selector demands one.

        While all batches are under way it does what `when_full` of the producer says: it waits ("block"), or raises
        WEFT_BUSY ("error") or WEFT_DROPPED ("drop-newest").
        """
        encoded = self._codec.encode(metadata)
        chosen = -1 if partition is None else partition
        if partition is None and key is not None:
            chosen = self.partition_of_key(key)
        pieces, kept = _pieces_of(data)
        number = ctypes.c_uint64()
        check(
            load().weft_push_pieces(
                self.handle, chosen, encoded, len(encoded), pieces, len(pieces), ctypes.byref(number)
            )
        )
        self._hold(number.value, kept)
        return Receipt(self, number.value)

    def _hold(self, number: int, kept: List[Buffer]) -> None:
        referenced = [buffer for buffer in kept if buffer.length > COPIED_BYTES_MAX]
        if not referenced:
            return
        size = sum(buffer.length for buffer in referenced)
        self._held.append((number, referenced, size))
        self._held_bytes += size
        while self._held_bytes > HELD_BYTES_MAX and len(self._held) > 1:
            oldest, _, oldest_size = self._held[0]
            try:
                Receipt(self, oldest).wait()
            except WeftError:
                pass  # the flush and the caller's own receipt say it
            self._held.popleft()
            self._held_bytes -= oldest_size

    def partition_of_key(self, key: Union[str, bytes]) -> int:
        """The partition of a key, as the selector key-hash has it."""
        encoded = key.encode() if isinstance(key, str) else key
        partition = ctypes.c_int32()
        check(load().weft_partition_of_key(self.handle, encoded, len(encoded), ctypes.byref(partition)))
        return partition.value

    def sync(self, timeout_ms: Optional[float] = None) -> None:
        """After `flush`: what was acknowledged survives a loss of power, whatever the topic's durability."""
        in_slices(timeout_ms, lambda now: load().weft_sync(self.handle, now))

    def flush(self, timeout_ms: Optional[float] = None) -> None:
        """Sends what is open, and waits until all is stored at the topic's durability; the first failed batch's error,
        once."""
        in_slices(timeout_ms, lambda now: load().weft_flush(self.handle, now))
        self._held.clear()
        self._held_bytes = 0

    def stored_before(self, partition: int) -> int:
        """The offset behind the last event that was stored in the partition under this producer's name before it was
        opened; 0 if there is none."""
        offset = ctypes.c_uint64()
        check(load().weft_producer_stored_before(self.handle, partition, ctypes.byref(offset)))
        return offset.value

    def close(self, timeout_ms: float = 120_000) -> None:
        """Flushes first; it is closed whatever that says. Again: nothing happens."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        try:
            check(load().weft_producer_close(handle, int(timeout_ms)))
        except WeftError:
            _ABANDONED.extend(self._held)
            raise
        finally:
            self._held.clear()

    def forget(self) -> None:
        """Its job was closed, and it with that."""
        self._handle = None
        self._held.clear()

    def __del__(self) -> None:
        try:
            self.close(30_000)
        except Exception:  # nobody would hear it
            pass

    def __enter__(self) -> "Producer":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _pieces_of(data: Any) -> Tuple[Any, List[Buffer]]:
    if data is None:
        return (Piece * 0)(), []
    parts = data if isinstance(data, (list, tuple)) else [data]
    pieces = (Piece * len(parts))()
    kept: List[Buffer] = []
    for index, part in enumerate(parts):
        if isinstance(part, (Region, RegionSlice)):
            pieces[index] = Piece(part.address, part.length, part.handle)
            continue
        buffer = contiguous(part)
        kept.append(buffer)
        pieces[index] = Piece(buffer.address, buffer.length, None)
    return pieces, kept
