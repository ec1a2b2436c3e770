# SPDX-License-Identifier: Apache-2.0
"""Multicast on loopback, IPv4 and IPv6; skipped where the kernel refuses it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
from patience import PATIENCE
from receiving import free_port, small_heaps

import pyspin
import pyspin.recv

GROUP4 = "239.255.88.88"
GROUP6 = "ff12::8888"


def send4(datagrams: list[bytes], port: int, group: str = GROUP4) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        for datagram in datagrams:
            sender.sendto(datagram, (group, port))


def send6(datagrams: list[bytes], port: int, interface: int) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        index = struct.pack("@I", interface)
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        for datagram in datagrams:
            sender.sendto(datagram, (GROUP6, port))


def try_ipv4() -> str:
    """Return why there is no IPv4 multicast, or an empty string."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((GROUP4, 0))
            request = socket.inet_aton(GROUP4) + socket.inet_aton("127.0.0.1")
            probe.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
            probe.settimeout(2)
            send4([b"x"], probe.getsockname()[1])
            probe.recv(1)
    except OSError as error:
        return f"no IPv4 multicast on loopback: {error}"
    return ""


def try_ipv6(interface: int) -> str:
    """Return why there is no IPv6 multicast on an interface, or an empty string."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((GROUP6, 0, 0, interface))
            request = socket.inet_pton(socket.AF_INET6, GROUP6) + struct.pack("@I", interface)
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
            probe.settimeout(2)
            send6([b"x"], probe.getsockname()[1], interface)
            probe.recv(1)
    except OSError as error:
        return f"{error}"
    return ""


NO_IPV4 = try_ipv4()
# Many machines have no route for IPv6 multicast on their loopback interface; what is sent on
# another is looped back as well.
WHY_NOT = {index: try_ipv6(index) for index, _ in socket.if_nameindex()}
IPV6_INTERFACE = next((index for index, why in WHY_NOT.items() if not why), 0)
NO_IPV6 = "" if IPV6_INTERFACE else f"no IPv6 multicast: {WHY_NOT}"
needs_ipv4 = pytest.mark.skipif(bool(NO_IPV4), reason=NO_IPV4)
needs_ipv6 = pytest.mark.skipif(bool(NO_IPV6), reason=NO_IPV6)


@pytest.fixture
def stream() -> Iterator[pyspin.recv.Stream]:
    with pyspin.recv.Stream(pyspin.ThreadPool()) as stream:
        yield stream


def cnt(stream: pyspin.recv.Stream) -> int:
    return stream.get(timeout=PATIENCE).cnt


@needs_ipv4
def test_a_group_on_an_interface_by_address(stream: pyspin.recv.Stream) -> None:
    port = free_port()
    stream.add_udp_reader(GROUP4, port, interface_address="127.0.0.1")
    send4(small_heaps(1), port)
    assert cnt(stream) == 1


@needs_ipv4
def test_the_documented_positions_hold(stream: pyspin.recv.Stream) -> None:
    port = free_port()
    stream.add_udp_reader(GROUP4, port, 9200, 65536, "127.0.0.1")
    send4(small_heaps(1), port)
    assert cnt(stream) == 1


@needs_ipv4
def test_streams_share_a_group_and_port() -> None:
    port = free_port()
    pool = pyspin.ThreadPool()
    with pyspin.recv.Stream(pool) as first, pyspin.recv.Stream(pool) as second:
        for stream in (first, second):
            stream.add_udp_reader(multicast_group=GROUP4, port=port, interface_address="127.0.0.1")
        send4(small_heaps(1), port)
        assert (cnt(first), cnt(second)) == (1, 1)


@needs_ipv4
def test_another_group_on_the_port_is_not_heard(stream: pyspin.recv.Stream) -> None:
    port = free_port()
    stream.add_udp_reader(GROUP4, port, interface_address="127.0.0.1")
    with pyspin.recv.Stream(pyspin.ThreadPool()) as other:
        other.add_udp_reader("239.255.88.89", port, interface_address="127.0.0.1")
        send4(small_heaps(1, first=5), port, "239.255.88.89")
        assert cnt(other) == 5
        send4(small_heaps(1, first=6), port)
        assert cnt(stream) == 6


def has_default_route(group: str, family: socket.AddressFamily) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((group, 1))
    except OSError:
        return False
    return True


@pytest.mark.skipif(
    bool(NO_IPV4) or not has_default_route(GROUP4, socket.AF_INET),
    reason=NO_IPV4 or "no route for IPv4 multicast",
)
@pytest.mark.parametrize(
    "options", [{"bind_hostname": GROUP4}, {"multicast_group": GROUP4, "interface_address": ""}]
)
def test_the_system_chooses_the_interface(
    stream: pyspin.recv.Stream, options: dict[str, str]
) -> None:
    port = free_port()
    stream.add_udp_reader(port=port, **options)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(small_heaps(1)[0], (GROUP4, port))
    assert cnt(stream) == 1


@needs_ipv6
def test_an_ipv6_group_on_an_interface_by_index(stream: pyspin.recv.Stream) -> None:
    port = free_port("::", socket.AF_INET6)
    stream.add_udp_reader(GROUP6, port, interface_index=IPV6_INTERFACE)
    send6(small_heaps(1), port, IPV6_INTERFACE)
    assert cnt(stream) == 1


@needs_ipv6
def test_the_documented_positions_hold_for_ipv6(stream: pyspin.recv.Stream) -> None:
    port = free_port("::", socket.AF_INET6)
    stream.add_udp_reader(GROUP6, port, 9200, 65536, IPV6_INTERFACE)
    send6(small_heaps(1), port, IPV6_INTERFACE)
    assert cnt(stream) == 1


@pytest.mark.parametrize(
    ("group", "options"),
    [
        ("127.0.0.1", {}),
        ("127.0.0.1", {"interface_address": "127.0.0.1"}),
        ("::1", {"interface_index": 0}),
        (GROUP6, {"interface_address": "127.0.0.1"}),
        (GROUP4, {"interface_index": 1}),
    ],
)
def test_what_is_no_group_of_the_protocol(
    stream: pyspin.recv.Stream, group: str, options: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match="multicast_group must be an IPv"):
        stream.add_udp_reader(group, 8888, **options)


def test_an_interface_that_does_not_exist(stream: pyspin.recv.Stream) -> None:
    with pytest.raises(OSError, match="cannot receive") as caught:
        stream.add_udp_reader(GROUP4, free_port(), interface_address="240.0.0.1")
    assert isinstance(caught.value, RuntimeError)


def test_one_interface_at_a_time(stream: pyspin.recv.Stream) -> None:
    with pytest.raises(TypeError, match="exclude each other"):
        stream.add_udp_reader(GROUP4, 8888, interface_address="", interface_index=1)
    with pytest.raises(TypeError, match="exclude each other"):
        stream.add_udp_reader(GROUP6, 8888, 9200, 0, 1, interface_index=1)


@pytest.mark.parametrize("port", [-1, 65536, "x"])
def test_what_is_no_port_is_a_type_error(stream: pyspin.recv.Stream, port: object) -> None:
    with pytest.raises(TypeError):
        stream.add_udp_reader(GROUP4, port)  # type: ignore[call-overload]
