"""The Python package against the server of WEFTLINE_GROUP, which the caller started: languages.test.ts does."""

import ctypes
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import unittest

import numpy as np
import weftline
from weftline import library
from weftline.records import Packed

names = (f"python-{number}" for number in itertools.count())


class WithJob(unittest.TestCase):
    def setUp(self):
        self.job = weftline.attach(name=self.id())
        self.addCleanup(self.job.close)

    def topic(self, **config):
        return self.job.create_topic(next(names), config)

    def assertFails(self, code, call, *arguments, **named):
        with self.assertRaises(weftline.WeftError) as caught:
            call(*arguments, **named)
        self.assertEqual(caught.exception.code, code, caught.exception)
        self.assertIn(code, str(caught.exception))
        return caught.exception


class Data(WithJob):
    def test_arrays_come_back_as_they_were_pushed(self):
        topic = self.topic(partitions=2)
        field = np.arange(64 * 128, dtype=np.float64).reshape(64, 128)
        with topic.producer() as out:
            receipts = [
                out.push({"step": 0, "place": "Hilo é"}, field),
                out.push({"step": 1}, field[:, ::2]),  # not contiguous
                out.push({"step": 2}, np.asfortranarray(field)),
                out.push({"step": 3}, [b"head", field[1], np.float32([2.5])]),
                out.push({"step": 4}),
            ]
            out.flush()
            places = [receipt.wait() for receipt in receipts]
        self.assertEqual({place.partition for place in places}, {0, 1})
        events = {
            event.metadata["step"]: event
            for event in topic.consumer(until="end", select=weftline.everything)
        }
        self.assertEqual(events[0].metadata, {"step": 0, "place": "Hilo é"})
        self.assertEqual((events[0].partition, events[0].offset), places[0][:2])
        np.testing.assert_array_equal(events[0].array(np.float64, field.shape), field)
        np.testing.assert_array_equal(events[1].array(np.float64, (64, 64)), field[:, ::2])
        np.testing.assert_array_equal(events[2].array(np.float64, field.shape), field)
        self.assertEqual(bytes(events[3].data), b"head" + field[1].tobytes() + np.float32([2.5]).tobytes())
        self.assertEqual((len(events[4].data), events[4].data_length), (0, 0))
        self.assertAlmostEqual(events[0].time_ns / 1e9, time.time(), delta=60)
        self.assertGreater(events[0].append_time_ns, 0)

    def test_selections_choose_bytes(self):
        topic = self.topic()
        field = np.arange(8 * 8 * 16, dtype=np.float64).reshape(8, 8, 16)
        with topic.producer() as out:
            out.push({}, field)
        (event,) = topic.consumer(until="end")
        self.assertEqual(len(event.data), 0, "nothing was selected")
        with self.assertRaisesRegex(weftline.WeftError, "select=weftline.everything"):
            event.array(np.float64)
        box = weftline.box(shape=field.shape, origin=(1, 2, 3), size=(3, 4, 5), item_size=8)
        np.testing.assert_array_equal(
            np.frombuffer(event.fetch(box)).reshape(3, 4, 5), field[1:4, 2:6, 3:8]
        )
        column = box.narrow(weftline.box(shape=(3, 4, 5), origin=(0, 1, 2), size=(3, 1, 1), item_size=8))
        np.testing.assert_array_equal(np.frombuffer(event.fetch(column)), field[1:4, 3, 5])
        every = weftline.strided(start=8, length=8, stride=16, count=4)
        np.testing.assert_array_equal(np.frombuffer(event.fetch(every)), [1, 3, 5, 7])
        picked = weftline.byte_ranges([(24, 32), (0, 8), (5, 5)])
        np.testing.assert_array_equal(np.frombuffer(event.fetch(picked)), [3, 0])
        self.assertEqual(weftline.everything.narrow(picked).bytes_for(10**6), 16)
        self.assertFails("WEFT_SELECTION_OUTSIDE", event.fetch, weftline.byte_range(0, 8 * 8 * 16 * 8 + 1))
        self.assertFails("WEFT_SELECTION_OUTSIDE", weftline.box, shape=[4], origin=[3], size=[2], item_size=8)
        self.assertFails("WEFT_INVALID_ARGUMENT", weftline.box, shape=[4, 4], origin=[0], size=[2], item_size=8)

    def test_data_goes_into_memory_of_the_caller(self):
        topic = self.topic()
        with topic.producer() as out:
            out.push({}, np.arange(4096, dtype=np.int32))
        (event,) = topic.consumer(until="end")
        into = np.zeros((64, 64), dtype=np.int32)
        self.assertIs(event.fetch(into=into), into)
        self.assertEqual(into[63, 63], 4095)
        region = self.job.allocate(16384)
        event.fetch(into=region)
        self.assertEqual(region.array(np.int32)[4095], 4095)
        event.fetch(weftline.byte_range(4, 8), into=region[8:12])
        self.assertEqual(list(region.array(np.int32, (4,))), [0, 1, 1, 3])
        region.release()
        self.assertFails("WEFT_INVALID_ARGUMENT", event.fetch, into=np.zeros(4))
        self.assertFails("WEFT_INVALID_ARGUMENT", event.fetch, into=into[:, ::2])
        self.assertFails("WEFT_INVALID_ARGUMENT", event.fetch, into=b"read-only")
        with self.assertRaises(TypeError):
            event.fetch(into=7)

    def test_a_region_is_pushed_without_a_copy(self):
        topic = self.topic()
        field = np.zeros(8192)
        with self.job.register(field) as region, topic.producer() as out:
            for step in range(5):
                region.wait()
                field[:] = step
                out.push({"step": step}, region if step % 2 == 0 else region[0:32768])
            out.flush()
        found = [(event.metadata["step"], event.array(np.float64)) for event in
                 topic.consumer(until="end", select=weftline.everything)]
        for step, values in found:
            self.assertEqual(len(values), 8192 if step % 2 == 0 else 4096)
            self.assertTrue((values == step).all(), step)
        self.assertEqual(len(found), 5)
        self.assertFails("WEFT_INVALID_ARGUMENT", self.job.register, field[::2])

    def test_memory_of_arrays_is_held_until_it_is_stored(self):
        topic = self.topic()
        with topic.producer() as out:
            for step in range(40):
                out.push({"step": step}, np.full(65536, step, dtype=np.float64))  # nobody else has it
            out.flush()
            self.assertEqual(len(out._held), 0)
        for event in topic.consumer(until="end", select=weftline.everything):
            self.assertTrue((event.array(np.float64) == event.metadata["step"]).all())


class Metadata(WithJob):
    fields = [
        {"name": "step", "type": "u32"},
        {"name": "t", "type": "f64"},
        {"name": "label", "type": "string", "bytes": 16},
        {"name": "origin", "type": "u32", "length": 2},
        {"name": "ok", "type": "bool"},
        {"name": "level", "type": "i16"},
        {"name": "key", "type": "bytes", "bytes": 2},
    ]

    def test_bytes_are_bytes(self):
        topic = self.topic(serializer="raw")
        with topic.producer() as out:
            out.push(b"\x00\xff")
            self.assertFails("WEFT_METADATA_INVALID", out.push, {"no": "bytes"})
        (event,) = topic.consumer(until="end")
        self.assertEqual(event.metadata, b"\x00\xff")

    def test_records_are_dicts_and_numpy_structures(self):
        topic = self.topic(packed={"fields": self.fields})
        record = {"step": 7, "t": 0.5, "label": "warm é", "origin": [1, 2], "ok": True, "level": -3, "key": b"ab"}
        with topic.producer() as out:
            out.push(record)
            structure = np.zeros((), dtype=topic.dtype)
            structure["step"], structure["level"] = 8, -4
            out.push(structure)
            self.assertFails("WEFT_METADATA_INVALID", out.push, {**record, "step": -1})
            self.assertFails("WEFT_METADATA_INVALID", out.push, {**record, "label": "x" * 17})
            self.assertFails("WEFT_METADATA_INVALID", out.push, {**record, "more": 1})
            self.assertFails("WEFT_METADATA_INVALID", out.push, {"step": 1})
            self.assertFails("WEFT_METADATA_INVALID", out.push, b"short")
        first, second = topic.consumer(until="end")
        self.assertEqual(first.metadata, record)
        found = np.frombuffer(first.metadata_bytes, topic.dtype)[0]
        self.assertEqual((found["t"], found["origin"][1], bool(found["ok"])), (0.5, 2, True))
        self.assertEqual((second.metadata["step"], second.metadata["level"]), (8, -4))

    def test_records_may_have_a_variable_part(self):
        packed = Packed({"fields": [*self.fields[:2], {"name": "note", "type": "string"}, {"name": "b", "type": "bytes"}]})
        record = {"step": 1, "t": 2.0, "note": "note é", "b": b"\x01"}
        self.assertEqual(packed.decode(packed.encode(record)), record)
        self.assertEqual(packed.dtype.names, ("step", "t", "note_bytes", "b_bytes"))
        topic = self.topic(packed={"fields": [*self.fields[:2], {"name": "note", "type": "string"}]})
        with topic.producer() as out:
            out.push({"step": 1, "t": 2.0, "note": "long " * 100})
        (event,) = topic.consumer(until="end")
        self.assertEqual(event.metadata["note"], "long " * 100)
        self.assertFails("WEFT_METADATA_INVALID", packed.decode, packed.encode(record) + b"x")


class Positions(WithJob):
    def push(self, topic, count, **options):
        with topic.producer(**options) as out:
            for step in range(count):
                out.push({"step": step})

    def steps(self, consumer):
        with consumer:
            return [event.metadata["step"] for event in consumer]

    def test_a_consumer_begins_and_ends_where_it_is_told(self):
        topic = self.topic()
        self.push(topic, 10)
        self.assertEqual(self.steps(topic.consumer(until="end")), list(range(10)))
        self.assertEqual(self.steps(topic.consumer(start={"offset": 7}, until="end")), [7, 8, 9])
        self.assertEqual(self.steps(topic.consumer(until={"offset": 3})), [0, 1, 2])
        self.assertEqual(self.steps(topic.consumer(start="latest", until="end")), [])
        now = time.time_ns()
        self.assertEqual(self.steps(topic.consumer(start={"time": 0}, until={"time": now})), list(range(10)))
        self.assertEqual(topic.partition(0), (0, 10))
        self.assertFails("WEFT_INVALID_ARGUMENT", topic.consumer, start="middle")
        self.assertFails("WEFT_PARTITION_RANGE", topic.consumer, partitions=[1])
        with self.assertRaises(TypeError):
            topic.consumer(prefetch=1)

    def test_what_was_acknowledged_does_not_come_again(self):
        topic = self.topic()
        self.push(topic, 10)
        with topic.consumer(name="reader", until="end") as consumer:
            for event in itertools.islice(consumer, 4):
                event.ack()
            consumer.commit()
            self.assertEqual(consumer.lag(0), (4, 10))
        self.assertEqual(self.steps(topic.consumer(name="reader", until="end")), [4, 5, 6, 7, 8, 9])
        for event in topic.consumer(name="reader", until="end"):  # committed with the loop's end
            event.ack()
        self.assertEqual(self.steps(topic.consumer(name="reader", until="end")), [])
        consumer = topic.consumer(name="reader", start={"offset": 9}, until="end")
        (event,) = consumer
        consumer.close()
        self.assertFails("WEFT_CLOSED", event.ack)
        self.assertFails("WEFT_CLOSED", event.fetch, weftline.byte_range(0, 8))

    def test_a_consumer_goes_back_and_what_is_stored_becomes_durable(self):
        topic = self.topic()
        with topic.producer() as out:
            for step in range(10):
                out.push({"step": step})
            out.flush()
            out.sync()
        with topic.consumer(start="earliest", until="end") as consumer:
            self.assertEqual([event.metadata["step"] for event in itertools.islice(consumer, 3)], [0, 1, 2])
            consumer.seek({"offset": 8}, partitions=[0])
            self.assertEqual([event.metadata["step"] for event in consumer], [8, 9])
            consumer.seek("earliest")
            self.assertEqual([event.metadata["step"] for event in consumer], list(range(10)))
            self.assertFails("WEFT_TRUNCATED", lambda: consumer.seek({"offset": 11}))

    def test_a_selector_sees_metadata_and_passes_events_over(self):
        topic = self.topic()
        with topic.producer() as out:
            for step in range(10):
                out.push({"step": step}, np.full(4, step, dtype=np.float64))
        half = weftline.byte_range(0, 16)
        select = lambda metadata: weftline.nothing if metadata["step"] % 2 else half if metadata["step"] else None  # noqa: E731
        found = [(event.metadata["step"], len(event.data)) for event in topic.consumer(name="even", until="end", select=select)]
        self.assertEqual(found, [(0, 0), (2, 16), (4, 16), (6, 16), (8, 16)])

    def test_members_of_a_group_share_partitions(self):
        topic = self.topic(partitions=4)
        self.push(topic, 40)
        first = self.steps(topic.consumer(share=(0, 2), until="end"))
        second = self.steps(topic.consumer(share=(1, 2), until="end"))
        self.assertEqual(sorted(first + second), list(range(40)))
        self.assertEqual((len(first), len(second)), (20, 20))

    def test_a_sealed_topic_ends(self):
        topic = self.topic(partitions=3)
        self.push(topic, 9)
        consumer = topic.consumer()
        self.assertFails("WEFT_TIMED_OUT", lambda: [consumer.pull(timeout_ms=50) for _ in range(10)])
        self.job.seal_topic(topic.name)
        self.assertIsNone(consumer.pull(timeout_ms=20_000))
        self.assertIsNone(consumer.pull(timeout_ms=0))


class Producing(WithJob):
    def test_keys_partitions_and_names(self):
        topic = self.topic(partitions=4, partitionSelector="key-hash")
        with topic.producer(name="solver") as out:
            self.assertFails("WEFT_INVALID_ARGUMENT", out.push, {})
            places = {out.push({}, key=f"key {index % 3}").wait().partition for index in range(9)}
            self.assertEqual(places, {out.partition_of_key(f"key {index}") for index in range(3)})
            self.assertEqual(out.push({}, partition=3).wait().partition, 3)
            self.assertEqual(out.stored_before(3), 0)
        with topic.producer(name="solver") as again:
            self.assertGreater(again.stored_before(3), 0)

    def test_a_full_queue_is_an_error_where_that_is_wished(self):
        topic = self.topic()
        for when_full, code in (("error", "WEFT_BUSY"), ("drop-newest", "WEFT_DROPPED")):
            with topic.producer(when_full=when_full, batch_events=1, batches_in_flight=1) as out:
                self.assertFails(code, lambda: [out.push({}) for _ in range(100_000)])
                out.flush()
        self.assertFails("WEFT_INVALID_ARGUMENT", topic.producer, when_full="never")
        with topic.producer(ordering="loose") as out:
            out.push({})

    def test_metadata_that_is_no_json_is_refused(self):
        with self.topic().producer() as out:
            for value in (float("nan"), np.zeros(3), {1, 2}):
                self.assertFails("WEFT_METADATA_INVALID", out.push, {"value": value})


class Ends(WithJob):
    def test_errors_have_codes(self):
        error = self.assertFails("WEFT_TOPIC_UNKNOWN", self.job.topic, "nowhere")
        self.assertEqual((error.number, error.can_retry), (20, False))
        name = self.topic().name
        self.assertFails("WEFT_TOPIC_EXISTS", self.job.create_topic, name)
        self.assertEqual(self.job.create_topic(name, if_exists="open").name, name)
        self.assertFails("WEFT_GROUP_MISSING", weftline.attach, "/nonexistent/group")

    def test_what_is_open_is_closed_with_the_job(self):
        job = weftline.attach()
        topic = job.create_topic(next(names))
        producer, consumer, region = topic.producer(), topic.consumer(), job.allocate(4096)
        job.close()
        job.close()
        for call in (lambda: producer.push({}), consumer.pull, region.wait, job.topics, producer.flush):
            self.assertFails("WEFT_CLOSED", call)
        producer.close()
        consumer.close()
        region.release()

    def test_topics_are_described_altered_and_deleted(self):
        topic = self.topic(partitions=2, durability="synced")
        self.assertEqual((topic.partition_count, topic.description["durability"]), (2, "synced"))
        self.job.alter_topic(topic.name, {"partitions": 3})
        self.assertEqual(self.job.topic(topic.name).partition_count, 3)
        self.assertIn(topic.name, [one["name"] for one in self.job.topics()])
        self.job.delete_topic(topic.name)
        self.assertFails("WEFT_TOPIC_UNKNOWN", self.job.topic, topic.name)
        self.assertEqual(self.job.facts.world_size, 1)
        self.assertTrue(self.job.counters())

    def test_ctrl_c_ends_a_call_that_waits(self):
        consumer = self.topic().consumer()
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with self.assertRaises(KeyboardInterrupt):
            consumer.pull(timeout_ms=60_000)
        timer.join()

    def test_threads_wait_beside_each_other(self):
        topic = self.topic()
        consumer = topic.consumer()
        found = []
        reader = threading.Thread(target=lambda: found.append(consumer.pull(timeout_ms=30_000).metadata))
        reader.start()
        with topic.producer() as out:  # while the other thread waits in the library
            out.push({"n": 1})
        reader.join(30)
        self.assertEqual(found, [{"n": 1}])

    def test_a_library_that_is_not_there_is_an_error_with_its_path(self):
        program = "import weftline\ntry: weftline.attach()\nexcept weftline.WeftError as error: print(error.code, error)"
        run = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "WEFTLINE_LIBRARY": "/nonexistent/libweftline.so"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertRegex(run.stdout, r"^WEFT_UNSUPPORTED .*/nonexistent/libweftline.so")


class Layout(WithJob):
    def test_structs_of_options_are_as_long_as_in_c(self):
        """The library refuses options that are longer than its own, and these are not shorter."""
        topic = self.topic()
        handle = ctypes.c_void_p()
        lib = library.load()
        calls = {
            library.JoinOptions: lambda raw: lib.weft_attach(None, ctypes.byref(raw), ctypes.byref(handle)),
            library.ProducerOptions: lambda raw: lib.weft_producer_open(
                self.job.handle, topic.name.encode(), ctypes.byref(raw), ctypes.byref(handle)),
            library.ConsumerOptions: lambda raw: lib.weft_consumer_open(
                self.job.handle, topic.name.encode(), ctypes.byref(raw), ctypes.byref(handle)),
        }  # fmt: skip
        for kind, call in calls.items():
            raw = library.options_of(kind, {})
            raw.size += 4
            self.assertEqual(call(raw), 2, kind)
            self.assertIn(f"this library knows {ctypes.sizeof(kind)}", lib.weft_error_text(None).decode())

    def test_the_example_of_the_package_runs(self):
        code = textwrap.dedent(weftline.__doc__.split("by ctypes.\n\n")[1].split("\n\nErrors")[0])
        code = code.replace('"field"', f'"{next(names)}"')
        exec(compile(code, "weftline.__doc__", "exec"), {})


if __name__ == "__main__":
    unittest.main()
