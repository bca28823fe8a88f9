"""What the binding does beyond being a mapping."""

import datetime
import gc
import multiprocessing
import os
import pathlib
import tempfile
import threading
import time
import unittest
import warnings

import libkv


class Case(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.place = pathlib.Path(directory.name)

    def open(self, name="db", **options):
        db = libkv.open(self.place / name, **{"sync": "none", **options})
        self.addCleanup(db.close)
        return db


class Opening(Case):
    def test_what_was_written_is_there_after_closing(self):
        with libkv.open(self.place / "db") as db:
            db[b"key"] = b"value"
        with libkv.open(self.place / "db") as db:
            self.assertEqual(db[b"key"], b"value")

    def test_options_are_those_of_the_library(self):
        with self.assertRaises(libkv.UsageError) as caught:
            libkv.open(self.place / "db", no_such_option=1)
        self.assertIn("no_such_option", str(caught.exception))
        self.assertEqual(caught.exception.name, "unknown option")
        with self.assertRaises(libkv.NotADatabaseError):
            libkv.open(self.place / "none", create_if_missing=False)

    def test_one_process_opens_a_database_once(self):
        self.open()
        with self.assertRaises(libkv.AlreadyOpenError):
            libkv.open(self.place / "db")

    def test_a_database_that_nothing_refers_to_is_closed(self):
        db = libkv.open(self.place / "db")
        db[b"k"] = b"v"
        del db
        gc.collect()
        self.assertEqual(self.open()[b"k"], b"v")

    def test_a_closed_database_says_so(self):
        db = self.open()
        db.close()
        db.close()
        with self.assertRaises(libkv.ClosedError):
            db[b"k"]

    def test_a_child_of_fork_cannot_use_it(self):
        db = self.open()

        def child(results):
            try:
                db[b"k"] = b"v"
                results.put("written")
            except libkv.ForkedError:
                results.put("refused")

        context = multiprocessing.get_context("fork")
        results = context.Queue()
        process = context.Process(target=child, args=(results,))
        with warnings.catch_warnings():
            # Forking with threads is what this is about.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        self.assertEqual(results.get(timeout=60), "refused")
        process.join()


class Reading(Case):
    def test_whatever_shows_bytes_is_a_key_or_a_value(self):
        db = self.open()
        for key in (b"k", bytearray(b"k"), memoryview(b"k")):
            db[key] = memoryview(b"value")[1:3]
            self.assertEqual(db[key], b"al")
        with self.assertRaises(TypeError):
            db["text"] = b"value"
        with self.assertRaises(TypeError):
            db[b"k"] = "text"
        with self.assertRaises(libkv.UsageError):
            db[b""] = b"value"

    def test_an_empty_value_is_one(self):
        db = self.open()
        db[b"k"] = b""
        self.assertEqual(db[b"k"], b"")
        self.assertEqual(bytes(db.view(b"k")), b"")
        self.assertIsNone(db.view(b"none"))

    def test_a_view_lives_as_long_as_something_refers_to_it(self):
        db = self.open()
        db[b"k"] = b"0123456789"
        part = db.view(b"k")[3:6]
        self.assertTrue(part.readonly)
        db[b"k"] = b"other"
        db.compact()
        db.close()
        gc.collect()
        self.assertEqual(bytes(part), b"345")

    def test_many_keys_at_once(self):
        db = self.open()
        db.update_many((b"%d" % n, b"v%d" % n) for n in range(1000))
        keys = [b"%d" % n for n in range(0, 2000, 3)]
        self.assertEqual(db.get_many(keys), [db.get(key) for key in keys])
        self.assertEqual(db.get_many([]), [])

    def test_walks(self):
        db = self.open()
        wanted = {b"a%d" % n: b"v%d" % n for n in range(100)}
        db.update(wanted)
        db[b"b"] = b"another"
        self.assertEqual(dict(db.scan(b"a")), wanted)
        self.assertEqual(set(db), {*wanted, b"b"})
        self.assertEqual(sorted(db.values()), sorted([*wanted.values(), b"another"]))

    def test_a_snapshot_sees_one_moment(self):
        db = self.open()
        db.update({b"a": b"1", b"b": b"2"})
        with db.snapshot() as before:
            db[b"a"] = b"new"
            del db[b"b"]
            self.assertEqual(dict(before), {b"a": b"1", b"b": b"2"})
            self.assertEqual(bytes(before.view(b"a")), b"1")
            self.assertEqual((len(before), b"b" in before, b"c" in before), (2, True, False))
        with self.assertRaises(libkv.ClosedError):
            before[b"a"]


class Writing(Case):
    def test_conditions(self):
        db = self.open()
        first = db.put(b"k", b"1", if_absent=True)
        with self.assertRaises(libkv.KeyExistsError):
            db.put(b"k", b"2", if_absent=True)
        self.assertEqual(db.version(b"k"), first)
        second = db.put(b"k", b"2", if_version=first, sync=True)
        with self.assertRaises(libkv.VersionMismatchError):
            db.put(b"k", b"3", if_version=first)
        self.assertEqual(db.put(b"k", b"2", skip_if_equal=True), second)
        with self.assertRaises(libkv.VersionMismatchError):
            db.delete(b"k", if_version=first)
        self.assertTrue(db.delete(b"k", if_version=second))
        self.assertFalse(db.delete(b"k"))
        self.assertIsNone(db.version(b"k"))

    def test_a_batch_is_written_whole_or_not_at_all(self):
        db = self.open()
        db[b"old"] = b"1"
        with db.batch() as batch:
            batch[b"a"] = b"1"
            batch.put(b"b", b"2", ttl=3600)
            del batch[b"old"]
            self.assertEqual((len(batch), b"a" in db), (3, False))
        self.assertEqual(dict(db), {b"a": b"1", b"b": b"2"})
        with self.assertRaises(RuntimeError), db.batch() as batch:
            batch[b"c"] = b"3"
            raise RuntimeError
        self.assertNotIn(b"c", db)

    def test_values_expire(self):
        db = self.open()
        db.put(b"k", b"v", ttl=datetime.timedelta(minutes=1))
        db[b"stays"] = b"v"
        self.assertTrue(0 < db.ttl(b"k") <= 60)
        db.put(b"k", b"v", ttl=0.02)
        self.assertEqual(db.ttl(b"stays"), float("inf"))
        deadline = time.monotonic() + 30
        while b"k" in db and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertNotIn(b"k", db)
        self.assertIsNone(db.ttl(b"k"))
        self.assertTrue(db.touch(b"stays", 60))
        self.assertTrue(0 < db.ttl(b"stays") <= 60)
        with self.assertRaises(ValueError):
            db.put(b"k", b"v", ttl=-1)

    def test_no_addition_of_another_thread_is_lost(self):
        db = self.open()
        work = [
            threading.Thread(target=lambda by=by: [db.add(b"n", by) for _ in range(500)])
            for by in (1, 2)
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
        self.assertEqual(db.add(b"n", 0), 1500)
        db[b"text"] = b"five!"
        with self.assertRaises(libkv.UsageError):
            db.add(b"text")

    def test_other_threads_run_during_a_call(self):
        db = self.open()
        db.update_many((b"%d" % n, bytes(1000)) for n in range(50000))
        ticks, done = [], threading.Event()

        def tick():
            while not done.is_set():
                ticks.append(time.monotonic())
                time.sleep(0.0005)

        ticker = threading.Thread(target=tick)
        ticker.start()
        most, deadline = 0, time.monotonic() + 60
        while most < 3 and time.monotonic() < deadline:
            begun = time.monotonic()
            libkv.verify(self.place / "db")
            ended = time.monotonic()
            most = max(most, sum(begun < at < ended for at in ticks))
            ticks.clear()
        done.set()
        ticker.join()
        self.assertGreaterEqual(most, 3)


class LookingAfterIt(Case):
    def test_figures(self):
        db = self.open()
        db[b"k"] = b"v"
        self.assertEqual(db.stats().keys, 1)
        self.assertIn("kv_keys", db.metrics())

    def test_progress_is_told_and_can_end_a_call(self):
        db = self.open(segment_size="1MiB", compaction="manual")
        for turn in range(3):
            db.update_many((b"%d" % n, bytes(1000)) for n in range(3000))
        told = []
        with self.assertRaises(libkv.CancelledError):
            db.compact(lambda progress: told.append(progress) or False)
        with self.assertRaises(ZeroDivisionError):
            db.compact(lambda progress: 1 // 0)
        db.compact(told.append)
        self.assertTrue(told[-1].total_bytes > 0)

    def test_backup_restore_verify_salvage_destroy(self):
        db = self.open()
        db.update({b"a": b"1", b"b": b"2"})
        db.backup(self.place / "backup")
        db.close()
        libkv.restore(self.place / "backup", self.place / "restored")
        with libkv.open(self.place / "restored") as restored:
            self.assertEqual(dict(restored), {b"a": b"1", b"b": b"2"})
        report = libkv.verify(self.place / "db")
        self.assertIsInstance(report, dict)
        segment = next((self.place / "db").glob("*.seg"))
        with open(segment, "r+b") as file:
            file.seek(4096 + 20)
            file.write(b"\xff")
        with self.assertRaises(libkv.CorruptError):
            with libkv.open(self.place / "db") as damaged:
                damaged[b"a"], damaged[b"b"]
        self.assertIsInstance(libkv.salvage(self.place / "db", self.place / "saved"), dict)
        with libkv.open(self.place / "saved") as saved:
            self.assertEqual(saved[b"b"], b"2")
        libkv.destroy(self.place / "db")
        self.assertFalse(os.path.exists(self.place / "db"))


if __name__ == "__main__":
    unittest.main()
