# SPDX-License-Identifier: Apache-2.0
"""Unicast IPv6 on loopback; skipped where the kernel has none."""

from __future__ import annotations

import socket

import packets as p
import pytest
from patience import PATIENCE
from receiving import bind, free_port, send, small_heaps

import pyspin
import pyspin.recv


def try_ipv6() -> str:
    """Return why there is no IPv6, or an empty string."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        return f"no IPv6 on loopback: {error}"
    return ""


NO_IPV6 = try_ipv6()
pytestmark = pytest.mark.skipif(bool(NO_IPV6), reason=NO_IPV6)


def test_a_host_by_its_address() -> None:
    port = free_port("::1", socket.AF_INET6)
    with pyspin.recv.Stream(pyspin.ThreadPool()) as stream:
        stream.add_udp_reader(port, bind_hostname="::1")
        send(small_heaps(1), port, "::1", socket.AF_INET6)
        assert stream.get(timeout=PATIENCE).cnt == 1


@pytest.mark.parametrize("host", ["::1", "::", ""])
def test_the_callers_own_socket(host: str) -> None:
    with pyspin.recv.Stream(pyspin.ThreadPool()) as stream:
        port = bind(stream, host, socket.AF_INET6)
        payload = bytes(20_000)
        send(p.heap_packets(1, payload, size=1400), port, "::1", socket.AF_INET6)
        assert stream.get(timeout=PATIENCE).received_length == 20_000
