"""Weftline from Python: pure Python over its C API (libweftline.so), by ctypes.

    import numpy as np, weftline

    with weftline.attach() as job:                      # the group directory of WEFTLINE_GROUP
        topic = job.create_topic("field", {"partitions": 2}, if_exists="open")
        with topic.producer() as out:
            out.push({"step": 1}, np.zeros((512, 512)))  # not copied: leave it alone until the flush
            out.flush()
        corner = weftline.box(shape=(512, 512), origin=(0, 0), size=(64, 64), item_size=8)
        for event in topic.consumer(name="corner", until="end", select=corner):
            values = event.array(np.float64, (64, 64))   # selected bytes only
            event.ack()

Errors are `weftline.WeftError`, with `code` ("WEFT_BUSY"). Objects are context managers; what is opened on a job is
closed with it. Calls that wait let other threads run, and Ctrl-C ends them. NumPy is needed only for arrays.
"""

from .errors import WeftError
from .job import Job, attach, join
from .memory import Region
from .producer import Producer, Receipt
from .consumer import Consumer, Event
from .selection import Selection, box, byte_range, byte_ranges, everything, nothing, strided
from .topic import Topic

__all__ = [
    "Consumer",
    "Event",
    "Job",
    "Producer",
    "Receipt",
    "Region",
    "Selection",
    "Topic",
    "WeftError",
    "attach",
    "box",
    "byte_range",
    "byte_ranges",
    "everything",
    "join",
    "nothing",
    "strided",
]
