# SPDX-License-Identifier: Apache-2.0
"""What became of a pipeline's requests, brought to their callbacks."""

from __future__ import annotations

import inspect
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

# A request with its two callbacks.
Record = tuple[Any, Any, Any]
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

    def deliver(self, outcomes: Iterable[Outcome]) -> None:
        """Call back, or, inside a callback, leave that to the call that is under way."""
        self._ready.extend(outcomes)
        if not self._is_delivering:
            self.deliver_ready()

    def deliver_ready(self) -> None:
        """Call back for all that is there. What an error callback raises passes through."""
        ready = self._ready
        was_delivering, self._is_delivering = self._is_delivering, True
        try:
            while ready:
                (request, callback, error_callback), error, raw, offset = ready.popleft()
                try:
                    if error is not None:
                        raise error
                    response = request.get_scp_response()
                    response.read_bytestring(raw, offset)
                    if callback is not None:
                        callback(response)
                except Exception as caught:
                    self.report(request, error_callback, caught)
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
