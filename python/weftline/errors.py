"""The one class of errors, with the codes of the C API."""

from typing import Optional

from .codes import BY_NAME, BY_NUMBER


class WeftError(Exception):
    """A call that failed. `code`: "WEFT_BUSY", `number`: as the C API returns it, `can_retry`: the same call may succeed
    later without a change by the caller; the text says what failed, on which object, why, and what to do next.

        try:
            job.topic("nowhere")
        except weftline.WeftError as error:
            if error.code != "WEFT_TOPIC_UNKNOWN":
                raise
    """

    def __init__(self, number: int, text: str):
        super().__init__(text)
        row = BY_NUMBER.get(number)
        self.number = number
        self.code = row.name if row is not None else f"WEFT_{number}"
        self.can_retry = row is not None and row.can_retry


def failure(code: str, what: str, next_step: Optional[str] = None) -> WeftError:
    """An error that this module finds by itself; the next step is that of the code's row if none is given."""
    row = BY_NAME[code]
    step = next_step if next_step is not None else row.next
    return WeftError(row.number, f"{code}: {what}" + (f"; {step}" if step else ""))
