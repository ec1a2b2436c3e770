# SPDX-License-Identifier: Apache-2.0
"""The whole extension: what Python sees of the C library, and what it is compiled from.

The declarations are the part of ``csrc/include/pyspin.h`` between its two marks, so nothing
is declared twice. ``python build_ffi.py`` compiles in place; pip and the wheel use the same
lines through ``setup.py``.
"""

import os
import re
from pathlib import Path

import cffi

ROOT = Path(__file__).resolve().parent
HEADER = ROOT / "csrc" / "include" / "pyspin.h"
SOURCES = sorted(ROOT.glob("csrc/src/*/*.c"))
HEADERS = [*sorted(ROOT.glob("csrc/src/*/*.h")), HEADER]


def declarations() -> str:
    """Return the part of the public header that CFFI can read."""
    match = re.search(r"/\* cffi: begin \*/(.*)/\* cffi: end \*/", HEADER.read_text(), re.S)
    if match is None:
        raise RuntimeError(f"{HEADER}: the cffi marks are missing")
    return match[1]


def relative(paths: list[Path]) -> list[str]:
    # setuptools refuses absolute source paths.
    return [os.path.relpath(path, ROOT) for path in paths]


ffibuilder = cffi.FFI()
ffibuilder.cdef(declarations())
ffibuilder.set_source(
    "pyspin._core",
    '#include "pyspin.h"',
    sources=relative(SOURCES),
    depends=relative(HEADERS),
    include_dirs=["csrc/include", "csrc/src"],
    extra_compile_args=["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-fvisibility=hidden", "-pthread"],
    extra_link_args=["-pthread"],
)

if __name__ == "__main__":
    os.chdir(ROOT)
    ffibuilder.compile(verbose=True)
