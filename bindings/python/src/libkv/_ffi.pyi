# What build_ffi.py compiles: cffi knows its types at run time only.
from typing import Any

ffi: Any
lib: Any
