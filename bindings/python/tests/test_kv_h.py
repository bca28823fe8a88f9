"""What the package has of kv.h: all, but for what is named here; and what its documents say."""

import doctest
import inspect
import os
import pathlib
import re
import tempfile
import unittest

import libkv
from libkv._ffi import ffi, lib

PACKAGE = pathlib.Path(__file__).resolve().parents[1]
TOP = PACKAGE.parents[1]

#: Functions of kv.h that the package does not call, and why.
LEFT_OUT = {
    "kv_backup": "kv_backup_with() does the same, and can be ended",
    "kv_batch_put": "kv_batch_put_ttl() does the same",
    "kv_compact": "kv_compact_with() does the same, and can be ended",
    "kv_delete": "kv_delete_with() does the same",
    "kv_iter_key": "kv_iter_next() tells the key already",
    "kv_iter_value": "kv_iter_next() tells the value already",
    "kv_options_get": "options are given to open() and not kept",
    "kv_put_abort": "see kv_put_reserve()",
    "kv_put_commit": "see kv_put_reserve()",
    "kv_put_reserve": "a memoryview of the log could be written to after the value is stored",
    "kv_restore": "kv_restore_with() does the same, and can be ended",
    "kv_salvage": "kv_salvage_with() does the same, and can be ended",
    "kv_snapshot_get_into": "a snapshot is a mapping; its view() copies nothing",
    "kv_verify": "kv_verify_with() does the same, and can be ended",
}
#: kv_options_set() sets by name what these set.
TYPED = re.compile(r"kv_options_set_(?!log$|events$)")


class Coverage(unittest.TestCase):
    def test_every_function_is_called_or_left_out(self):
        sources = "".join(path.read_text() for path in (PACKAGE / "src/libkv").glob("*.py"))
        called = set(re.findall(r"\blib\.(kv_\w+)", sources))
        called |= set(re.findall(r" = (kv_\w+)\(", (PACKAGE / "build_ffi.py").read_text()))
        exported = set((TOP / "tests/exports.txt").read_text().split())
        missing = {name for name in exported - called if not TYPED.match(name)}
        self.assertEqual(missing, set(LEFT_OUT))
        self.assertEqual(called - exported, set())

    def test_every_figure_is_there(self):
        for name, ours, others in [
            ("kv_stats_t", libkv.Stats._fields, set()),
            ("kv_progress_t", libkv.Progress._fields, set()),
            ("kv_option_info_t", libkv.OptionInfo._fields, set()),
            ("kv_latency_t", libkv.Latency.__dataclass_fields__, {"name"}),
            ("kv_event_t", libkv.Event.__dataclass_fields__, set()),
        ]:
            members = {member for member, _ in ffi.typeof(name).fields}
            self.assertEqual(members - {"size"} - others, set(ours), name)

    def test_every_kind_of_event_is_there(self):
        theirs = {name[9:]: getattr(lib, name) for name in dir(lib) if name[:9] == "KV_EVENT_"}
        self.assertEqual(theirs, {kind.name: kind.value for kind in libkv.EventKind})

    def test_every_failure_has_an_exception_of_its_own_or_of_its_class(self):
        header = (TOP / "include/kv.h").read_text()
        for name, number in re.findall(r"#define (KV_\w+) (-\d+)$", header, re.M):
            failure = libkv._errors.error(int(number))
            self.assertIsNot(type(failure), libkv.KvError, name)
            self.assertEqual(failure.status, int(number))

    def test_every_name_is_documented(self):
        for name in libkv.__all__:
            thing = getattr(libkv, name)
            self.assertTrue(inspect.getdoc(thing), name)
            if inspect.isclass(thing) and thing.__module__.startswith("libkv"):
                for method, function in vars(thing).items():
                    if inspect.isfunction(function) and not method.startswith("_"):
                        self.assertTrue(function.__doc__, f"{name}.{method}")

    def test_the_library_is_in_the_package(self):
        if os.environ.get("KV_SHARED") == "1":
            self.skipTest("built against the shared library")
        self.assertNotIn("libkv.so", pathlib.Path("/proc/self/maps").read_text())


class Documents(unittest.TestCase):
    def test_the_examples_of_the_readme_run(self):
        with tempfile.TemporaryDirectory() as directory:
            before = os.getcwd()
            os.chdir(directory)
            try:
                told = doctest.testfile(
                    str(PACKAGE / "README.md"),
                    module_relative=False,
                    optionflags=doctest.ELLIPSIS,
                )
            finally:
                os.chdir(before)
        self.assertGreater(told.attempted, 10)
        self.assertEqual(told.failed, 0)


if __name__ == "__main__":
    unittest.main()
