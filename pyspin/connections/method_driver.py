# SPDX-License-Identifier: Apache-2.0
"""The window of a pipeline, driven over the methods of any connection.

The connection sends with `send`, receives with `receive_scp_response` and renders requests
with `get_scp_data`; SpiNNMan's `SCAMPConnection` and its requests are of this kind. What it
raises is told apart by the names of the exception's classes, since pyspin knows none of them.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import struct
from collections.abc import Iterable
from typing import Any

from pyspin._ffi import check, ffi, lib
from pyspin.messages import ConnectionClosedError, SCPCommand

from .link import new_window, share_of
from .outcomes import Deliverer, Outcome, Settings
from .window_errors import error_of

_OUTCOME = struct.Struct("=QiIHHHH")
_BATCH = 64
# The command and the first argument where a datagram has them; the rest does not matter.
_HEAD = struct.Struct("<10xH2xI8x")
# Never 0, which some take for a mistake.
_WAIT_MIN = 1e-4
_WAIT_MAX = 1.0
_TIMEOUTS = {"TimeoutError", "SpinnmanTimeoutException"}
_CLOSINGS = {"EOFError", "SpinnmanEOFException"}
_FLEW = lib.SPN_WINDOW_FLEW
_FULL = lib.SPN_WINDOW_FULL
_UNKNOWN = (object(), False)
_DECIDED_BY_ARGUMENTS = {int(SCPCommand.CMD_IPTAG), int(SCPCommand.CMD_ALLOC)}
# Even, as the window wants them, and of all pipelines, since those that share a connection
# receive for one another.
_tokens = itertools.count(0, 2)


class MethodDriver(Deliverer):
    """Calls the connection's methods in the thread of its caller."""

    def __init__(self, connection: Any, settings: Settings) -> None:
        super().__init__(connection)
        self._send = connection.send
        self._receive_scp_response = connection.receive_scp_response
        self._get_scp_data = connection.get_scp_data
        self._timeout = settings[3]
        share = share_of(connection)
        self._in_flight: dict[int, tuple[Any, Any, Any, bytes]] = {}  # by token
        self._drivers = share.drivers
        self._drivers.add(self)
        self.window = new_window(share.sequences, *settings)
        self.n_malformed = 0
        self._count = 0  # requests in progress
        self._has_closed = False
        self._is_full = False  # it is no use to offer before something has happened
        # While replies come the window says when something is due; in a silence it is asked
        # after a quarter of the time that a request has, and then waited for exactly.
        self._is_due = False
        self._wait = self._silence = min(max(self._timeout / 4, _WAIT_MIN), _WAIT_MAX)
        self._to_send = ffi.new("uint64_t[]", _BATCH)
        self._wait_ns = ffi.new("uint64_t *")
        self._outcomes = ffi.new("spn_scp_outcome[]", _BATCH)
        # By class of request: a command, and whether it may be executed twice.
        self._repeatable: dict[type, tuple[Any, bool]] = {}

    def send(self, request: Any, callback: Any, error_callback: Any) -> None:
        """Send a request, after waiting until the window has room for it."""
        header = request.scp_request_header
        command, may_repeat = self._repeatable.get(request.__class__, _UNKNOWN)
        if command is not header.command:
            may_repeat = self._learn(request, header.command)
        window = self.window
        while True:
            if not self._is_full:
                token = next(_tokens)
                code = lib.spn_window_offer(window, 0, token, may_repeat)
                if code >= 0:
                    break
                if code != -errno.EAGAIN:
                    check(code)
            self._turn()
        try:
            header.sequence = code & 0xFFFF
            data = self._get_scp_data(request)
        except BaseException:
            lib.spn_window_forget(window, token)
            raise
        self._in_flight[token] = record = (request, callback, error_callback, data)
        self._count += 1
        self._is_full = code >= _FULL
        if not code & _FLEW:
            self._is_due = True
            self._step()
        else:
            try:
                self._send(data)
            except Exception as error:
                if not self._connection_failed(error):
                    lib.spn_window_forget(window, token)
                    del self._in_flight[token]
                    self._count -= 1
                    raise
        if self._has_closed:
            self._refuse(record)

    def finish(self) -> None:
        """Wait until every request has ended and its callback has been called."""
        self.deliver_ready()
        while self._count:
            self._turn()
            self.deliver_ready()

    def _turn(self) -> None:
        """Do what is due, or wait for one reply, and deliver what has come of it."""
        self._is_full = False
        if self._is_due:
            self._step()
        if not self._count:
            return
        try:
            result, sequence, raw, offset = self._receive_scp_response(self._wait)
        except Exception as error:
            self._is_due = True
            if not self._connection_failed(error):
                self.n_malformed += 1  # a datagram that the connection could not read
            return
        code = result if result.__class__ is int else getattr(result, "value", result)
        token = lib.spn_window_match(self.window, 0, sequence & 0xFFFF, code)
        if token & 1:
            self._is_due = True
            if token < 0:
                return
            token -= 1
        owner = self if token in self._in_flight else self._owner_of(token)
        request, callback, error_callback, _ = owner._in_flight.pop(token)
        owner._count -= 1
        if owner is not self:
            owner._is_due = True
        owner.deliver((((request, callback, error_callback), None, raw, offset),))

    def _owner_of(self, token: int) -> MethodDriver:
        """Return which of the pipelines over the connection a request is of."""
        drivers: Iterable[MethodDriver] = self._drivers
        return next(it for it in drivers if token in it._in_flight)

    def _step(self) -> None:
        """Send what is to be sent now, and collect what has been given up."""
        self._is_due = False
        count = lib.spn_window_step(self.window, 0, self._to_send, _BATCH, self._wait_ns)
        self._wait = min(max(self._wait_ns[0] * 1e-9, _WAIT_MIN), self._silence)
        try:
            for i in range(count):
                self._send(self._in_flight[self._to_send[i]][3])
        except Exception as error:
            self._connection_failed(error)
        while ended := self._ended():
            self.deliver(ended)

    def _ended(self) -> list[Outcome]:
        """Take those that ended without a reply."""
        count = lib.spn_window_pop(self.window, self._outcomes, _BATCH, ffi.NULL, 0)
        if not count:
            return []
        outcomes: list[Outcome] = []
        table = _OUTCOME.iter_unpack(ffi.buffer(self._outcomes)[: count * _OUTCOME.size])
        for token, status, _, _, code, _, attempts in table:
            request, callback, error_callback, _ = self._in_flight.pop(token)
            error = error_of(status, code, attempts, request, self._timeout)
            outcomes.append(((request, callback, error_callback), error, b"", 0))
        self._count -= count
        return outcomes

    def _connection_failed(self, error: Exception) -> bool:
        """Do what follows from an exception; return whether it is of a known kind."""
        names = {kind.__name__ for kind in type(error).__mro__}
        if names & _TIMEOUTS:
            return True
        if names & _CLOSINGS or self._is_closed():
            self._has_closed = True
            closed = ConnectionClosedError("the connection was closed before the reply came")
            closed.__cause__ = error
            self._end_all(closed)
        elif names & {"OSError", "SpinnmanIOException"}:
            self._end_all(error)
        else:
            return False
        return True

    def _is_closed(self) -> bool:
        with contextlib.suppress(Exception):
            return bool(self._connection.is_closed)
        return False

    def _end_all(self, error: Exception) -> None:
        lib.spn_window_fail(self.window, -errno.EIO)
        while ended := self._ended():
            self._ready.extend((record, error, b"", 0) for record, _, _, _ in ended)
        if not self._is_delivering and not self._has_closed:
            self.deliver_ready()

    def _refuse(self, record: tuple[Any, ...]) -> None:
        """Raise for a request that met a closed connection, and tell the others."""
        mine = record[:3]
        rest = [ended for ended in self._ready if ended[0] != mine]
        self._ready.clear()
        self.deliver(rest)
        raise ConnectionClosedError

    def _learn(self, request: Any, command: Any) -> bool:
        """Return whether a request may be executed twice; remember what holds for its class."""
        own = getattr(request, "is_idempotent", None)
        if own is not None:
            return bool(own)
        number = int(getattr(command, "value", command))
        head = _HEAD.pack(number, getattr(request, "argument_1", None) or 0)
        may_repeat = bool(lib.spn_scp_may_repeat(head, len(head)))
        if number not in _DECIDED_BY_ARGUMENTS:
            self._repeatable[request.__class__] = command, may_repeat
        return may_repeat
