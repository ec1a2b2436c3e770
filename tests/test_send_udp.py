# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import errno
import gc
import select
import socket
import sys
import threading
import weakref

import numpy as np
import pytest
from interrupting import Interruption, interrupted_in
from patience import PATIENCE
from receiving import NO_HOST, free_port
from sending import check_arrives, has_datagram, make_heap, packets_of, receiver

import pyspin
from pyspin import Flavour
from pyspin.errors import Stopped
from pyspin.send import Heap, StreamConfig, UdpStream, udp
from pyspin.threads import ThreadPool

SLOW = StreamConfig(rate=100.0, burst_size=4000, max_heaps=2)
"""A rate at which the second burst of a heap is minutes away."""


@pytest.fixture
def pool():
    with ThreadPool() as pool:
        yield pool


@pytest.mark.parametrize("gso", [True, False])
def test_heaps_arrive_as_they_were_cut(pool, gso):
    heap = make_heap(100000)
    with receiver() as sock:
        with UdpStream(pool, *sock.getsockname(), gso=gso) as stream:
            size = stream.send_heap(heap)
            assert size == sum(map(len, packets_of(heap, 1)))
            check_arrives(sock, heap, 1)
            stream.send_heap(heap, 77)
            stream.send_heap(heap)
            check_arrives(sock, heap, 77)
            check_arrives(sock, heap, 2)
        stats = stream.stats
        assert stats.heaps == 3
        assert stats.bytes == 3 * size
        assert stats.packets == 3 * len(packets_of(heap, 1))
        assert stats.messages <= stats.packets
        assert stats.errors == stats.refused == stats.cancelled == 0


@pytest.mark.parametrize("max_packet_size", [56, 63, 1472, 4000, 8240, 9000, 65507])
def test_packets_of_all_sizes_arrive(pool, max_packet_size):
    heap = make_heap(70000 if max_packet_size > 100 else 700)
    with receiver() as sock:
        config = StreamConfig(max_packet_size)
        with UdpStream(pool, *sock.getsockname(), config) as stream:
            stream.send_heap(heap)
            check_arrives(sock, heap, 1, max_packet_size)


def test_counts_follow_their_sequence(pool):
    heap = Heap(Flavour(4, 64, 16))
    with receiver() as sock, UdpStream(pool, *sock.getsockname()) as stream:
        stream.set_cnt_sequence(0xFFFE, 3)
        for cnt in (0xFFFE, 1, 4):
            stream.send_heap(heap)
            check_arrives(sock, heap, cnt)
        with pytest.raises(ValueError, match="step"):
            stream.set_cnt_sequence(1, 0)
        with pytest.raises(ValueError, match="next"):
            stream.set_cnt_sequence(-1, 1)


def test_substreams(pool):
    heap = make_heap()
    with receiver() as first, receiver() as second:
        further = [second.getsockname()]
        with UdpStream(pool, *first.getsockname(), endpoints=further) as stream:
            assert stream.num_substreams == 2
            stream.send_heap(heap, substream_index=1)
            stream.send_heap(heap)
            check_arrives(second, heap, 1)
            check_arrives(first, heap, 2)
            with pytest.raises(OSError, match="no substream 2"):
                stream.send_heap(heap, substream_index=2)


def test_the_forms_of_later_versions(pool):
    heap = make_heap()
    with receiver() as sock:
        address = sock.getsockname()
        with UdpStream(pool, [address], StreamConfig(1000), 65536) as stream:
            stream.send_heap(heap)
            check_arrives(sock, heap, 1, 1000)
        with UdpStream(pool, endpoints=[address], interface_address="127.0.0.1") as stream:
            stream.send_heap(heap)
            check_arrives(sock, heap, 1)
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with own, UdpStream(pool, own, [address]) as stream:
            stream.send_heap(heap)
            check_arrives(sock, heap, 1)


def test_an_interface_address_is_the_source_of_what_is_no_multicast(pool):
    with receiver() as sock:
        address = sock.getsockname()
        with UdpStream(pool, [address], interface_address="127.0.0.2") as stream:
            stream.send_heap(make_heap(10))
        assert sock.recvfrom(2000)[1][0] == "127.0.0.2"


def test_a_socket_of_the_caller_s_is_duplicated(pool):
    heap = make_heap()
    with receiver() as sock:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.bind(("127.0.0.1", 0))
            source = own.getsockname()
            stream = UdpStream(pool, *sock.getsockname(), StreamConfig(), 65536, own)
        with stream:
            stream.send_heap(heap)
        packet, address = sock.recvfrom(65536)
        assert packet == packets_of(heap, 1)[0]
        assert address == source


def provoke_refusal(sock):
    """Leave the socket with a refusal to report at its next use, or having reported one."""
    with contextlib.suppress(ConnectionRefusedError):
        sock.send(b"x")


def test_nobody_listening_on_a_connected_socket_is_no_error(pool):
    heap = make_heap()
    with receiver() as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.connect(("127.0.0.1", free_port()))
        with UdpStream(pool, *sock.getsockname(), socket=own) as stream:
            for cnt in range(1, 4):
                provoke_refusal(own)
                stream.send_heap(heap)
                check_arrives(sock, heap, cnt)


def test_ipv6(pool):
    heap = make_heap()
    try:
        sock_context = receiver("::1")
        sock = sock_context.__enter__()
    except OSError as error:
        pytest.skip(f"no IPv6 on loopback: {error}")
    try:
        host, port = sock.getsockname()[:2]
        with UdpStream(pool, host, port) as stream:
            stream.send_heap(heap)
            check_arrives(sock, heap, 1)
    finally:
        sock_context.__exit__(None, None, None)


def join_group(sock, group):
    """Receive what is sent to an IPv4 group through loopback, or skip."""
    request = socket.inet_aton(group) + socket.inet_aton("127.0.0.1")
    try:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    except OSError as error:
        pytest.skip(f"no multicast on loopback: {error}")


@pytest.mark.parametrize("positional", [True, False])
def test_ipv4_multicast(pool, positional):
    heap = make_heap()
    group = "239.255.88.88"
    with receiver("0.0.0.0") as sock:
        join_group(sock, group)
        port = sock.getsockname()[1]
        if positional:
            stream = UdpStream(pool, group, port, StreamConfig(), 65536, 0, "127.0.0.1")
        else:
            stream = UdpStream(
                pool, multicast_group=group, port=port, ttl=0, interface_address="127.0.0.1"
            )
        with stream:
            stream.send_heap(heap)
            check_arrives(sock, heap, 1)


def join_group6(sock, group):
    """Receive what is sent to an IPv6 group on this machine; return the interface, or skip."""
    packed = socket.inet_pton(socket.AF_INET6, group)
    reason = "no interfaces"
    for index, name in socket.if_nameindex():
        try:
            request = packed + index.to_bytes(4, sys.byteorder)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 0)
                probe.sendto(b"probe", (group, sock.getsockname()[1]))
            if select.select([sock], [], [], 1.0)[0]:
                assert sock.recv(100) == b"probe"
                return index
            reason = f"{name} does not loop back"
        except OSError as error:
            reason = f"{name}: {error}"
    pytest.skip(f"no IPv6 multicast: {reason}")


@pytest.mark.parametrize("positional", [True, False])
def test_ipv6_multicast(pool, positional):
    heap = make_heap()
    group = "ff12::1234"
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.bind(("::", 0))
        index = join_group6(sock, group)
        port = sock.getsockname()[1]
        if positional:
            stream = UdpStream(pool, group, port, StreamConfig(), 65536, 0, index)
        else:
            stream = UdpStream(pool, group, port, ttl=0, interface_index=index)
        with stream:
            stream.send_heap(heap)
            check_arrives(sock, heap, 1)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("127.0.0.1", 65536), {}, TypeError, "port"),
        (("127.0.0.1", "80"), {}, TypeError, "port"),
        (("127.0.0.1", 0), {}, TypeError, "port must be an int in 1..65535, not 0"),
        (("127.0.0.1", True), {}, TypeError, "port must be an int in 1..65535, not True"),
        (("127.0.0.1", 9.0), {}, TypeError, r"port must be an integer, not 9\.0"),
        (("127.0.0.1",), {}, TypeError, "port"),
        ((b"127.0.0.1", 9), {}, TypeError, "hostname must be a str, not b'127"),
        ((), {}, ValueError, "endpoints"),
        (([],), {}, ValueError, "endpoints"),
        (([5],), {}, TypeError, "endpoints must be"),
        (([(5, 5)],), {}, TypeError, "hostname"),
        (("127.0.0.1", 9), {"ttl": 1}, ValueError, "multicast"),
        (("239.1.1.1", 9), {"ttl": 256}, ValueError, "ttl"),
        (("239.1.1.1", 9), {"ttl": 1, "interface_index": 1}, ValueError, "IPv6"),
        (("::1", 9), {"interface_index": 1}, ValueError, "IPv6 multicast"),
        (("ff02::1", 9), {"ttl": 1, "interface_address": "::1"}, ValueError, "IPv4"),
        (([("127.0.0.1", 9), ("::1", 9)],), {}, ValueError, "family"),
        (("127.0.0.1", 9), {"interface_address": "192.0.2.1"}, OSError, "address '192.0.2.1'"),
        (("239.1.1.1", 9), {"ttl": 1, "interface_address": "192.0.2.1"}, OSError, "address '192"),
        (("ff02::1", 9), {"ttl": 1, "interface_index": 1 << 30}, OSError, "index 1073741824"),
        (("127.0.0.1", 9), {"interface_address": "::1"}, ValueError, "address '::1' is not"),
        (("127.0.0.1", 9), {"config": 5}, TypeError, "config"),
        (("127.0.0.1", 9), {"buffer_size": -1}, ValueError, "buffer_size"),
        (("127.0.0.1", 9), {"colour": 1}, TypeError, "colour"),
        (("127.0.0.1", 9), {"hostname": "x"}, TypeError, "twice"),
        (("127.0.0.1", 9, StreamConfig(), 0, 1, 2, 3), {}, TypeError, "too many"),
    ],
)
def test_bad_arguments_are_named(pool, arguments, options, error, message):
    with pytest.raises(error, match=message):
        UdpStream(pool, *arguments, **options)


def test_a_socket_must_be_one_of_udp(pool):
    with socket.socket() as sock, pytest.raises(ValueError, match="socket must be one of UDP, not"):
        UdpStream(pool, "127.0.0.1", 9, socket=sock)


def test_a_port_may_be_any_integer(pool):
    with receiver() as sock:
        host, port = sock.getsockname()
        with UdpStream(pool, host, np.uint16(port)) as stream:  # type: ignore[arg-type]
            stream.send_heap(make_heap())
            check_arrives(sock, make_heap(), 1)


def test_an_unknown_host_is_both_errors(pool):
    with pytest.raises(RuntimeError) as caught:
        UdpStream(pool, NO_HOST, 8888)
    assert isinstance(caught.value, OSError)
    assert NO_HOST in str(caught.value)


def test_a_refused_buffer_size_is_logged(pool, caplog):
    UdpStream(pool, "127.0.0.1", 9, buffer_size=1 << 30).stop()
    assert "send buffer of 1073741824 bytes" in caplog.text


def test_an_error_ends_its_heap_only(pool):
    heap = make_heap()
    with receiver() as sock:
        endpoints = [sock.getsockname(), ("255.255.255.255", 9)]
        with UdpStream(pool, endpoints) as stream:
            with pytest.raises(OSError, match="denied") as caught:
                stream.send_heap(heap, substream_index=1)
            assert caught.value.errno == errno.EACCES
            stream.send_heap(heap)
            check_arrives(sock, heap, 2)
            assert stream.stats.errors == 1


def test_packets_too_long_for_udp_are_refused(pool, caplog):
    with UdpStream(pool, "127.0.0.1", 9, StreamConfig(70000)) as stream:
        with pytest.raises(OSError, match="70000") as caught:
            stream.send_heap(make_heap(80000))
        assert caught.value.errno == errno.EMSGSIZE
    with UdpStream(pool, "127.0.0.1", 9, StreamConfig(65520)) as stream:
        with pytest.raises(OSError, match="Message too long") as caught:
            stream.send_heap(make_heap(80000))
        assert caught.value.errno == errno.EMSGSIZE


def test_counts_out_of_range_are_refused(pool, caplog):
    with UdpStream(pool, "127.0.0.1", 9) as stream:
        for cnt in (1 << 40, 1 << 64, -2):
            with pytest.raises(OSError, match="cnt") as caught:
                stream.send_heap(make_heap(), cnt)
            assert caught.value.errno == errno.EINVAL
        with pytest.raises(TypeError, match="heap must be a Heap"):
            stream.send_heap(b"")  # type: ignore[arg-type]
    assert "heap not sent" in caplog.text


def test_a_heap_that_cannot_be_cut_is_a_value_error(pool):
    stream = UdpStream(pool, "127.0.0.1", 9, StreamConfig(20))
    with stream, pytest.raises(ValueError, match="max_packet_size must be at least 56, not 20"):
        stream.send_heap(make_heap())


class Sending:
    """Threads that each wait in send_heap."""

    def __init__(self, stream, heaps):
        self.results = []
        self.threads = [
            threading.Thread(target=self.run, args=(stream, heap), daemon=True) for heap in heaps
        ]
        for thread in self.threads:
            thread.start()

    def run(self, stream, heap):
        try:
            self.results.append(stream.send_heap(heap))
        except BaseException as error:
            self.results.append(error)

    def join(self):
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_a_full_queue_refuses_with_a_warning(pool, caplog):
    with receiver() as sock:
        stream = UdpStream(pool, *sock.getsockname(), SLOW)
        sending = Sending(stream, [make_heap(), make_heap(), make_heap()])
        while not sending.results:
            sending.threads[0].join(0.01)
        (refused,) = sending.results
        assert isinstance(refused, BlockingIOError)
        assert refused.errno == errno.EWOULDBLOCK
        assert "max_heaps 2 are in flight" in caplog.text
        assert stream.stats.refused == 1
        stream.stop()
        sending.join()
        assert [type(result) for result in sending.results[1:]] == [Stopped, Stopped]
        assert stream.stats.cancelled == 2


def test_stop_is_final_and_may_be_repeated(pool):
    stream = UdpStream(pool, "127.0.0.1", 9)
    stream.stop()
    stream.stop()
    stream.flush()
    with pytest.raises(Stopped):
        stream.send_heap(make_heap())


def test_the_end_of_the_pool_ends_the_stream():
    pool = ThreadPool()
    stream = UdpStream(pool, "127.0.0.1", 9, SLOW)
    sending = Sending(stream, [make_heap()])
    while not stream.stats.packets:
        sending.threads[0].join(0.01)
    pool.stop()
    sending.join()
    assert [type(result) for result in sending.results] == [Stopped]
    with pytest.raises(Stopped):
        stream.send_heap(make_heap())
    with pytest.raises(Stopped):
        UdpStream(pool, "127.0.0.1", 9)


def test_a_block_that_raises_stops_at_once(pool):
    with receiver() as sock:
        with contextlib.suppress(KeyError), UdpStream(pool, *sock.getsockname(), SLOW) as stream:
            sending = Sending(stream, [make_heap()])
            while not stream.stats.packets:
                sending.threads[0].join(0.01)
            raise KeyError
        sending.join()
        assert stream.stats.cancelled == 1


def test_a_signal_interrupts_the_wait_and_the_values_live_on(pool):
    value = np.ones(5000, np.uint8)
    reference = weakref.ref(value)
    heap = Heap()
    heap.add_item(pyspin.Item(0x1000, "x", "", value.shape, value.dtype, value=value))
    del value
    with receiver() as sock:
        stream = UdpStream(pool, *sock.getsockname(), SLOW)
        with interrupted_in(UdpStream._wait):
            stream.send_heap(heap)
        with interrupted_in(UdpStream.flush):
            stream.flush()
        del heap
        gc.collect()
        assert reference() is not None
        stream.stop()
        with pytest.raises(Stopped):
            stream.send_heap(make_heap())
        gc.collect()
        assert reference() is None


def test_a_heap_is_let_go_if_a_handler_raised_as_it_was_sent(pool, monkeypatch):
    value = np.ones(5000, np.uint8)
    reference = weakref.ref(value)
    heap = Heap()
    heap.add_item(pyspin.Item(0x1000, "x", "", value.shape, value.dtype, value=value))
    del value

    class InterruptedLib:
        def __getattr__(self, name):
            return getattr(lib, name)

        def spn_sender_send(self, *arguments):
            lib.spn_sender_send(*arguments)
            raise Interruption

    lib = udp.lib
    with receiver() as sock, UdpStream(pool, *sock.getsockname()) as stream:
        monkeypatch.setattr(udp, "lib", InterruptedLib())
        with pytest.raises(Interruption):
            stream.send_heap(heap)
        monkeypatch.undo()
        del heap
        stream.flush()
        stream.send_heap(make_heap())
        assert stream.stats.heaps == 2
        gc.collect()
        assert reference() is None


def test_dropping_a_stream_with_a_heap_in_flight(pool):
    with receiver() as sock:
        stream = UdpStream(pool, *sock.getsockname(), SLOW)
        with interrupted_in(UdpStream._wait):
            stream.send_heap(make_heap())
        del stream
        gc.collect()


def test_many_threads_may_send(pool):
    heap = make_heap(3000)
    assert packets_of(heap, 1)  # cut before the threads begin
    with receiver() as sock:
        config = StreamConfig(max_heaps=8)
        with UdpStream(pool, *sock.getsockname(), config) as stream:
            sending = Sending(stream, [heap] * 8)
            sending.join()
            assert all(isinstance(result, int) for result in sending.results)
            for cnt in range(1, 9):
                check_arrives(sock, heap, cnt)
            assert not has_datagram(sock)


def test_a_heap_may_be_sent_by_several_streams(pool):
    heap = make_heap()
    with (
        receiver() as first,
        receiver() as second,
        UdpStream(pool, *first.getsockname()) as a,
        UdpStream(pool, *second.getsockname(), StreamConfig(500)) as b,
    ):
        a.send_heap(heap)
        b.send_heap(heap)
        a.send_heap(heap)
        check_arrives(first, heap, 1)
        check_arrives(first, heap, 2)
        check_arrives(second, heap, 1, 500)


def test_the_config_is_copied(pool):
    config = StreamConfig()
    with UdpStream(pool, "127.0.0.1", 9, config) as stream:
        config.max_packet_size = 56
        assert stream.config.max_packet_size == 1472
        stream.config.max_packet_size = 57
        assert stream.config.max_packet_size == 1472
