# SPDX-License-Identifier: Apache-2.0
"""The window of a pipeline, driven in C over the socket of pyspin's own connection."""

from __future__ import annotations

import errno
import struct
from typing import Any

from pyspin._ffi import check, ffi, lib
from pyspin.messages import AbstractSCPRequest, ConnectionClosedError

from .link import link_of, new_window, sequences_of_link
from .window_errors import error_of

# spn_scp_outcome: token, status, offset, length, code, sequence, attempts
_OUTCOME = struct.Struct("=QiIHHHH")
_BATCH = 64
_DATA = _BATCH * 282
# How long a wait in C may last; it ends early for a signal, so this is not felt.
_WAIT_MS = 1000
_PAD = 2

Settings = tuple["int | None", "int | None", int, float]
# A request with its two callbacks, as the pipeline keeps it; what became of it: an error or
# None, then the datagram of the reply and the offset of the SDP header in it.
Record = tuple[Any, Any, Any]
Outcome = tuple[Record, "BaseException | None", bytes, int]


class LinkDriver:
    """Sends at once, receives in batches."""

    def __init__(self, connection: Any, settings: Settings) -> None:
        self._timeout = settings[3]
        self._link = link_of(connection)
        self.window = new_window(sequences_of_link(self._link), *settings)
        self.render = connection.get_scp_data
        self.records: dict[int, Record] = {}
        self._token = 0
        self._outcomes = ffi.new("spn_scp_outcome[]", _BATCH)
        self._outcome_bytes = ffi.buffer(self._outcomes)
        self._data = ffi.new("uint8_t[]", _DATA)
        self._data_bytes = ffi.buffer(self._data)

    @property
    def count(self) -> int:
        """How many requests have not come back from `wait`."""
        return len(self.records)

    def size_of(self, request: Any, data: bytes) -> int:
        """Return the bytes of a request's datagram."""
        return len(data)

    def offer(self, record: Record, data: bytes) -> bool:
        """Send a request, unless the window is full.

        ConnectionClosedError if the connection is closed.
        """
        request = record[0]
        token = self._token
        try:
            may_repeat = request.is_idempotent
        except AttributeError:
            may_repeat = lib.spn_scp_may_repeat(data, len(data))
        sequence = lib.spn_link_send(self._link, self.window, token, data, len(data), may_repeat)
        if sequence >= 0:
            self._token = token + 1
            self.records[token] = record
            if isinstance(request, AbstractSCPRequest):
                request.set_sequence(sequence)
            else:
                request.scp_request_header.sequence = sequence
            return True
        if sequence == -errno.EAGAIN:
            return False
        if sequence == lib.SPN_ESTOPPED:
            raise ConnectionClosedError
        if sequence == -errno.EINVAL:
            raise ValueError(f"a request must have 26 to 282 bytes, not {len(data)}")
        check(sequence)
        return False

    def wait(self, until_room: bool) -> list[Outcome]:
        """Wait until requests have ended or, if asked to, until one more may be offered.

        It may also return because something else is to be looked at, a signal for one.
        """
        count = lib.spn_link_run(
            self._link,
            self.window,
            _WAIT_MS,
            until_room,
            self._outcomes,
            _BATCH,
            self._data,
            _DATA,
        )
        if count <= 0:
            if count not in (0, -errno.EINTR, lib.SPN_ESTOPPED):
                check(count)
            return []
        # Copies: a callback may come back here and use the buffers again.
        table = _OUTCOME.iter_unpack(self._outcome_bytes[: count * _OUTCOME.size])
        data = self._data_bytes[:]
        take = self.records.pop
        outcomes: list[Outcome] = []
        for token, status, offset, length, code, _, attempts in table:
            record = take(token)
            error = (status and error_of(status, code, attempts, record[0], self._timeout)) or None
            outcomes.append((record, error, data[offset : offset + length], _PAD))
        return outcomes
