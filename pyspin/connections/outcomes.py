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

    def deliver(self) -> None:
        """Call back for all that is ready; inside a callback leave it to the call under way."""
        if not self._is_delivering:
            self.deliver_here()

    def deliver_here(self) -> None:
        """Call back for all that is ready, inside a callback too."""
        ready = self._ready
        while ready:
            record, error, raw, offset = ready[0]
            self.call_back(ready, 0, record, error, raw, offset)

    def call_back(
        self,
        keeper: Any,
        key: int,
        record: Record,
        error: BaseException | None,
        raw: bytes,
        offset: int,
    ) -> None:
        """Call back for one request; what an error callback raises passes through.

        It stays in ``keeper[key]`` until one of its callbacks is called, so that no exception
        of a signal handler loses it.
        """
        request, callback, error_callback, _ = record
        was_delivering = self._is_delivering
        is_kept = True
        try:
            self._is_delivering = True
            if error is not None:
                raise error
            response = request.get_scp_response()
            response.read_bytestring(raw, offset)
            del keeper[key]
            is_kept = False
            if callback is not None:
                callback(response)
        except Exception as caught:
            arguments = self._report_of(request, error_callback, caught)
            if is_kept:
                del keeper[key]
            error_callback(*arguments)
        finally:
            self._is_delivering = was_delivering

    def _report_of(
        self, request: Any, error_callback: Callable[..., Any], error: Exception
    ) -> tuple[Any, ...]:
        """Return as many arguments for an error callback as it takes."""
        trace = error.__traceback__
        if _takes_four(error_callback):
            return request, error, trace, self._connection
        return request, error, [tuple(frame) for frame in traceback.extract_tb(trace)]


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
