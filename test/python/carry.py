"""What native/test/languages/carry.c does, in Python."""

import sys

import weftline

PART = 40_000


def push(topic: weftline.Topic, path: str) -> None:
    with open(path, "rb") as file, topic.producer() as out:
        count = 0
        while part := file.read(PART):
            out.push({"part": count}, part)
            count += 1
        out.flush()


def pull(topic: weftline.Topic, path: str) -> None:
    with open(path, "wb") as file, topic.consumer(until="end", select=weftline.everything) as events:
        for event in events:
            print(event.metadata_bytes.decode())
            file.write(event.data)


action, name, path = sys.argv[1:]
with weftline.attach() as job:
    (push if action == "push" else pull)(job.topic(name), path)
