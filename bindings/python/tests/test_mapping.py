"""The standard library's own tests of mappings, over databases."""

import shutil
import tempfile
import unittest
import weakref

import libkv

try:
    from test import mapping_tests
except ImportError as missing:  # Debian has them in a package of their own.
    raise unittest.SkipTest(f"{missing}: Debian has libpython3.11-testsuite") from None


class Temporary(libkv.Database):
    """A database with a directory of its own, filled as a dict would be."""

    def __init__(self, *arguments, **pairs):
        directory = tempfile.mkdtemp()
        super().__init__(directory, sync="none", segment_size="1MiB")
        weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)
        self.update(*arguments, **pairs)

    def __setitem__(self, key, value):
        # Two of the tests have text of their own.
        if isinstance(key, str):
            key, value = key.encode(), value.encode()
        super().__setitem__(key, value)

    def __eq__(self, other):
        return dict(self) == dict(other)

    __hash__ = None


class MappingProtocol(mapping_tests.BasicTestMappingProtocol):
    type2test = Temporary

    def _reference(self):
        return {b"1": b"2", b"key1": b"value1", b"key2": bytes(3)}


if __name__ == "__main__":
    unittest.main()
