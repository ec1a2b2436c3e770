# SPDX-License-Identifier: Apache-2.0
"""The exceptions of pyspin.

::

    Exception
    ├── Stopped                 the stream, ring, pool or link has been stopped
    ├── Empty                   nothing there at the moment
    └── PyspinError             everything else that is pyspin's own
        └── ForkedError         what is a parent process's used in its child; also RuntimeError
    OSError
    └── SocketError             a socket could not be made or used; also RuntimeError

`Stopped` and `Empty` tell of states, not of faults, and stand by themselves as they do in
spead2; so a handler for errors does not catch the end of a stream. Whatever Python has an
exception for keeps it: `ValueError`, `TypeError`, `MemoryError`, `OSError` and its subclasses.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from typing import NoReturn

__all__ = ["Empty", "ForkedError", "PyspinError", "SocketError", "Stopped"]

# SPN_E... of csrc/include/pyspin.h; this module lies below the extension.
_STOPPED = -5001
_FORKED = -5002
_NUMBERS = -5003


class Stopped(Exception):
    """Say that there is nothing more to come."""


class Empty(Exception):
    """Say that there is nothing now, but may be later."""


class PyspinError(Exception):
    """Be the base of pyspin's own errors."""


class ForkedError(PyspinError, RuntimeError):
    """Refuse what belongs to the parent process: its threads, its links to boards.

    Make the stream, pool or link anew in the child.
    """


class SocketError(OSError, RuntimeError):
    """Tell why a socket could not be opened, bound, joined to a group or used.

    It is an `OSError` with `errno` set, and a `RuntimeError`, which is what older receivers of
    SPEAD raise here.
    """


def raise_code(code: int, message: str) -> NoReturn:
    """Raise the exception that a negative return code of the C library stands for.

    `message` is what the library says about the code.
    """
    if code == _STOPPED:
        raise Stopped(message)
    if code == _FORKED:
        raise ForkedError(message)
    if code == _NUMBERS:
        raise PyspinError(message)
    match -code:
        case errno.EAGAIN:
            raise Empty(message)
        case errno.ENOMEM:
            raise MemoryError(message)
        case errno.EINVAL:
            raise ValueError(message)
        case number if number < 5000:
            raise OSError(number, os.strerror(number))
        case _:
            raise PyspinError(f"unknown return code {code}")


def raise_socket_code(code: int, message: str) -> NoReturn:
    """Do the same for a function that works on sockets: system errors are `SocketError`."""
    if code <= -5000:
        raise_code(code, message)
    raise SocketError(-code, os.strerror(-code))


@contextlib.contextmanager
def socket_errors(what: str) -> Iterator[None]:
    """Turn the errors of Python's own socket functions into `SocketError`, `what` in front.

    A host name that cannot be encoded is one that does not resolve.
    """
    try:
        yield
    except SocketError:
        raise
    except OSError as error:
        raise SocketError(error.errno, f"{what}: {error.strerror}") from error
    except UnicodeError as error:
        raise SocketError(socket.EAI_NONAME, f"{what}: {error}") from error
