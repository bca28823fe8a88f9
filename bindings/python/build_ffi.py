"""Compiles libkv._ffi, the calls of kv.h, against the library.

KV_PREFIX names where libkv is installed, if pkg-config does not know. The static library is taken,
so that a wheel carries all it needs; KV_SHARED=1 links the shared one instead, as distributions do.
"""

import os
import pathlib
import re
import shlex
import subprocess
import tempfile

from cffi import FFI

#: What a program in Python is called back through, and what is called most, answering by value:
#: making memory for outputs takes Python longer than the library takes to read.
OURS = """
typedef struct { kv_status status; char *value; size_t len; } libkv_got;
libkv_got libkv_get(kv_db *db, const void *key, size_t key_len);
extern "Python" int32_t libkv_progress(const struct kv_progress_t *progress, void *context);
extern "Python" void libkv_log(int32_t level, const char *message, void *context);
extern "Python" void libkv_event(const struct kv_event_t *event, void *context);
"""
SOURCE = """
#include <kv.h>

typedef struct { kv_status status; char *value; size_t len; } libkv_got;

static libkv_got libkv_get(kv_db *db, const void *key, size_t key_len) {
    libkv_got got = {0};
    void *value = NULL;
    got.status = kv_get(db, key, key_len, &value, &got.len);
    got.value = value;
    return got;
}
"""


def pkg_config(*arguments: str) -> list[str]:
    """What pkg-config says of libkv, as words."""
    environment = dict(os.environ)
    if "KV_PREFIX" in environment:
        known = pathlib.Path(environment["KV_PREFIX"]).glob("lib*/**/pkgconfig")
        paths = [str(path) for path in known] + [environment.get("PKG_CONFIG_PATH", "")]
        environment["PKG_CONFIG_PATH"] = ":".join(filter(None, paths))
    command = ["pkg-config", *arguments, "kv"]
    try:
        said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(
            f"{shlex.join(command)}: {error}\n"
            "libkv is not installed, or not where pkg-config looks: set KV_PREFIX to its prefix"
        ) from None
    return shlex.split(said.stdout.decode())


def declarations(header: pathlib.Path) -> str:
    """kv.h as cffi wants it: without the preprocessor, attributes, and the system's headers."""
    text = header.read_text()
    numbers = re.findall(r"^#define (KV_[A-Z0-9_]+) +-?[0-9]+(?:u?l*)?$", text, re.M)
    with tempfile.TemporaryDirectory() as empty:
        for name in ("stddef.h", "stdint.h"):
            (pathlib.Path(empty) / name).touch()
        command = [os.environ.get("CC", "cc"), "-E", "-P", "-nostdinc", f"-I{empty}", str(header)]
        plain = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode()
    plain = re.sub(r"__attribute__\(\(\w+\)\)", "", plain)
    return plain + "".join(f"#define {name} ...\n" for name in numbers)


include = pathlib.Path(pkg_config("--variable=includedir")[0])
libdir = pathlib.Path(pkg_config("--variable=libdir")[0])
if os.environ.get("KV_SHARED") == "1":
    link = pkg_config("--libs")
else:
    private = [flag for flag in pkg_config("--static", "--libs") if flag != "-lkv"]
    link = [str(libdir / "libkv.a"), *private, "-Wl,--exclude-libs,ALL", "-Wl,--gc-sections"]

ffi = FFI()
ffi.cdef(declarations(include / "kv.h") + OURS)
ffi.set_source(
    "libkv._ffi",
    SOURCE,
    include_dirs=[str(include)],
    extra_link_args=link,
    py_limited_api=True,
)

if __name__ == "__main__":
    ffi.compile(verbose=True)
