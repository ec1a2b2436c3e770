# SPDX-License-Identifier: Apache-2.0
"""The one seam to C: the extension, and what to do with its return codes and pointers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ._core import ffi, lib
from .errors import raise_code, raise_socket_code

__all__ = ["check", "check_socket", "ffi", "lib", "own"]

P = TypeVar("P")


def _message(code: int) -> str:
    return ffi.string(lib.spn_strerror(code)).decode()


def check(code: int) -> int:
    """Return a count, or raise what a negative code stands for (`errors.raise_code`)."""
    if code < 0:
        raise_code(code, _message(code))
    return code


def check_socket(code: int) -> int:
    """Return a count, or raise; errors of the system become `errors.SocketError`."""
    if code < 0:
        raise_socket_code(code, _message(code))
    return code


def own(pointer: P, free: Callable[[P], None]) -> P:
    """Return `pointer` as an object that calls `free` when its last reference goes.

    `free` runs in whatever thread drops that reference, without the interpreter lock.
    """
    return ffi.gc(pointer, free)
