# SPDX-License-Identifier: Apache-2.0
"""Many SCP requests in progress at a time over one connection."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pyspin._ffi import ffi
from pyspin.arguments import instance

from .link_driver import LinkDriver
from .method_driver import MethodDriver
from .scamp import SCAMPConnection
from .token_bucket import TokenBucket

if TYPE_CHECKING:
    from typing_extensions import Self

# The bytes of a request before its data.
_HEADER = 26


class SCPRequestPipeLine:
    """Sends SCP requests and calls back with their responses, several in progress at a time.

    >>> with SCAMPConnection(remote_host="spinn-4") as connection:       # doctest: +SKIP
    ...     pipeline = SCPRequestPipeLine(connection, n_channels=8, intermediate_channel_waits=7)
    ...     for address in range(0x60000000, 0x60010000, 256):
    ...         pipeline.send_request(ReadMemory((0, 0, 0), address, 256), take, complain)
    ...     pipeline.finish()

    Callbacks run in the thread that calls `send_request` or `finish`, inside those calls. They
    may send more requests. Not thread safe; but pipelines of different threads may share a
    connection of pyspin's.

    A lost request is not waited for until its time is up, if it may be executed twice without
    harm (see ``docs/scp.md``): once three later ones have been answered, it is sent again. Every
    request has its own time limit; there is no timer that sends them all again.
    """

    def __init__(
        self,
        connection: Any,
        n_channels: int | None = 1,
        intermediate_channel_waits: int | None = 0,
        n_retries: int = 10,
        packet_timeout: float = 1.0,
        *,
        token_bucket: TokenBucket | None = None,
    ) -> None:
        """Make a pipeline over `connection`.

        `connection` is a `SCAMPConnection`, which C drives, or any object that has
        `get_scp_data(request)`, `send(data)` and `receive_scp_response(timeout)`.
        `n_channels` is how many requests may be in progress; None finds out what the board
        bears, beginning with 8. When so many are, no more are sent before only
        `intermediate_channel_waits` are left; None, and every value when `n_channels` is None,
        stands for one less than the channels. A request is sent at most ``n_retries + 1`` times,
        and given up if the last of them was not answered within `packet_timeout` seconds.
        `token_bucket` paces it: each request takes as many tokens as its datagram has bytes.

        ValueError if an argument is out of range, TypeError if it is of a wrong kind.
        """
        settings = (n_channels, intermediate_channel_waits, n_retries, packet_timeout)
        if token_bucket is not None:
            instance("token_bucket", token_bucket, TokenBucket)
        self._bucket = token_bucket
        self._driver: LinkDriver | MethodDriver
        if _is_ours(connection):
            self._driver = LinkDriver(connection, settings)
        else:
            self._driver = MethodDriver(connection, settings)

    def send_request(
        self,
        request: Any,
        callback: Callable[[Any], Any] | None,
        error_callback: Callable[..., Any],
    ) -> None:
        """Send a request, or wait first until the window has room for it.

        `callback` is called with the response, or is None. `error_callback` is called when
        there is none, when it is not the expected one, or when `callback` raises: with (request,
        exception, traceback object, connection) if it takes four arguments, or with (request,
        exception, list of (filename, line number, function name, text)) if it takes three.

        The request must not be in progress already. ConnectionClosedError if the connection is
        closed, SpinnakerIOError if 32 767 requests are in progress over it, ForkedError in a child
        of the process that made the pipeline; exceptions of error callbacks pass through.
        """
        if callback is not None and not callable(callback):
            raise TypeError(f"callback must be callable or None, not {callback!r}")
        if not callable(error_callback):
            raise TypeError(f"error_callback must be callable, not {error_callback!r}")
        if self._bucket is not None:
            size = _HEADER + len(getattr(request, "data", None) or b"")
            if not self._bucket.consume(size):
                raise ValueError(f"token_bucket has no {size} tokens and never will")
        self._driver.send(request, callback, error_callback)

    def finish(self) -> None:
        """Wait until every request has been answered or given up, and its callback called.

        More requests may be sent afterwards.
        """
        self._driver.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish, unless an exception is on its way."""
        if kind is None:
            self.finish()

    @property
    def n_channels(self) -> int:
        """The requests that may be in progress at a time; as it is now if found automatically."""
        return int(self._driver.stats().channels)

    @property
    def n_resent(self) -> int:
        """How often a request was sent again, for any reason."""
        return int(self._driver.stats().resent)

    @property
    def n_retry_code_resent(self) -> int:
        """How often a request was sent again because the board's answer asked for it.

        These answers are RC_LEN, RC_TIMEOUT, RC_P2P_TIMEOUT, RC_P2P_NOREPLY and RC_P2P_BUSY.
        """
        return int(self._driver.stats().resent_retry_code)

    @property
    def n_timeouts(self) -> int:
        """How often the time of a request was up, those that were then given up included.

        A request that is sent again because three later ones were answered is no timeout.
        """
        return int(self._driver.stats().timeouts)

    @property
    def statistics(self) -> dict[str, int]:
        """All counters of the window, by the names that ``docs/scp.md`` explains."""
        stats = self._driver.stats()
        counters = {name: int(getattr(stats, name)) for name, _ in ffi.typeof(stats[0]).fields}
        counters["ignored_length"] += self._driver.n_wrong_length
        return {**counters, "ignored_malformed": self._driver.n_malformed}


def _is_ours(connection: Any) -> bool:
    """Return whether C may work on the connection's socket, as nothing overrides its methods."""
    kind = type(connection)
    return isinstance(connection, SCAMPConnection) and all(
        getattr(kind, name) is getattr(SCAMPConnection, name)
        for name in ("send", "receive", "receive_scp_response")
    )
