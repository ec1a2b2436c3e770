# SPDX-License-Identifier: Apache-2.0
"""The C link of a connection: made once, shared by its pipelines and bulk transfers.

They must share it, since it holds the connection's sequence numbers: a reply that comes late
for one pipeline is then known as such by the next.
"""

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from pyspin._ffi import check, ffi, lib, own
from pyspin.arguments import index, instance, integer, seconds
from pyspin.messages import ConnectionClosedError, SpinnakerIOError

from .udp import UDPConnection


class Share:
    """What the pipelines over one connection that is not pyspin's have in common."""

    __slots__ = ("drivers", "sequences")

    def __init__(self) -> None:
        out = ffi.new("spn_sequences **")
        check(lib.spn_sequences_new(out))
        self.sequences = own(out[0], lib.spn_sequences_unref)
        # Weakly: they refer to the connection, which must not keep itself.
        self.drivers: WeakSet[Any] = WeakSet()


_lock = threading.Lock()
_links: MutableMapping[Any, Any] = WeakKeyDictionary()
_shares: MutableMapping[Any, Share] = WeakKeyDictionary()


def link_of(connection: Any) -> Any:
    """Return the ``spn_link *`` of one of pyspin's own connections.

    ConnectionClosedError if it is closed, SpinnakerIOError if it has no remote address,
    TypeError if it is not one of ours.
    """
    instance("connection", connection, UDPConnection)
    with _lock:
        link = _links.get(connection)
        if link is None:
            link = _links[connection] = _new_link(connection)
        return link


def _new_link(connection: Any) -> Any:
    if connection.is_closed:
        raise ConnectionClosedError
    if connection.remote_ip_address is None:
        raise SpinnakerIOError("the connection has no remote address to send requests to")
    out = ffi.new("spn_link **")
    try:
        check(lib.spn_link_new(connection.fileno(), out))
    except OSError as error:
        raise SpinnakerIOError(f"cannot open a link: {error.strerror}", error.errno) from error
    return own(out[0], lib.spn_link_unref)


def sequences_of_link(link: Any) -> Any:
    """Return the ``spn_sequences *`` of a link."""
    return own(lib.spn_link_sequences(link), lib.spn_sequences_unref)


def share_of(connection: Any) -> Share:
    """Return the share of any object that serves as a connection."""
    with _lock:
        try:
            share = _shares.get(connection)
        except TypeError:  # not hashable, or not to be referred to weakly
            return Share()
        if share is None:
            share = _shares[connection] = Share()
        return share


def new_window(
    sequences: Any,
    n_channels: int | None,
    intermediate_channel_waits: int | None,
    n_retries: int,
    packet_timeout: float,
) -> Any:
    """Return a new ``spn_window *``. ValueError naming an argument that is out of range."""
    config = window_config(n_channels, intermediate_channel_waits, n_retries, packet_timeout)
    out = ffi.new("spn_window **")
    check(lib.spn_window_new(config, sequences, out))
    return own(out[0], lib.spn_window_free)


def stats_of(window: Any) -> Any:
    """Return the counters of a window as they are now, a ``spn_window_stats *``."""
    stats = ffi.new("spn_window_stats *")
    lib.spn_window_read_stats(window, stats)
    return stats


def window_config(
    n_channels: int | None,
    intermediate_channel_waits: int | None,
    n_retries: int,
    packet_timeout: float,
    *,
    probe: bool = False,
) -> Any:
    """Return a checked ``spn_window_config *``."""
    channels, waits = _AUTOMATIC_CHANNELS, _SLIDING_WAITS
    if intermediate_channel_waits is not None:
        waits = index("intermediate_channel_waits", intermediate_channel_waits)
        if waits < 0:
            raise ValueError(f"intermediate_channel_waits must be at least 0, not {waits}")
    if n_channels is not None:
        channels = integer("n_channels", n_channels, 1, _CHANNELS_MAX)
        if waits >= channels:
            raise ValueError(
                f"intermediate_channel_waits must be less than n_channels={channels}, not {waits}"
            )
    retries = index("n_retries", n_retries)
    if retries < 0:
        raise ValueError(f"n_retries must be at least 0, not {retries}")
    if not seconds("packet_timeout", packet_timeout, _TIMEOUT_MAX) > 0:
        raise ValueError(f"packet_timeout must be positive seconds, not {packet_timeout}")
    return ffi.new(
        "spn_window_config *",
        {
            "channels": channels,
            "waits": waits if channels else _SLIDING_WAITS,
            "retries": min(retries, _RETRIES_MAX),
            "timeout_ns": max(1, int(packet_timeout * 1e9)),
            "probe": probe,
        },
    )


# What the window takes for None.
_AUTOMATIC_CHANNELS = 0
_SLIDING_WAITS = -1
# A window cannot use more than half of the 16-bit sequence numbers; attempts are counted in
# 16 bits too.
_CHANNELS_MAX = 16384
_RETRIES_MAX = 65534
_TIMEOUT_MAX = 1e8
