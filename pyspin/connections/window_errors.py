# SPDX-License-Identifier: Apache-2.0
"""What the window's status codes are as exceptions."""

from __future__ import annotations

import errno
import os
from typing import Any, NoReturn

from pyspin._ffi import check, lib
from pyspin.messages import (
    ConnectionClosedError,
    NobodyListensError,
    SCPResult,
    SpinnakerIOError,
    SpinnakerTimeoutError,
    scp_result,
)


def result_name(code: int) -> str:
    """Return the name of an SCP result code, or its number if it has none."""
    result = scp_result(code)
    return result.name if isinstance(result, SCPResult) else f"unknown code {code:#x}"


def raise_refusal(code: int) -> NoReturn:
    """Raise what a negative code stands for with which a request was not taken."""
    if code == lib.SPN_ESTOPPED:
        raise ConnectionClosedError
    if code == lib.SPN_ENUMBERS:
        raise SpinnakerIOError(
            "too many requests are in progress over one connection: their sequence numbers "
            "have 16 bits, and only half of them may be in use"
        )
    check(code)
    raise AssertionError(code)


def interrupted() -> SpinnakerIOError:
    """Return the exception for a request of which a signal handler's has left nothing known."""
    return SpinnakerIOError("interrupted; whether it was answered is not known", errno.EINTR)


def error_of(
    status: int, code: int, attempts: int, operation: object, timeout: float
) -> SpinnakerIOError | SpinnakerTimeoutError:
    """Return the exception for a request (or another operation) that ended with `status`.

    `code` is the last result code that asked for a retry, 0 if none did.
    """
    times = f"after {attempts} attempts" if attempts else "after all retries"
    if status == lib.SPN_ESTOPPED:
        return ConnectionClosedError("the connection was closed before the reply came")
    if status == -errno.ETIMEDOUT and code:
        return SpinnakerIOError(
            f"{operation} failed {times}; the last answer was {result_name(code)}"
        )
    if status == -errno.ETIMEDOUT:
        return SpinnakerTimeoutError(
            operation, timeout, f"{operation} was not answered {times} of {timeout:g} s each"
        )
    kind: Any = NobodyListensError if status == -errno.ECONNREFUSED else SpinnakerIOError
    error: SpinnakerIOError = kind(f"{operation} failed: {os.strerror(-status)}", -status)
    return error
