# SPDX-License-Identifier: Apache-2.0
"""Streams fed from UDP sockets on loopback."""

from __future__ import annotations

import errno
import gc
import logging
import os
import socket
from pathlib import Path

import packets as p
import pytest
from patience import PATIENCE
from receiving import NO_HOST, bind, free_port, send, small_heaps, wait_until

import pyspin
import pyspin.recv


@pytest.fixture
def stream():
    with pyspin.recv.Stream(pyspin.ThreadPool(), max_heaps=16, ring_heaps=256) as stream:
        yield stream


def cnts(stream: pyspin.recv.Stream, count: int) -> list[int]:
    return [stream.get(timeout=PATIENCE).cnt for _ in range(count)]


def test_datagrams_become_heaps(stream: pyspin.recv.Stream) -> None:
    payload = bytes(range(256)) * 16
    send(p.heap_packets(5, payload, [p.addressed(0x1000, 0)], size=1000), bind(stream))
    heap = stream.get(timeout=PATIENCE)
    assert heap.cnt == 5
    assert bytes(heap.get_items()[0]) == payload
    stats = stream.stats
    assert (stats.packets, stats.datagrams, stats.heaps) == (5, 5, 1)
    assert 1 <= stats.max_batch <= 5
    assert 1 <= stats.calls <= stats.messages <= 5
    assert stats.bytes == sum(map(len, p.heap_packets(5, payload, [bytes(8)], size=1000)))


def test_a_port_by_number(stream: pyspin.recv.Stream) -> None:
    port = free_port()
    stream.add_udp_reader(port)
    send(small_heaps(1), port)
    assert cnts(stream, 1) == [1]


def test_a_port_by_keyword_and_host(stream: pyspin.recv.Stream) -> None:
    port = free_port()
    stream.add_udp_reader(port=port, max_size=1000, buffer_size=0, bind_hostname="127.0.0.1")
    send(small_heaps(1), port)
    assert cnts(stream, 1) == [1]


def test_the_documented_positions_hold(stream: pyspin.recv.Stream) -> None:
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stream.add_udp_reader(0, 9200, 65536, "127.0.0.1", own)
    host, port = own.getsockname()
    own.close()
    assert host == "127.0.0.1"
    send(small_heaps(1), port)
    assert cnts(stream, 1) == [1]


def test_several_readers_of_one_stream(stream: pyspin.recv.Stream) -> None:
    first, second = bind(stream), bind(stream)
    packets = p.heap_packets(1, bytes(3000), size=1000)
    send(packets[:1], first)
    send(packets[1:], second)
    assert stream.get(timeout=PATIENCE).received_length == 3000


@pytest.mark.parametrize("contiguous_only", [True, False])
def test_a_users_stop_drops_and_counts_partial_heaps(contiguous_only: bool) -> None:
    stream = pyspin.recv.Stream(pyspin.ThreadPool(), contiguous_only=contiguous_only)
    send([p.data_packet(cnt, b"abcd", 0, 8) for cnt in (1, 2, 3)], bind(stream))
    wait_until(lambda: stream.stats.packets == 3)
    assert stream.stats.heaps == 0
    stream.stop()
    stats = stream.stats
    assert (stats.heaps, stats.incomplete_heaps_flushed, stats.heaps_dropped_stop) == (3, 3, 3)
    assert list(stream) == []


def test_what_a_full_socket_buffer_costs_is_counted() -> None:
    with pyspin.recv.Stream(pyspin.ThreadPool(), ring_heaps=1) as stream:
        port = bind(stream, buffer_size=4096)
        send(small_heaps(1000), port)  # the ring is full, so nobody reads what comes after
        # The kernel tells of a loss with a datagram that comes later.
        last = small_heaps(1, 5000)
        sent = 1000
        cnt = 0
        while cnt != 5000:
            try:
                cnt = stream.get(timeout=0.1).cnt
            except pyspin.Empty:
                send(last, port)
                sent += 1
        stats = stream.stats
    assert stats.kernel_drops > 0
    assert 1001 <= stats.datagrams + stats.kernel_drops <= sent


def test_a_buffer_size_of_zero_leaves_the_socket_s(stream: pyspin.recv.Stream) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        before = own.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        stream.add_udp_reader(0, bind_hostname="127.0.0.1", socket=own, buffer_size=0)
        assert own.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == before


def test_busy_poll_is_in_seconds(stream: pyspin.recv.Stream) -> None:
    so_busy_poll = 46  # <asm-generic/socket.h>, in microseconds; the socket module lacks it
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        try:
            own.setsockopt(socket.SOL_SOCKET, so_busy_poll, 1)
        except OSError as error:
            pytest.skip(f"the kernel refuses SO_BUSY_POLL: {error}")
        stream.add_udp_reader(0, bind_hostname="127.0.0.1", socket=own, busy_poll=50e-6)
        assert own.getsockopt(socket.SOL_SOCKET, so_busy_poll) == 50


def test_the_callers_own_socket_keeps_its_options(stream: pyspin.recv.Stream) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stream.add_udp_reader(0, bind_hostname="127.0.0.1", socket=own, buffer_size=0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            other.bind(own.getsockname())


def test_a_bound_socket_is_refused(stream: pyspin.recv.Stream) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="cannot receive") as caught:
            stream.add_udp_reader(0, socket=own)
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize(
    ("family", "kind"),
    [(socket.AF_INET, socket.SOCK_STREAM), (socket.AF_UNIX, socket.SOCK_DGRAM)],
)
def test_socket_must_be_of_udp(stream: pyspin.recv.Stream, family: int, kind: int) -> None:
    with (
        socket.socket(family, kind) as own,
        pytest.raises(ValueError, match="socket must be a UDP socket"),
    ):
        stream.add_udp_reader(0, socket=own)
    with pytest.raises(TypeError, match="socket must be"):
        stream.add_udp_reader(0, socket=3)  # type: ignore[arg-type]


def test_reuse_port_shares_a_port(stream: pyspin.recv.Stream) -> None:
    port = bind(stream, reuse_port=True)
    stream.add_udp_reader(port, bind_hostname="127.0.0.1", reuse_port=True)
    for _ in range(8):  # each sender has a port of its own, by which the kernel chooses
        send(small_heaps(1), port)
    assert cnts(stream, 8) == [1] * 8


@pytest.mark.parametrize("port", [-1, 65536, 2**40, "x", 1.5, None])
def test_what_is_no_port_is_a_type_error(stream: pyspin.recv.Stream, port: object) -> None:
    with pytest.raises(TypeError):
        stream.add_udp_reader(port)  # type: ignore[call-overload]


def network_error(stream: pyspin.recv.Stream, *args: object, **options: object) -> OSError:
    with pytest.raises(OSError, match="cannot") as caught:
        stream.add_udp_reader(*args, **options)
    assert isinstance(caught.value, RuntimeError)
    return caught.value


def test_a_port_in_use(stream: pyspin.recv.Stream) -> None:
    port = bind(stream)
    error = network_error(stream, port, bind_hostname="127.0.0.1")
    assert error.errno == errno.EADDRINUSE
    assert str(port) in str(error)


def test_a_host_that_does_not_resolve(stream: pyspin.recv.Stream) -> None:
    error = network_error(stream, 8888, bind_hostname=NO_HOST)
    assert error.errno
    assert NO_HOST in str(error)


def test_a_host_that_is_not_ours(stream: pyspin.recv.Stream) -> None:
    # Of a block that nobody may use.
    error = network_error(stream, 8888, bind_hostname="240.0.0.1")
    assert error.errno == errno.EADDRNOTAVAIL


def may_bind_every_port() -> bool:
    first = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    return os.geteuid() == 0 or (first.exists() and int(first.read_text()) <= 22)


@pytest.mark.skipif(may_bind_every_port(), reason="this process may bind every port")
def test_a_privileged_port(stream: pyspin.recv.Stream) -> None:
    assert network_error(stream, 22).errno == errno.EACCES


def test_settings_out_of_range(stream: pyspin.recv.Stream) -> None:
    with pytest.raises(ValueError, match="max_size must be at least 1, not 0"):
        stream.add_udp_reader(8888, max_size=0)
    with pytest.raises(ValueError, match="buffer_size must be at least 0, not -1"):
        stream.add_udp_reader(8888, buffer_size=-1)
    with pytest.raises(ValueError, match="busy_poll"):
        stream.add_udp_reader(8888, busy_poll=-1)


def test_a_refused_buffer_size_is_a_warning(
    stream: pyspin.recv.Stream, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "pyspin"):
        bind(stream, buffer_size=2**30)
    assert "buffer of 1073741824 bytes" in caplog.text
    assert caplog.records[0].name == "pyspin"


def test_buffer_size_is_set(stream: pyspin.recv.Stream, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        stream.add_udp_reader(0, buffer_size=20_000, socket=own)
        assert own.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 40_000
    assert not caplog.records


def test_stop_frees_the_port() -> None:
    stream = pyspin.recv.Stream(pyspin.ThreadPool())
    port = bind(stream)
    stream.stop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as next_one:
        next_one.bind(("127.0.0.1", port))


def test_a_stop_item_frees_the_port() -> None:
    stream = pyspin.recv.Stream(pyspin.ThreadPool())
    port = bind(stream)
    send([p.stop_packet(1)], port)
    assert list(stream) == []

    def is_free() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as next_one:
            try:
                next_one.bind(("127.0.0.1", port))
            except OSError:
                return False
            return True

    wait_until(is_free, "free port")


def test_errors_leave_no_descriptor(stream: pyspin.recv.Stream) -> None:
    gc.collect()  # what earlier tests left in cycles would go in the middle of this one
    before = len(os.listdir("/proc/self/fd"))
    port = bind(stream)
    for _ in range(3):
        network_error(stream, port, bind_hostname="127.0.0.1")
    assert len(os.listdir("/proc/self/fd")) == before + 1


def test_bad_datagrams_are_counted_by_reason(stream: pyspin.recv.Stream) -> None:
    good = p.data_packet(1, b"abcd", 0, 4)
    bad = [
        b"",
        b"S",
        b"X" + good[1:],
        p.header(3, widths=b"\3\4") + good[8:],
        p.header(100),
        p.packet([p.immediate(p.HEAP_CNT, 1)]),
        good[:-1],
        p.data_packet(1, b"abcd", 1, 4),
        good + b"x",
        p.data_packet(1, bytes(3000), 0, 3000),
    ]
    send([*bad, good], bind(stream, max_size=2000))
    assert stream.get(timeout=PATIENCE).cnt == 1
    stats = stream.stats
    reasons = ["short", "magic", "widths", "header", "missing", "truncated", "heap_length"]
    reasons += ["size_mismatch", "oversize"]
    rejected = {why: getattr(stats, f"rejected_{why}") for why in reasons}
    assert rejected == {**dict.fromkeys(reasons, 1), "short": 2}
    assert (stats.packets, stats.heaps, stats.datagrams) == (1, 1, 11)


@pytest.mark.parametrize("gro", [True, False])
@pytest.mark.parametrize("scatter", [True, False])
@pytest.mark.parametrize("max_latency", [0.0, 200e-6])
def test_settings_change_nothing_that_is_received(
    gro: bool, scatter: bool, max_latency: float
) -> None:
    payload = os.urandom(50_000)
    options = {"scatter": scatter, "max_latency": max_latency}
    with pyspin.recv.Stream(pyspin.ThreadPool(), **options) as stream:
        port = bind(stream, gro=gro, busy_poll=0.0)
        for cnt in range(5):
            send(p.heap_packets(cnt, payload, [p.addressed(0x1000, 0)], size=8192), port)
            heap = stream.get(timeout=PATIENCE)
            assert heap.cnt == cnt
            assert bytes(heap.get_items()[0]) == payload
