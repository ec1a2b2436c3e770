# SPDX-License-Identifier: Apache-2.0
"""What pyproject.toml cannot say: the CFFI extension, and that its wheel is abi3."""

import sysconfig

from setuptools import setup

# A free-threaded interpreter has no stable ABI (before 3.15), so its wheel is its own.
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

setup(
    cffi_modules=["build_ffi.py:ffibuilder"],
    options={} if FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp310"}},
)
