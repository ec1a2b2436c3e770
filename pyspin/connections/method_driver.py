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
from typing import Any

from pyspin._ffi import check, ffi, lib
from pyspin.messages import ConnectionClosedError, SCPCommand

from .link import new_window, share_of
from .link_driver import Outcome, Record, Settings
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
_tokens = itertools.count()


class MethodDriver:
    """Calls the connection's methods in the thread of its caller."""

    def __init__(self, connection: Any, settings: Settings) -> None:
        self._connection = connection
        self._send = connection.send
        self._receive_scp_response = connection.receive_scp_response
        self._get_scp_data = connection.get_scp_data
        self._has_closed = False
        self._timeout = settings[3]
        share = share_of(connection)
        self._in_flight = share.in_flight
        self.window = new_window(share.sequences, *settings)
        self.count = 0
        self.n_malformed = 0
        # Replies to this pipeline's requests that another one of the connection received.
        self._arrived: list[Outcome] = []
        self._to_send = ffi.new("uint64_t[]", _BATCH)
        self._state = ffi.new("spn_window_state *")
        self._is_full = False  # it is no use to offer before something has happened
        self._is_due = False  # time has passed that the window does not know of
        # By class of request: a command, and whether it may be executed twice.
        self._repeatable: dict[type, tuple[Any, bool]] = {}
        self._outcomes = ffi.new("spn_scp_outcome[]", _BATCH)

    def render(self, request: Any) -> bytes:
        """Return nothing: a request is rendered when its sequence number is known."""
        return b""

    def size_of(self, request: Any, data: bytes) -> int:
        """Return the bytes of a request's datagram."""
        return _HEAD.size + len(getattr(request, "data", None) or b"")

    def offer(self, record: Record, data: bytes) -> bool:
        """Send a request, unless the window is full."""
        if self._is_full:
            return False
        request = record[0]
        header = request.scp_request_header
        command, may_repeat = self._repeatable.get(request.__class__, _UNKNOWN)
        if command is not header.command:
            may_repeat = self._learn(request, header.command)
        token = next(_tokens)
        code = lib.spn_window_offer(self.window, 0, token, may_repeat, self._state)
        if code == -errno.EAGAIN:
            self._is_full = True
            return False
        check(code)
        try:
            header.sequence = code & 0xFFFF
            data = self._get_scp_data(request)
        except BaseException:
            lib.spn_window_forget(self.window, token)
            raise
        self._in_flight[token] = (self, record, data)
        self.count += 1
        self._is_full = code >= _FULL
        if not code & _FLEW:
            self._step()
        else:
            try:
                self._send(data)
            except Exception as error:
                self._connection_failed(error)
        if self._has_closed:
            self._arrived = [ended for ended in self._arrived if ended[0] is not record]
            self.count -= 1
            raise ConnectionClosedError
        return True

    def wait(self, until_room: bool) -> list[Outcome]:
        """Wait for one reply, at most until something is due."""
        state = self._state
        if self._is_due or state.todo:
            self._step()
        arrived = self._arrived
        if not arrived and self.count:
            self._receive(state.wait_ns * 1e-9)
        self._is_full = False
        if arrived:
            self._arrived = []
            self.count -= len(arrived)
        return arrived

    def _step(self) -> None:
        """Send what is to be sent now, and collect what has been given up."""
        self._is_due = False
        count = lib.spn_window_step(self.window, 0, self._to_send, _BATCH, self._state)
        if self._state.todo:
            self._arrived += self._ended()
        try:
            for i in range(count):
                self._send(self._in_flight[self._to_send[i]][2])
        except Exception as error:
            self._connection_failed(error)

    def _receive(self, seconds: float) -> None:
        timeout = _WAIT_MIN if seconds < _WAIT_MIN else _WAIT_MAX if seconds > 1 else seconds
        try:
            result, sequence, raw, offset = self._receive_scp_response(timeout=timeout)
        except Exception as error:
            self._is_due = True
            self._connection_failed(error)
            return
        code = result if result.__class__ is int else getattr(result, "value", result)
        token = lib.spn_window_match(self.window, 0, sequence & 0xFFFF, code, self._state)
        if token < 0:
            self._is_due = True
            return
        owner, record, _ = self._in_flight.pop(token)
        owner._arrived.append((record, None, raw, offset))
        if owner is not self:
            owner._is_due = True

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

    def _ended(self) -> list[Outcome]:
        """Return those that ended without a reply."""
        count = lib.spn_window_pop(self.window, self._outcomes, _BATCH, ffi.NULL, 0)
        if not count:
            return []
        outcomes: list[Outcome] = []
        table = _OUTCOME.iter_unpack(ffi.buffer(self._outcomes)[: count * _OUTCOME.size])
        for token, status, _, _, code, _, attempts in table:
            record = self._in_flight.pop(token)[1]
            error = error_of(status, code, attempts, record[0], self._timeout)
            outcomes.append((record, error, b"", 0))
        return outcomes

    def _connection_failed(self, error: Exception) -> None:
        names = {kind.__name__ for kind in type(error).__mro__}
        if names & _TIMEOUTS:
            return
        if names & _CLOSINGS or self._is_closed():
            self._has_closed = True
            closed = ConnectionClosedError("the connection was closed before the reply came")
            closed.__cause__ = error
            self._end_all(closed)
        elif names & {"OSError", "SpinnmanIOException"}:
            self._end_all(error)
        else:
            self.n_malformed += 1  # a datagram that the connection could not read

    def _is_closed(self) -> bool:
        with contextlib.suppress(Exception):
            return bool(self._connection.is_closed)
        return False

    def _end_all(self, error: Exception) -> None:
        lib.spn_window_fail(self.window, -errno.EIO)
        while ended := self._ended():
            self._arrived += [(record, error, b"", 0) for record, _, _, _ in ended]
