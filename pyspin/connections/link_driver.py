# SPDX-License-Identifier: Apache-2.0
"""The window of a pipeline, driven in C over the socket of pyspin's own connection."""

from __future__ import annotations

import errno
import struct
from typing import Any

from pyspin._ffi import check, ffi, lib

from .link import link_of, new_window, sequences_of_link, stats_of
from .outcomes import Deliverer, Record, Settings
from .window_errors import error_of, interrupted, raise_refusal

# spn_scp_outcome: token, status, offset, length, code, sequence, attempts
_OUTCOME = struct.Struct("=QiIHHHH")
_BATCH = 64
_DATA = _BATCH * 282
# How long a wait in C may last; it ends early for a signal, so this is not felt.
_WAIT_MS = 1000
_PAD = 2


class LinkDriver(Deliverer):
    """Sends at once, receives in batches."""

    # The window sees every datagram and counts those itself.
    n_malformed = 0
    n_wrong_length = 0

    def __init__(self, connection: Any, settings: Settings) -> None:
        super().__init__(connection)
        self._timeout = settings[3]
        self._link = link_of(connection)
        self._window = new_window(sequences_of_link(self._link), *settings)
        self._get_scp_data = connection.get_scp_data
        self._records: dict[int, Record] = {}
        self._token = 0
        self._outcomes = ffi.new("spn_scp_outcome[]", _BATCH)
        self._outcome_bytes = ffi.buffer(self._outcomes)
        self._data = ffi.new("uint8_t[]", _DATA)
        self._data_bytes = ffi.buffer(self._data)

    def send(self, request: Any, callback: Any, error_callback: Any) -> None:
        """Send a request, after waiting until the window has room for it.

        ConnectionClosedError if the connection is closed.
        """
        data = self._get_scp_data(request)
        try:
            may_repeat = request.is_idempotent
        except AttributeError:
            may_repeat = lib.spn_scp_may_repeat(data, len(data))
        link, window, records = self._link, self._window, self._records
        while True:
            # First, and never the same again: a signal may interrupt the next lines.
            token = self._token
            self._token = token + 1
            records[token] = (request, callback, error_callback, data)
            sequence = lib.spn_link_send(link, window, token, data, len(data), may_repeat)
            if sequence >= 0:
                break
            del records[token]
            if sequence == -errno.EINVAL:
                raise ValueError(f"a request must have 26 to 282 bytes, not {len(data)}")
            if sequence != -errno.EAGAIN:
                raise_refusal(sequence)
            self._wait(True)
            self.deliver()
        try:
            set_sequence = request.set_sequence
        except AttributeError:
            request.scp_request_header.sequence = sequence
        else:
            set_sequence(sequence)

    def finish(self) -> None:
        """Wait until every request has ended and its callback has been called."""
        self.deliver_here()
        while self._records:
            if not self._wait(False) and not self.stats().in_progress:
                self._give_up_interrupted()
            self.deliver_here()

    def stats(self) -> Any:
        """Return the counters of the window."""
        return stats_of(self._window)

    def _give_up_interrupted(self) -> None:
        """End the requests that the window knows nothing of: the exception of a signal handler
        has come between the window's word and their records.
        """
        if self._wait(False):  # of what another thread received just now
            return
        for token, record in list(self._records.items()):
            outcome = (record, interrupted(), b"", 0)
            del self._records[token]
            self._ready.append(outcome)

    def _wait(self, until_room: bool) -> int:
        """Wait until requests have ended or, if asked to, until one more may be offered.

        How many have ended. It may also return because something else is to be looked at, a
        signal for one.
        """
        count = lib.spn_link_run(
            self._link,
            self._window,
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
            return 0
        # Copies: a callback may come back here and use the buffers again.
        last = self._outcomes[count - 1]
        data = self._data_bytes[: last.offset + last.length]
        table = _OUTCOME.iter_unpack(self._outcome_bytes[: count * _OUTCOME.size])
        records, keep = self._records, self._ready.append
        for token, status, offset, length, code, _, attempts in table:
            record = records[token]
            error = (status and error_of(status, code, attempts, record[0], self._timeout)) or None
            outcome = (record, error, data[offset : offset + length], _PAD)
            # No signal is handled before the next line has kept it.
            del records[token]
            keep(outcome)
        return count
