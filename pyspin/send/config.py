# SPDX-License-Identifier: Apache-2.0
"""How a stream cuts heaps into packets, and how fast it sends them."""

from __future__ import annotations

from typing import final

from ..arguments import integer, number

_MOST = 2**63 - 1


@final
class StreamConfig:
    """Settings of a sending stream, which takes a copy when it is made.

    - `max_packet_size`: largest UDP payload in bytes, SPEAD headers included; rounded down
      to a multiple of 8 in use. The default suits Ethernet with IPv4 (1500 - 28). Below 56
      no heap can be sent, which `send_heap` says.
    - `rate`: bytes a second, SPEAD headers included but not those of UDP; 0 for no limit.
    - `burst_size`: bytes sent between looks at the clock.
    - `max_heaps`: heaps that may be queued or under way, at least 1; more are refused.
    - `burst_rate_ratio`: at least 1. After a delay of more than some microseconds the stream
      catches up at no more than this times `rate`.

    A value that is out of range is a `ValueError`, one of a wrong type a `TypeError`.
    """

    __slots__ = ("_burst_rate_ratio", "_burst_size", "_max_heaps", "_max_packet_size", "_rate")

    DEFAULT_MAX_PACKET_SIZE = 1472
    DEFAULT_RATE = 0.0
    DEFAULT_BURST_SIZE = 65536
    DEFAULT_MAX_HEAPS = 4
    DEFAULT_BURST_RATE_RATIO = 1.05

    def __init__(
        self,
        max_packet_size: int = DEFAULT_MAX_PACKET_SIZE,
        rate: float = DEFAULT_RATE,
        burst_size: int = DEFAULT_BURST_SIZE,
        max_heaps: int = DEFAULT_MAX_HEAPS,
        burst_rate_ratio: float = DEFAULT_BURST_RATE_RATIO,
    ) -> None:
        self.max_packet_size = max_packet_size
        self.rate = rate
        self.burst_size = burst_size
        self.max_heaps = max_heaps
        self.burst_rate_ratio = burst_rate_ratio

    @property
    def max_packet_size(self) -> int:
        """Largest packet in bytes."""
        return self._max_packet_size

    @max_packet_size.setter
    def max_packet_size(self, value: int) -> None:
        self._max_packet_size = integer("max_packet_size", value, 0, _MOST)

    @property
    def rate(self) -> float:
        """Bytes a second, 0 for no limit."""
        return self._rate

    @rate.setter
    def rate(self, value: float) -> None:
        self._rate = _number("rate", value, 0.0)

    @property
    def burst_size(self) -> int:
        """Bytes sent between looks at the clock."""
        return self._burst_size

    @burst_size.setter
    def burst_size(self, value: int) -> None:
        self._burst_size = integer("burst_size", value, 0, _MOST)

    @property
    def max_heaps(self) -> int:
        """Heaps that may be in flight."""
        return self._max_heaps

    @max_heaps.setter
    def max_heaps(self, value: int) -> None:
        self._max_heaps = integer("max_heaps", value, 1, _MOST)

    @property
    def burst_rate_ratio(self) -> float:
        """How much faster than `rate` a delay is caught up."""
        return self._burst_rate_ratio

    @burst_rate_ratio.setter
    def burst_rate_ratio(self, value: float) -> None:
        self._burst_rate_ratio = _number("burst_rate_ratio", value, 1.0)

    @property
    def burst_rate(self) -> float:
        """The rate of catching up, `rate` times `burst_rate_ratio`."""
        return self._rate * self._burst_rate_ratio

    def copy(self) -> StreamConfig:
        """Return an equal one."""
        return StreamConfig(*self._values())

    def _values(self) -> tuple[int, float, int, int, float]:
        return (
            self.max_packet_size, self.rate, self.burst_size, self.max_heaps,
            self.burst_rate_ratio,
        )  # fmt: skip

    def __repr__(self) -> str:
        size, rate, burst, heaps, ratio = self._values()
        return (
            f"StreamConfig(max_packet_size={size}, rate={rate}, burst_size={burst}, "
            f"max_heaps={heaps}, burst_rate_ratio={ratio})"
        )


def _number(name: str, value: float, least: float) -> float:
    found = number(name, value)
    if found < least:
        raise ValueError(f"{name} must be at least {least}, not {found}")
    return found
