"""Where a consumer begins, goes and ends."""

from typing import Dict, Tuple, Union

from .errors import failure

FROM = {"earliest": 0, "latest": 1, "offset": 2, "time": 3, "cursor": 4}
UNTIL = {"stopped": 0, "end": 1, "offset": 2, "time": 3}

Position = Union[str, Dict[str, int]]


def position(what: str, known: Dict[str, int], given: Position) -> Tuple[int, int]:
    """A word, or {"offset": n}, or {"time": nanoseconds since 1970}."""
    if isinstance(given, str) and given in known and given not in ("offset", "time"):
        return known[given], 0
    if isinstance(given, dict) and len(given) == 1:
        ((name, value),) = given.items()
        if name in ("offset", "time") and value >= 0:
            return known[name], value
    words = ", ".join(f'"{name}"' for name in known if name not in ("offset", "time"))
    next_step = f'give {words}, {{"offset": n}} or {{"time": nanoseconds since 1970}}'
    raise failure("WEFT_INVALID_ARGUMENT", f"{what} is {given!r}", next_step)
