# SPDX-License-Identifier: Apache-2.0
"""The window of a pipeline, driven over the methods of any connection.

The connection sends with `send`, receives with `receive_scp_response` and renders requests
with `get_scp_data`; SpiNNMan's `SCAMPConnection` and its requests are of this kind. What it
raises is told apart by the names of the exception's classes, since pyspin knows none of them.

A request costs one call to C: the window hears of an answer when the next request is offered
to it, or before it is asked for anything else. An answer that is not simply RC_OK to a request
of this pipeline it hears of at once, since it has to say what follows.
"""

from __future__ import annotations

import contextlib
import errno
import struct
from typing import Any

from pyspin._ffi import check, ffi, lib
from pyspin.messages import ConnectionClosedError, SCPResult

from .link import new_window, share_of, stats_of
from .outcomes import Deliverer, Outcome, Record, Settings
from .window_errors import error_of, raise_refusal

_OUTCOME = struct.Struct("=QiIHHHH")
_BATCH = 64
# Never 0, which some take for a mistake.
_WAIT_MIN = 1e-4
_WAIT_MAX = 1.0
_TIMEOUTS = {"TimeoutError", "SpinnmanTimeoutException"}
_CLOSINGS = {"EOFError", "SpinnmanEOFException"}
_ENDED = lib.SPN_WINDOW_ENDED
_FULL = lib.SPN_WINDOW_FULL
_DUE = lib.SPN_WINDOW_DUE
_HELD = lib.SPN_WINDOW_HELD
_REFUSED = lib.SPN_WINDOW_REFUSED
_UNUSUAL = _DUE | _HELD | _REFUSED  # errors, being negative, have these bits too
_offer = lib.spn_window_offer
_NOBODY = -1


class MethodDriver(Deliverer):
    """Calls the connection's methods in the thread of its caller."""

    def __init__(self, connection: Any, settings: Settings) -> None:
        super().__init__(connection)
        self._send = connection.send
        self._receive_scp_response = connection.receive_scp_response
        self._get_scp_data = connection.get_scp_data
        self._timeout = settings[3]
        share = share_of(connection)
        # By sequence number: those that have been sent, and those that the window holds back.
        self._in_flight: dict[int, Record] = {}
        self._held: dict[int, Record] = {}
        self._answered = _NOBODY  # what the window has not yet heard of
        self._drivers = share.drivers
        self._drivers.add(self)
        self._window = new_window(share.sequences, *settings)
        self.n_malformed = 0
        self._has_closed = False
        self._is_full = False  # it is no use to offer before something has happened
        # While replies come the window says when something is due; in a silence it is asked
        # after a quarter of the time that a request has, and then waited for exactly.
        self._is_due = False
        self._wait = self._silence = min(max(self._timeout / 4, _WAIT_MIN), _WAIT_MAX)
        self._to_send = ffi.new("uint16_t[]", _BATCH)
        self._wait_ns = ffi.new("uint64_t *")
        self._outcomes = ffi.new("spn_scp_outcome[]", _BATCH)
        self._ok: Any = SCPResult.RC_OK  # the object that the connection has for it

    def send(self, request: Any, callback: Any, error_callback: Any) -> None:
        """Send a request, after waiting until the window has room for it."""
        if self._is_full:
            self._turn()
        code = _offer(self._window, 0, self._answered)
        self._answered = _NOBODY
        if code & _UNUSUAL:
            code = self._insist(code)
        sequence = code & 0xFFFF
        try:
            request.scp_request_header.sequence = sequence
            data = self._get_scp_data(request)
        except BaseException:
            self._forget(sequence)
            raise
        record = (request, callback, error_callback, data)
        if code & _HELD:
            self._held[sequence] = record
            self._step()
        else:
            self._in_flight[sequence] = record
            self._is_full = code & _FULL != 0
            try:
                self._send(data)
            except Exception as error:
                if not self._connection_failed(error):
                    self._forget(sequence)
                    raise
        if self._has_closed:
            self._refuse(record)

    def finish(self) -> None:
        """Wait until every request has ended and its callback has been called."""
        self.deliver_ready()
        while self._in_flight or self._held:
            self._tell()
            self._turn()
            self.deliver_ready()
        self._tell()

    def stats(self) -> Any:
        """Return the counters of the window."""
        self._tell()
        return stats_of(self._window)

    def _insist(self, code: int) -> int:
        """Offer a request until the window takes it; `code` is what it has said so far."""
        while True:
            if code < 0:
                raise_refusal(code)
            if code & _DUE:
                self._is_due = True
            if not code & _REFUSED:
                return code
            self._turn()
            code = _offer(self._window, 0, self._answered)
            self._answered = _NOBODY

    def _forget(self, sequence: int) -> None:
        """Take a request back."""
        lib.spn_window_forget(self._window, sequence)
        self._in_flight.pop(sequence, None)
        self._is_full = False

    def _turn(self) -> None:
        """Do what is due, or wait for one reply, and deliver what has come of it."""
        self._is_full = False
        if self._is_due:
            self._step()
            if not self._in_flight:
                return
        try:
            result, sequence, raw, offset = self._receive_scp_response(self._wait)
        except Exception as error:
            self._is_due = True
            if not self._connection_failed(error):
                self.n_malformed += 1  # a datagram that the connection could not read
            return
        record = self._in_flight.pop(sequence, None) if result is self._ok else None
        if record is not None:
            self._answered = sequence
            self.deliver(record, None, raw, offset)
        else:
            self._match(result, sequence, raw, offset)

    def _match(self, result: Any, sequence: int, raw: bytes, offset: int) -> None:
        """Let the window say what a reply is: of another pipeline, no RC_OK, or of no use."""
        code = int(getattr(result, "value", result))
        if code == SCPResult.RC_OK:
            self._ok = result
        ended = lib.spn_window_match(self._window, 0, sequence & 0xFFFF, code)
        if ended != _ENDED:
            self._is_due = True
        for owner in (self, *self._drivers) if ended & _ENDED else ():
            record = owner._in_flight.pop(sequence, None)
            if record is not None:
                owner._is_due = True
                owner.deliver(record, None, raw, offset)
                return

    def _tell(self) -> None:
        """Tell the window of the last answer, as no request has done it."""
        sequence, self._answered = self._answered, _NOBODY
        if sequence == _NOBODY:
            return
        if lib.spn_window_match(self._window, 0, sequence, SCPResult.RC_OK) != _ENDED:
            self._is_due = True

    def _step(self) -> None:
        """Send what is to be sent now, and collect what has been given up."""
        self._tell()
        self._is_due = False
        while (sequence := lib.spn_window_doubt(self._window)) >= 0:
            record = self._in_flight.get(sequence)
            if record is not None and _may_repeat(record):
                lib.spn_window_repeat(self._window, sequence)
        count = check(lib.spn_window_step(self._window, 0, self._to_send, _BATCH, self._wait_ns))
        self._wait = min(max(self._wait_ns[0] * 1e-9, _WAIT_MIN), self._silence)
        try:
            for sequence in self._to_send[0:count]:
                if sequence in self._held:
                    self._in_flight[sequence] = self._held.pop(sequence)
                record = self._in_flight.get(sequence)
                if record is None:  # an interrupt has come between the window's word and us
                    self._forget(sequence)
                else:
                    self._send(record[3])
        except Exception as error:
            self._connection_failed(error)
        while ended := self._ended():
            self._ready.extend(ended)
        if not self._is_delivering:
            self.deliver_ready()

    def _ended(self) -> list[Outcome]:
        """Take those that ended without a reply."""
        count = lib.spn_window_pop(self._window, self._outcomes, _BATCH, ffi.NULL, 0)
        if not count:
            return []
        outcomes: list[Outcome] = []
        table = _OUTCOME.iter_unpack(ffi.buffer(self._outcomes)[: count * _OUTCOME.size])
        for _, status, _, _, code, sequence, attempts in table:
            live = self._held if sequence in self._held else self._in_flight
            record = live.pop(sequence, None)
            if record is not None:
                error = error_of(status, code, attempts, record[0], self._timeout)
                outcomes.append((record, error, b"", 0))
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
        self._tell()
        self._is_due = True
        lib.spn_window_fail(self._window, -errno.EIO)
        while ended := self._ended():
            self._ready.extend((record, error, b"", 0) for record, _, _, _ in ended)
        if not self._is_delivering and not self._has_closed:
            self.deliver_ready()

    def _refuse(self, record: Record) -> None:
        """Raise for a request that met a closed connection, and tell the others."""
        rest = [ended for ended in self._ready if ended[0] is not record]
        self._ready.clear()
        self._ready.extend(rest)
        if not self._is_delivering:
            self.deliver_ready()
        raise ConnectionClosedError


def _may_repeat(record: Record) -> bool:
    """Return whether a board may execute the request twice without harm."""
    request, _, _, data = record
    own = getattr(request, "is_idempotent", None)
    return bool(lib.spn_scp_may_repeat(data, len(data)) if own is None else own)
