"""Which bytes of an event's data are wanted: values, made once, applied to any number of events. The selected bytes arrive
one after another, without what lies between them."""

import ctypes
from ctypes import c_uint32, c_uint64
from typing import Iterable, Optional, Sequence, Tuple

from .errors import failure
from .library import Run, RunLevel, check, load

_RUNS_MAX = 1024
_LEVELS_MAX = 8


class Selection:
    """From `everything`, `nothing`, `byte_range`, `byte_ranges`, `strided` or `box`."""

    def __init__(self, kind: str, runs: Optional["ctypes.Array[Run]"] = None, count: int = 0, levels: object = None):
        self.kind = kind  # "all", "skip" or "runs"
        self._runs = runs if runs is not None else (Run * 1)()
        self._count = count
        self._levels = levels  # the runs point into it

    def runs(self, data_length: int) -> Tuple["ctypes.Array[Run]", int]:
        """Its runs for an event of this length, and how many."""
        if self.kind != "all":
            return self._runs, self._count
        return (Run * 1)(Run(0, data_length, 0, None)), 1

    def bytes_for(self, data_length: int) -> int:
        """Selected bytes of an event of this length."""
        if self.kind == "all":
            return data_length
        total = 0
        for run in self._runs[: self._count]:
            product = run.length
            for level in range(run.level_count):
                product *= run.levels[level].count
            total += product
        return total

    def narrow(self, inner: "Selection") -> "Selection":
        """What `inner` selects among the bytes of this selection, counted along them: a column of a box, every second of
        the ranges. WEFT_SELECTION_OUTSIDE if it reaches beyond them.

            plane = weftline.box(shape=(8, 8, 16), origin=(1, 0, 0), size=(1, 8, 16), item_size=8)
            column = plane.narrow(weftline.box(shape=(8, 16), origin=(0, 5), size=(8, 1), item_size=8))
        """
        if self.kind == "skip" or inner.kind == "all":
            return self
        if self.kind == "all" or inner.kind == "skip":
            return inner
        runs = (Run * _RUNS_MAX)()
        levels = (RunLevel * (_RUNS_MAX * _LEVELS_MAX))()
        count = c_uint32(_RUNS_MAX)
        check(
            load().weft_narrow(self._runs, self._count, inner._runs, inner._count, runs, ctypes.byref(count), levels)
        )
        return Selection("runs", runs, count.value, levels)


everything = Selection("all")
"""All of the event's data."""
nothing = Selection("skip")
"""The event is passed over: it is not handed out, and counts as acknowledged."""


def byte_ranges(list_of_ranges: Iterable[Tuple[int, int]]) -> Selection:
    """Several ranges of bytes, from the first up to, without, the second, joined in this order; at most 1,024."""
    ranges = [(start, end) for start, end in list_of_ranges if end > start]
    if any(start < 0 for start, _ in ranges):
        raise failure("WEFT_INVALID_ARGUMENT", "a range begins before byte 0", "give offsets from 0")
    if len(ranges) > _RUNS_MAX:
        raise failure("WEFT_LIMIT", f"{len(ranges)} ranges, at most {_RUNS_MAX}", "fetch them in parts")
    runs = (Run * max(1, len(ranges)))(*(Run(start, end - start, 0, None) for start, end in ranges))
    return Selection("runs", runs, len(ranges))


def byte_range(start: int, end: int) -> Selection:
    """Bytes `start` up to, without, `end`."""
    return byte_ranges([(start, end)])


def strided(*, length: int, stride: int, count: int, start: int = 0) -> Selection:
    """`count` pieces of `length` bytes, each `stride` bytes behind the one before, the first at `start`."""
    if min(length, stride, count, start) < 0:
        raise failure("WEFT_INVALID_ARGUMENT", "a number of strided is negative", "give whole numbers from 0")
    levels = (RunLevel * 1)(RunLevel(stride, count))
    run = (Run * 1)(Run(start, length, 1, levels))
    return Selection("runs", run, 1 if length > 0 and count > 0 else 0, levels)


def box(*, shape: Sequence[int], origin: Sequence[int], size: Sequence[int], item_size: int) -> Selection:
    """A box of an n-dimensional array in C order (the last dimension is contiguous). Sizes are in items of `item_size`
    bytes. WEFT_SELECTION_OUTSIDE if it does not lie in the shape.

        corner = weftline.box(shape=(512, 512), origin=(0, 0), size=(64, 64), item_size=8)  # 32 KiB of 2 MiB
    """
    dimensions = len(shape)
    if len(origin) != dimensions or len(size) != dimensions or min([*shape, *origin, *size], default=-1) < 0:
        what = f"box with shape {tuple(shape)}, origin {tuple(origin)} and size {tuple(size)}"
        raise failure("WEFT_INVALID_ARGUMENT", what, "give as many whole numbers from 0 for each")
    numbers = c_uint64 * max(1, dimensions)
    run = (Run * 1)()
    levels = (RunLevel * max(1, dimensions - 1))()
    check(load().weft_box(dimensions, numbers(*shape), numbers(*origin), numbers(*size), item_size, run, levels))
    run[0].levels = ctypes.cast(levels, ctypes.POINTER(RunLevel))
    return Selection("runs", run, 1, levels)
