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
import os
import struct
from typing import Any
from weakref import WeakSet

from pyspin._ffi import check, ffi, lib
from pyspin.messages import ConnectionClosedError, SCPResult

from .link import new_window, share_of, stats_of
from .outcomes import Deliverer, Record, Settings
from .window_errors import error_of, interrupted, raise_refusal

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
_FOR_EVER = 1 << 63  # nanoseconds, or more, when nothing is in progress
# The bytes of a request up to its data, and of a reply from its SDP header to its payload.
_REQUEST_MIN = 26
_REPLY_HEADER = 12


_all_drivers: WeakSet[MethodDriver] = WeakSet()


def _look_first() -> None:
    """Let drivers ask their windows, which refuse in a forked child, before they receive what is
    for the parent.
    """
    for driver in _all_drivers:
        driver._is_due = True


os.register_at_fork(after_in_child=_look_first)


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
        _all_drivers.add(self)
        self._window = new_window(share.sequences, *settings)
        self.n_malformed = 0
        self.n_wrong_length = 0
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
        answered, self._answered = self._answered, _NOBODY
        code = _offer(self._window, 0, answered)
        if code & _UNUSUAL:
            code = self._insist(code)
        sequence = code & 0xFFFF
        try:
            request.scp_request_header.sequence = sequence
            data = self._get_scp_data(request)
            if len(data) < _REQUEST_MIN:
                raise ValueError(f"a request must have 26 to 282 bytes, not {len(data)}")
        except BaseException:
            self._forget(sequence)
            if not hasattr(request, "scp_request_header"):
                raise TypeError(f"request must be an SCP request, not {request!r}") from None
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
        self.deliver_here()
        while self._in_flight or self._held:
            self._tell()
            self._turn()
            self.deliver_here()
        if self.stats().in_progress:  # an interrupt has come before their records were kept
            lib.spn_window_fail(self._window, -errno.EINTR)
            self._take_ended()

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
            answered, self._answered = self._answered, _NOBODY
            code = _offer(self._window, 0, answered)

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
        record = self._in_flight.get(sequence) if result is self._ok else None
        if record is None or self._is_delivering:
            self._match(result, sequence, raw, offset)
            return
        # The common case of `_answers` first: the length is the second argument.
        data = record[3]
        if len(raw) - offset - _REPLY_HEADER != data[18] | data[19] << 8 and not _answers(
            data, raw, offset
        ):
            self._ignore_length()
            return
        self._answered = sequence
        self.call_back(self._in_flight, sequence, record, None, raw, offset)
        if self._ready:
            self.deliver_here()

    def _match(self, result: Any, sequence: int, raw: bytes, offset: int) -> None:
        """Let the window say what a reply is: of another pipeline, no RC_OK, or of no use."""
        code = int(getattr(result, "value", result))
        if code == SCPResult.RC_OK:
            self._ok = result
        owner = next((it for it in (self, *self._drivers) if sequence in it._in_flight), self)
        record = owner._in_flight.get(sequence)
        if code == SCPResult.RC_OK and record is not None and not _answers(record[3], raw, offset):
            self._ignore_length()
            return
        ended = lib.spn_window_match(self._window, 0, sequence & 0xFFFF, code)
        if ended != _ENDED:
            self._is_due = True
        if ended & _ENDED and record is not None:
            del owner._in_flight[sequence]
            owner._is_due = True
            owner._ready.append((record, None, raw, offset))
            owner.deliver()

    def _ignore_length(self) -> None:
        """Count a reply that has not as many bytes as were asked for."""
        self.n_wrong_length += 1
        self._is_due = True

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
                held = self._held.get(sequence)
                if held is not None:
                    self._in_flight[sequence] = held
                    del self._held[sequence]
                record = self._in_flight.get(sequence)
                if record is None:  # an interrupt has come between the window's word and us
                    self._forget(sequence)
                else:
                    self._send(record[3])
        except Exception as error:
            self._connection_failed(error)
        self._take_ended()
        if self._wait_ns[0] > _FOR_EVER and not self.stats().in_progress:
            self._give_up_interrupted()
        self.deliver()

    def _take_ended(self, error: Exception | None = None) -> None:
        """Take those that ended without a reply; they get `error`, if there is one."""
        count = _BATCH
        while count == _BATCH:
            count = check(lib.spn_window_pop(self._window, self._outcomes, _BATCH, ffi.NULL, 0))
            for _, status, _, _, code, sequence, attempts in _OUTCOME.iter_unpack(
                ffi.buffer(self._outcomes)[: count * _OUTCOME.size]
            ):
                live = self._held if sequence in self._held else self._in_flight
                record = live.get(sequence)
                if record is not None:
                    why = error or error_of(status, code, attempts, record[0], self._timeout)
                    del live[sequence]
                    self._ready.append((record, why, b"", 0))

    def _give_up_interrupted(self) -> None:
        """End the requests that the window knows nothing of: the exception of a signal handler
        has come between the window's word and them.
        """
        for live in self._held, self._in_flight:
            for sequence, record in list(live.items()):
                outcome = (record, interrupted(), b"", 0)
                del live[sequence]
                self._ready.append(outcome)

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
        self._take_ended(error)
        if not self._has_closed:
            self.deliver()

    def _refuse(self, record: Record) -> None:
        """Raise for a request that met a closed connection, and tell the others."""
        rest = [ended for ended in self._ready if ended[0] is not record]
        self._ready.clear()
        self._ready.extend(rest)
        self.deliver()
        raise ConnectionClosedError


def _answers(data: bytes, raw: bytes, offset: int) -> bool:
    """Return whether a reply is as long as it must be, if its request is to read."""
    length = lib.spn_scp_reply_length(data, len(data))
    return length in (-1, len(raw) - offset - _REPLY_HEADER)


def _may_repeat(record: Record) -> bool:
    """Return whether a board may execute the request twice without harm."""
    request, _, _, data = record
    own = getattr(request, "is_idempotent", None)
    return bool(lib.spn_scp_may_repeat(data, len(data)) if own is None else own)
