# SPDX-License-Identifier: Apache-2.0
"""What became of a pipeline's requests, brought to their callbacks."""

from __future__ import annotations

import inspect
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

# A request with its two callbacks, and its datagram.
Record = tuple[Any, Any, Any, bytes]
# What became of it: an error or None, then the datagram of the reply and the offset of the SDP
# header in it.
Outcome = tuple[Record, "BaseException | None", bytes, int]
# n_channels, intermediate_channel_waits, n_retries, packet_timeout
Settings = tuple["int | None", "int | None", int, float]


class Deliverer:
    """Calls back, one at a time: what arrives inside a callback waits until it has returned."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._ready: deque[Outcome] = deque()
        self._is_delivering = False

    def deliver(self, record: Record, error: BaseException | None, raw: bytes, offset: int) -> None:
        """Call back, or, inside a callback, leave that to the call that is under way.

        What an error callback raises passes through.
        """
        ready = self._ready
        if self._is_delivering:
            ready.append((record, error, raw, offset))
            return
        self._is_delivering = True
        try:
            while True:
                request, callback, error_callback, _ = record
                try:
                    if error is not None:
                        raise error
                    response = request.get_scp_response()
                    response.read_bytestring(raw, offset)
                    if callback is not None:
                        callback(response)
                except Exception as caught:
                    self.report(request, error_callback, caught)
                if not ready:
                    return
                record, error, raw, offset = ready.popleft()
        finally:
            self._is_delivering = False

    def deliver_ready(self) -> None:
        """Call back for all that is there, inside a callback too."""
        was_delivering = self._is_delivering
        try:
            while self._ready:
                record, error, raw, offset = self._ready.popleft()
                self._is_delivering = False
                self.deliver(record, error, raw, offset)
        finally:
            self._is_delivering = was_delivering

    def report(self, request: Any, error_callback: Callable[..., Any], error: Exception) -> None:
        """Call an error callback with as many arguments as it takes."""
        trace = error.__traceback__
        if _takes_four(error_callback):
            error_callback(request, error, trace, self._connection)
        else:
            text = [tuple(frame) for frame in traceback.extract_tb(trace)]
            error_callback(request, error, text)


def _takes_four(error_callback: Callable[..., Any]) -> bool:
    """Return whether it takes the connection too; also when that cannot be found out."""
    try:
        signature = inspect.signature(error_callback)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(None, None, None, None)
    except TypeError:
        return False
    return True
