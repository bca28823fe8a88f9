"""Threads, closing and what is called back: what must not crash, hang, or hold the GIL."""

import asyncio
import gc
import logging
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import unittest

import libkv
from test_libkv import Case


class Closed(Case):
    def test_every_method_says_so(self):
        db = self.open()
        db[b"k"] = b"v"
        snapshot, batch, walk = db.snapshot(), db.batch(), iter(db.items())
        next(walk)
        db.close()
        calls = {
            "get": lambda: db.get(b"k"),
            "get_into": lambda: db.get_into(b"k", bytearray(1)),
            "view": lambda: db.view(b"k"),
            "get_many": lambda: db.get_many([b"k"]),
            "view_many": lambda: db.view_many([b"k"]),
            "size": lambda: db.size(b"k"),
            "contains": lambda: b"k" in db,
            "len": lambda: len(db),
            "approximate_bytes": db.approximate_bytes,
            "iter": lambda: list(db),
            "walk": lambda: list(walk),
            "snapshot": db.snapshot,
            "set": lambda: db.__setitem__(b"k", b"v"),
            "put": lambda: db.put(b"k", b"v"),
            "setdefault": lambda: db.setdefault(b"k", b"v"),
            "delete": lambda: db.delete(b"k"),
            "pop": lambda: db.pop(b"k"),
            "clear": db.clear,
            "write": lambda: db.write(batch),
            "add": lambda: db.add(b"k"),
            "version": lambda: db.version(b"k"),
            "touch": lambda: db.touch(b"k"),
            "ttl": lambda: db.ttl(b"k"),
            "sync": db.sync,
            "compact": db.compact,
            "cancel_compact": db.cancel_compact,
            "pause_compaction": db.pause_compaction,
            "resume_compaction": db.resume_compaction,
            "backup": lambda: db.backup(self.place / "backup"),
            "stats": db.stats,
            "latencies": db.latencies,
            "metrics": db.metrics,
            "snapshot.get": lambda: snapshot.get(b"k"),
            "snapshot.view": lambda: snapshot.view(b"k"),
            "snapshot.size": lambda: snapshot.size(b"k"),
            "snapshot.len": lambda: len(snapshot),
        }
        for name, call in calls.items():
            with self.subTest(name), self.assertRaises(libkv.ClosedError):
                call()
        batch.close()
        batch.close()
        with self.assertRaises(libkv.ClosedError):
            batch.put(b"k", b"v")

    def test_while_others_use_it(self):
        for _ in range(10):
            db = self.open()
            db[b"k"] = b"v"
            failures = []

            def use(db=db, failures=failures):
                try:
                    while True:
                        db[b"k"] = db[b"k"]
                        dict(db.items())
                except libkv.ClosedError:
                    pass
                except BaseException as other:
                    failures.append(other)

            threads = [threading.Thread(target=use) for _ in range(4)]
            threads += [threading.Thread(target=db.close) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            self.assertEqual(failures, [])


class Gil(Case):
    def test_threads_read_at_the_same_time(self):
        # Nothing holds a lock of Python's in a read that takes long: another thread counts on. If
        # it did, that would come to count once or twice in all.
        db = self.open()
        db[b"k"] = bytes(64 << 20)
        into, counted, done = bytearray(64 << 20), [0], threading.Event()

        def read():
            for _ in range(20):
                db.get_into(b"k", into)
            done.set()

        reader = threading.Thread(target=read)
        interval = sys.getswitchinterval()
        # Whoever held the GIL in a call would keep it that long.
        sys.setswitchinterval(1000)
        try:
            reader.start()
            while not done.is_set():
                counted[0] += 1
                time.sleep(0)
        finally:
            sys.setswitchinterval(interval)
        reader.join()
        self.assertGreater(counted[0], 40)

    def test_no_event_loop_waits(self):
        db = self.open()

        async def work():
            await asyncio.gather(
                *(asyncio.to_thread(db.__setitem__, b"%d" % n, b"v") for n in range(50))
            )
            return await asyncio.to_thread(db.get, b"7")

        self.assertEqual(asyncio.run(work()), b"v")
        self.assertEqual(len(db), 50)


class Told(Case):
    def test_messages_and_events(self):
        lines, events = [], []
        with self.open(
            log=lambda level, message: lines.append((level, message)), events=events.append
        ) as db:
            db[b"k"] = b"v"
        self.assertIn(logging.INFO, {level for level, _ in lines})
        self.assertEqual(events[0].kind, libkv.EventKind.OPENED)
        self.assertEqual(events[-1].kind, libkv.EventKind.CLOSED)
        self.assertTrue(events[0].message and events[0].unix_ms)

    def test_less_can_be_told(self):
        lines = []
        with self.open(log=lambda *told: lines.append(told), log_level=logging.ERROR):
            pass
        self.assertEqual(lines, [])

    def test_who_is_told_cannot_close(self):
        refused, ready = [], threading.Event()

        def told(event):
            ready.wait(60)
            try:
                db.close()
            except libkv.BusyError as busy:
                refused.append(busy)

        db = libkv.open(self.place / "db", events=told)
        ready.set()
        while not refused:
            time.sleep(0.001)
        db[b"k"] = b"v"
        db.close()

    def test_a_database_that_tells_and_is_forgotten_is_closed(self):
        events = []
        db = libkv.open(self.place / "db", events=events.append)
        db[b"k"] = b"v"
        del db
        gc.collect()
        self.assertEqual(events[-1].kind, libkv.EventKind.CLOSED)

    def test_the_collector_may_come_by_where_something_is_told(self):
        forgotten, told = threading.Event(), []

        def tell(event):
            forgotten.wait(60)
            gc.collect()
            told.append(event.kind)

        gc.disable()
        self.addCleanup(gc.enable)
        cycle = [libkv.open(self.place / "db", events=tell)]
        cycle.append(cycle)
        del cycle
        forgotten.set()
        deadline = time.monotonic() + 60
        while libkv.EventKind.CLOSED not in told and time.monotonic() < deadline:
            time.sleep(0.001)
        self.assertIn(libkv.EventKind.CLOSED, told)

    def test_python_may_end_with_open_databases(self):
        program = textwrap.dedent(
            """
            import libkv, sys, threading
            db = libkv.open(sys.argv[1], log=lambda *told: None, events=print)
            view = db.view(b"k")
            walk = iter(db)
            """
        )
        for _ in range(5):
            ended = subprocess.run(
                [sys.executable, "-c", program, str(self.place / "db")],
                capture_output=True,
                timeout=60,
                text=True,
            )
            self.assertEqual((ended.returncode, ended.stderr), (0, ""))
            self.assertIn("kind=11", ended.stdout)


class Signals(Case):
    def test_a_signal_ends_what_takes_long(self):
        class Enough(Exception):
            pass

        def enough(*_):
            raise Enough

        db = self.open()
        db.update_many((b"%d" % n, bytes(1000)) for n in range(20000))
        before, inside = signal.signal(signal.SIGALRM, enough), 0
        try:
            for _ in range(20):
                try:
                    # Again, if a destructor was where it came.
                    signal.setitimer(signal.ITIMER_REAL, 0.003, 1)
                    while True:
                        libkv.verify(self.place / "db")
                except Enough as raised:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    frames = traceback.extract_tb(raised.__traceback__)
                    inside += any(frame.name == "libkv_progress" for frame in frames)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        self.assertGreater(inside, 0)


class More(Case):
    def test_views_of_many_keys(self):
        db = self.open()
        db.update({b"a": b"1", b"b": b""})
        first, none, empty = db.view_many([b"a", b"none", b"b"])
        self.assertEqual((bytes(first), none, bytes(empty)), (b"1", None, b""))
        self.assertTrue(first.readonly)
        db.close()
        gc.collect()
        self.assertEqual(bytes(first), b"1")
        self.assertEqual(self.open("other").view_many([]), [])

    def test_reading_into_a_buffer(self):
        db = self.open()
        db[b"k"] = b"0123456789"
        buffer = bytearray(12)
        self.assertEqual(db.get_into(b"k", memoryview(buffer)[1:]), 10)
        self.assertEqual(buffer, b"\x000123456789\x00")
        self.assertEqual(db.get_into(b"k", bytearray(3)), 10)
        self.assertIsNone(db.get_into(b"none", buffer))
        with self.assertRaises(BufferError):
            db.get_into(b"k", b"constant")
        self.assertEqual((db.size(b"k"), db.size(b"none")), (10, None))

    def test_popping_is_one_step(self):
        db = self.open()
        db.update({b"%d" % n: b"v" for n in range(300)})
        won = []

        def pop():
            for n in range(300):
                if db.pop(b"%d" % n, None) is not None:
                    won.append(n)

        threads = [threading.Thread(target=pop) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(won), list(range(300)))
        with self.assertRaises(KeyError):
            db.pop(b"1")

    def test_compaction_can_be_paused(self):
        db = self.open()
        db.pause_compaction()
        self.assertEqual(db.stats().compaction_paused, 1)
        db.resume_compaction()
        self.assertEqual(db.stats().compaction_paused, 0)
        db.cancel_compact()
        db[b"k"] = b"v"
        self.assertGreater(db.approximate_bytes(), 0)

    def test_latencies_and_options(self):
        db = self.open(latency_histograms=True)
        for _ in range(1000):
            db[b"k"] = b"v"
        put = db.latencies()["put"]
        self.assertTrue(0 < put.min_ns <= put.p50_ns <= put.max_ns and put.count)
        self.assertIn(("sync", "interval"), [(o.name, o.default_value) for o in libkv.options()])


if __name__ == "__main__":
    unittest.main()
