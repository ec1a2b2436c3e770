# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import socket

import pytest

from pyspin import errors
from pyspin._ffi import check, check_socket, lib


def test_counts_pass_through() -> None:
    assert check(0) == 0
    assert check_socket(7) == 7


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (-errno.EAGAIN, errors.Empty),
        (-errno.ENOMEM, MemoryError),
        (-errno.EINVAL, ValueError),
        (-errno.EINTR, InterruptedError),
        (-errno.EACCES, PermissionError),
        (lib.SPN_ESTOPPED, errors.Stopped),
        (lib.SPN_EFORKED, errors.ForkedError),
        (lib.SPN_ENUMBERS, errors.PyspinError),
        (-9999, errors.PyspinError),
    ],
)
def test_each_code_has_its_exception(code: int, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        check(code)


def test_socket_errors_are_of_both_kinds() -> None:
    with pytest.raises(OSError, match="in use") as caught:
        check_socket(-errno.EADDRINUSE)
    assert isinstance(caught.value, RuntimeError)
    assert caught.value.errno == errno.EADDRINUSE
    with pytest.raises(errors.SocketError):
        check_socket(-errno.EINVAL)
    with pytest.raises(errors.Stopped):
        check_socket(lib.SPN_ESTOPPED)


def test_errors_of_python_sockets_become_ours() -> None:
    with pytest.raises(errors.SocketError) as caught, errors.socket_errors("cannot bind"):
        raise OSError(errno.EADDRINUSE, "in use")
    assert (caught.value.errno, caught.value.strerror) == (errno.EADDRINUSE, "cannot bind: in use")
    with pytest.raises(errors.SocketError, match="so: no such name"), errors.socket_errors("so"):
        raise socket.gaierror(socket.EAI_NONAME, "no such name")
    with pytest.raises(errors.SocketError, match="mine"), errors.socket_errors("not shown"):
        raise errors.SocketError(errno.EIO, "mine")


@pytest.mark.parametrize("host", ["\udc80", "a" * 64, "nul\0"])
def test_what_cannot_be_a_host_name_does_not_resolve(host: str) -> None:
    with (
        pytest.raises(errors.SocketError, match="cannot resolve"),
        errors.socket_errors("cannot resolve it"),
    ):
        socket.getaddrinfo(host, 1)


def test_states_are_no_errors_of_pyspin() -> None:
    assert errors.Stopped.__bases__ == (Exception,)
    assert errors.Empty.__bases__ == (Exception,)


def test_messages_say_what_happened() -> None:
    with pytest.raises(errors.Stopped, match="stopped"):
        check(lib.SPN_ESTOPPED)
    with pytest.raises(errors.ForkedError, match="forked"):
        check(lib.SPN_EFORKED)
