"""What a call from Python costs: python benchmark.py [CALLS], with the package installed."""

import sys
import tempfile
import timeit

import libkv

KEY, VALUE = b"0123456789abcdef", bytes(100)


def main(calls: int) -> None:
    """Prints nanoseconds for each of some statements, the best of five rounds."""
    with tempfile.TemporaryDirectory() as directory, libkv.open(directory, sync="none") as db:
        keys = [b"%016d" % n for n in range(1000)]
        db.update_many((key, VALUE) for key in keys)
        db[KEY] = VALUE
        names = {"db": db, "key": KEY, "value": VALUE, "keys": keys, "buffer": bytearray(100)}
        names["plain"] = {KEY: VALUE}
        for statement, each in [
            ("plain[key]  # a dict", 1),
            ("key in db", 1),
            ("db[key]", 1),
            ("db.get_into(key, buffer)", 1),
            ("db.view(key)", 1),
            ("db.get_many(keys)", len(keys)),
            ("for _ in db.items(): pass", len(keys) + 1),
            ("db[key] = value", 1),
            ("db.update_many((key, value) for key in keys)", len(keys)),
        ]:
            number = max(1, calls // each)
            best = min(timeit.repeat(statement, globals=names, number=number, repeat=5))
            print(f"| `{statement}` | {best / number / each * 1e9:.0f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
