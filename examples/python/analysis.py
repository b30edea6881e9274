#!/usr/bin/env python3
"""What a plate's heat does over time, with NumPy, out of the strips that the Fortran solver streams.

    analysis.py [NAME]        in an MPI launch beside a server, or alone with WEFTLINE_GROUP
    PYTHONPATH: the folder `python` of a checkout, or PREFIX/lib/weftline/python

Of each strip every second column is fetched. With a name it acknowledges: started again it goes on where it was. Ends with
the topic, or, alone, behind what is stored.
"""

import sys

import numpy as np
import weftline

ROWS, COLUMNS = 32, 64


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else None
    with weftline.join(name="analysis") as job:
        heat = job.topic("heat")
        alone = job.facts.world_size == 1
        half = weftline.strided(length=8, stride=16, count=ROWS * COLUMNS // 2)
        means: dict[int, list[float]] = {}
        with heat.consumer(name=name, until="end" if alone else "stopped", select=half) as events:
            for event in events:
                strip = event.array(np.float64, (ROWS, COLUMNS // 2))
                means.setdefault(event.metadata["step"], []).append(float(strip.mean()))
                if name is not None:
                    event.ack()
        for step, strips in sorted(means.items()):
            print(f"step {step}: mean {np.mean(strips):.6f} of {len(strips)} strips")


if __name__ == "__main__":
    main()
