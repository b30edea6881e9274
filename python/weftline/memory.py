"""Memory that the library reads and writes: buffers of Python as addresses, and regions, which are registered once."""

import ctypes
from ctypes import c_void_p
from typing import Any, List, Optional, Tuple

from .errors import WeftError, failure
from .library import check, in_slices, load

_ABANDONED: List[Any] = []
_PyBUF_SIMPLE = 0
_PyBUF_WRITABLE = 1


class _PyBuffer(ctypes.Structure):
    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


class Buffer:
    """The bytes of an object (bytes, bytearray, a NumPy array, …), which stay where they are as long as this lives.
    WEFT_INVALID_ARGUMENT for one that is not contiguous or, with `writable`, read-only; TypeError for one without bytes."""

    def __init__(self, source: Any, writable: bool = False):
        self._view: Optional[_PyBuffer] = None
        view = _PyBuffer()
        flags = _PyBUF_WRITABLE if writable else _PyBUF_SIMPLE
        try:
            ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(source), ctypes.byref(view), flags)
        except (BufferError, ValueError) as error:
            what = f"memory of type {type(source).__name__} cannot be used as it is ({error})"
            next_step = "give contiguous memory" + (" that may be written" if writable else "")
            raise failure("WEFT_INVALID_ARGUMENT", what, next_step) from None
        self._view = view
        self.address: int = view.buf or 0
        self.length: int = view.len

    def release(self) -> None:
        if self._view is not None:
            ctypes.pythonapi.PyBuffer_Release(ctypes.byref(self._view))
            self._view = None

    __del__ = release


def contiguous(source: Any) -> Buffer:
    """The bytes of an object, copied where they do not lie one after another (a slice of an array, a transposed one)."""
    try:
        return Buffer(source)
    except WeftError:
        return Buffer(memoryview(source).tobytes())


class Region:
    """Memory that servers read and write without a copy. From `job.register(array)`, whose array it keeps, or
    `job.allocate(bytes)`. `region[start:end]` is a part of it, in bytes, for `push` and `fetch`.

        region = job.register(temperature)
        for step in range(100):
            out.push({"step": step}, region)
            region.wait()                      # before it is written again
            advance(temperature)
    """

    def __init__(self, handle: int, kept: Optional[Buffer]):
        self._handle: Optional[int] = handle
        self._kept = kept
        self.address: int = load().weft_region_memory(handle)
        self.length: int = load().weft_region_length(handle)

    @property
    def handle(self) -> int:
        if self._handle is None:
            raise failure("WEFT_CLOSED", "the region was released")
        return self._handle

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, part: slice) -> "RegionSlice":
        if not isinstance(part, slice) or part.step not in (None, 1):
            raise failure("WEFT_INVALID_ARGUMENT", f"region[{part}]", "give a slice of bytes, as region[0:512]")
        start, end, _ = part.indices(self.length)
        return RegionSlice(self, start, max(start, end))

    @property
    def memory(self) -> memoryview:
        """Its bytes. Not to be used after release()."""
        if self._handle is None:
            raise failure("WEFT_CLOSED", "the region was released")
        return memoryview((ctypes.c_uint8 * self.length).from_address(self.address)).cast("B")

    def array(self, dtype: Any, shape: Optional[Tuple[int, ...]] = None) -> Any:
        """Its memory as a NumPy array, without a copy. Not to be used after release()."""
        import numpy

        values = numpy.frombuffer(self.memory, dtype=dtype)
        return values if shape is None else values[: _items(shape)].reshape(shape)

    def wait(self, timeout_ms: Optional[float] = None) -> None:
        """Until no event that was pushed from it is under way: then it may be written again."""
        in_slices(timeout_ms, lambda now: load().weft_region_wait(self.handle, now))

    def release(self) -> None:
        """WEFT_BUSY while events or fetches of it are under way."""
        if self._handle is None:
            return
        check(load().weft_region_release(self._handle))
        self._handle = None
        self._kept = None

    def forget(self) -> None:
        """Its job was closed, and it with that."""
        self._handle = None
        self._kept = None

    def __del__(self) -> None:
        # A server may still read from it: memory that is not free in time is kept for good.
        if getattr(self, "_handle", None) is None:
            return
        try:
            self.wait(30_000)
            self.release()
        except Exception:
            _ABANDONED.append(self._kept)

    def __enter__(self) -> "Region":
        return self

    def __exit__(self, *_: Any) -> None:
        self.wait()
        self.release()


class RegionSlice:
    """A part of a region."""

    def __init__(self, region: Region, start: int, end: int):
        self.region = region
        self.start = start
        self.length = end - start

    @property
    def address(self) -> int:
        return self.region.address + self.start

    @property
    def handle(self) -> int:
        return self.region.handle


def _items(shape: Tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def region_of(job: int, memory: Any) -> Region:
    """Registers an object's memory with a job."""
    kept = Buffer(memory, writable=True)
    handle = c_void_p()
    check(load().weft_region_register(job, kept.address, kept.length, ctypes.byref(handle)))
    assert handle.value is not None
    return Region(handle.value, kept)


def allocated(job: int, length: int) -> Region:
    """Memory of the library."""
    handle = c_void_p()
    check(load().weft_region_allocate(job, length, ctypes.byref(handle)))
    assert handle.value is not None
    return Region(handle.value, None)
