"""What pyproject.toml cannot say: the version is the library's, the wheel is for any Python 3."""

import pathlib
import re

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel

HERE = pathlib.Path(__file__).resolve().parent


def version() -> str:
    """The version in Cargo.toml, at the top of the sources or copied beside this."""
    for manifest in (HERE / "../../Cargo.toml", HERE / "Cargo.toml"):
        if manifest.is_file():
            return re.search(r'^version = "([^"]+)"', manifest.read_text(), re.M)[1]
    raise SystemExit("Cargo.toml was not found: build from the sources of libkv")


class Wheel(bdist_wheel):
    """A wheel with compiled code that every CPython from 3.9 on can load."""

    def finalize_options(self) -> None:
        self.py_limited_api = "cp39"
        super().finalize_options()


setup(
    version=version(),
    cffi_modules=["build_ffi.py:ffi"],
    cmdclass={"bdist_wheel": Wheel},
)
