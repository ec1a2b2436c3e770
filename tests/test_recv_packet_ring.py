# SPDX-License-Identifier: Apache-2.0
"""Streams fed from a packet ring: the same heaps and counters as from a UDP socket."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import frames as f
import packets as p
import pytest
from patience import PATIENCE
from receiving import bind, free_port, run_script, send, small_heaps, wait_until

import pyspin
import pyspin.recv

UDP_SEGMENT = 103


def _may_open_packet_sockets() -> bool:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError:
        return False
    return True


needs_packet_sockets = pytest.mark.skipif(
    not _may_open_packet_sockets(), reason="this process has no CAP_NET_RAW"
)

SMALL = {"block_size": 1 << 18, "block_count": 8}


@pytest.fixture
def stream() -> Iterator[pyspin.recv.Stream]:
    with pyspin.recv.Stream(pyspin.ThreadPool(), max_heaps=16, ring_heaps=4096) as stream:
        yield stream


def cnts(stream: Any, count: int) -> list[int]:
    return [stream.get(timeout=PATIENCE).cnt for _ in range(count)]


@needs_packet_sockets
@pytest.mark.parametrize(
    ("host", "family", "address"),
    [
        ("127.0.0.1", socket.AF_INET, "127.0.0.1"),
        ("127.0.0.1", socket.AF_INET, ""),
        ("::1", socket.AF_INET6, "::1"),
        ("::1", socket.AF_INET6, "::"),
    ],
)
def test_datagrams_become_heaps(
    stream: pyspin.recv.Stream, host: str, family: int, address: str
) -> None:
    if family == socket.AF_INET6 and not _has_ipv6():
        pytest.skip("the kernel has no IPv6 on loopback")
    port = free_port(host, family)
    stream.add_packet_ring_reader("lo", port, address=address, **SMALL)
    payload = bytes(range(256)) * 16
    send(p.heap_packets(5, payload, [p.addressed(0x1000, 0)], size=1000), port, host, family)
    heap = stream.get(timeout=PATIENCE)
    assert bytes(heap.get_items()[0]) == payload
    stats = stream.stats
    assert (stats.packets, stats.datagrams, stats.messages, stats.heaps) == (5, 5, 5, 1)
    assert stats.calls >= 1
    assert stats.kernel_drops == 0


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@needs_packet_sockets
def test_same_counters_as_the_udp_reader() -> None:
    """Good, malformed, duplicate and oversize packets through both readers."""
    good = [bytes(packet) for cnt in range(20) for packet in _heap(cnt)]
    bad = [
        b"short",
        b"\x54" + good[0][1:],
        good[0] + b"trailing",
        p.data_packet(77, b"x" * 100, 50, 120),
        p.data_packet(78, bytes(3000), 0, 3000),
        b"",
    ]
    traffic = good[:31] + bad + good[30:]
    heaps, counters = _through("ring", traffic)
    assert (heaps, counters) == _through("udp", traffic)
    assert len(heaps) == 20
    assert counters["rejected_oversize"] == 1
    assert counters["refused_duplicate"] == 1
    assert counters["rejected_short"] == 2  # the empty one too


@needs_packet_sockets
@pytest.mark.parametrize("seed", range(4))
def test_same_counters_as_the_udp_reader_of_hostile_packets(seed: int) -> None:
    """Packets of several heaps in any order, some twice, some damaged, some cut."""
    random = Random(seed)
    good = [packet for cnt in range(40) for packet in _heap(cnt, 200, 80)]
    traffic = random.sample(good, len(good))
    for _ in range(40):
        packet = bytearray(random.choice(good))
        packet[random.randrange(60)] ^= 1 << random.randrange(8)
        cut = random.choice([len(packet), random.randrange(len(packet))])
        traffic.insert(random.randrange(len(traffic)), bytes(packet[:cut]))
    traffic += random.choices(traffic, k=10)
    heaps, counters = _through("ring", traffic)
    assert (heaps, counters) == _through("udp", traffic)
    assert heaps
    assert sum(counters[name] for name in counters if name.startswith("rejected_")) > 0
    assert sum(counters[name] for name in counters if name.startswith("refused_")) > 0


def _through(kind: str, traffic: list[bytes]) -> tuple[dict[int, bytes], dict[str, int]]:
    """Return the heaps and the counters of a reader of the kind."""
    stop = p.data_packet(1000, b"", 0, 0, [p.immediate(p.STREAM_CTRL, p.STREAM_STOP)])
    with pyspin.recv.Stream(pyspin.ThreadPool(), max_heaps=64, ring_heaps=256) as stream:
        if kind == "udp":
            port = bind(stream, max_size=2000)
        else:
            port = free_port()
            stream.add_packet_ring_reader("lo", port, max_size=2000, **SMALL)
        send([*traffic, stop], port)
        heaps = {heap.cnt: b"".join(map(bytes, heap.get_items())) for heap in stream}
        return heaps, _comparable(stream.stats)


def _heap(cnt: int, size: int = 2000, packet: int = 800) -> list[bytes]:
    return p.heap_packets(cnt, bytes([cnt]) * size, [p.addressed(0x1000, 0)], size=packet)


def _comparable(stats: Any) -> dict[str, int]:
    """Return the counters that do not depend on how the kernel hands packets over."""
    names = [name for name in dir(stats) if name.startswith(("rejected_", "refused_", "heaps"))]
    names += ["packets", "bytes", "datagrams", "incomplete_heaps_evicted", "kernel_drops"]
    return {name: getattr(stats, name) for name in names}


@needs_packet_sockets
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_merged_frames_are_cut_at_their_segments(stream: pyspin.recv.Stream, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if family == socket.AF_INET6 and not _has_ipv6():
        pytest.skip("the kernel has no IPv6 on loopback")
    port = free_port(host, family)
    stream.add_packet_ring_reader("lo", port, address=host, **SMALL)
    packets = p.heap_packets(9, bytes(8000), [p.addressed(0x1000, 0)], size=1000, repeat=True)
    assert len({len(packet) for packet in packets}) == 1
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        try:
            sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(packets[0]))
        except OSError:
            pytest.skip("the kernel has no UDP_SEGMENT")
        sender.sendto(b"".join(packets), (host, port))
    assert cnts(stream, 1) == [9]
    stats = stream.stats
    assert (stats.datagrams, stats.messages, stats.packets) == (8, 1, 8)


@needs_packet_sockets
@pytest.mark.parametrize("all_protocols", [False, True])
def test_a_frame_of_this_host_is_seen_once(stream: pyspin.recv.Stream, all_protocols: bool) -> None:
    """On loopback it goes out and comes in."""
    port = free_port()
    stream.add_packet_ring_reader("lo", port, all_protocols=all_protocols, **SMALL)
    send(small_heaps(3), port)
    assert cnts(stream, 3) == [1, 2, 3]
    assert stream.stats.messages == 3


@needs_packet_sockets
@pytest.mark.parametrize("interface", [socket.if_nametoindex("lo"), 0])
def test_an_interface_may_be_an_index(stream: pyspin.recv.Stream, interface: int) -> None:
    port = free_port()
    stream.add_packet_ring_reader(interface, port, **SMALL)
    send(small_heaps(3), port)
    assert cnts(stream, 3) == [1, 2, 3]
    assert stream.stats.messages == 3


@needs_packet_sockets
def test_a_block_is_handed_over_when_it_is_full(stream: pyspin.recv.Stream) -> None:
    """Or when its time is over, which is not here."""
    port = free_port()
    stream.add_packet_ring_reader("lo", port, block_timeout=60, block_size=1 << 16, block_count=8)
    send(small_heaps(1), port)
    with pytest.raises(pyspin.Empty):
        stream.get(timeout=0.1)
    send([p.data_packet(cnt, bytes(1000), 0, 1000) for cnt in range(2, 80)], port)
    assert cnts(stream, 50) == list(range(1, 51))
    stream.stop()
    list(stream)


@needs_packet_sockets
def test_the_port_is_held_and_its_socket_takes_nothing(stream: pyspin.recv.Stream) -> None:
    port = free_port()
    stream.add_packet_ring_reader("lo", port, address="127.0.0.1", **SMALL)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        # Nobody at the port would be told to a connected socket as ECONNREFUSED.
        other.connect(("127.0.0.1", port))
        for packet in small_heaps(3):
            other.send(packet)
        assert cnts(stream, 3) == [1, 2, 3]
        other.send(small_heaps(1)[0])
    stream.stop()
    list(stream)  # the last may have come in time, and would wait in the ring
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))


@needs_packet_sockets
def test_without_the_rejecting_socket_the_port_is_free(stream: pyspin.recv.Stream) -> None:
    port = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))
        stream.add_packet_ring_reader("lo", port, reject=False, **SMALL)
        send(small_heaps(2), port)
        assert cnts(stream, 2) == [1, 2]


@needs_packet_sockets
def test_other_ports_and_addresses_do_not_come_in(stream: pyspin.recv.Stream) -> None:
    port = free_port()
    stream.add_packet_ring_reader("lo", port, address="127.0.0.1", **SMALL)
    send(small_heaps(1, first=50), port, host="127.0.0.2")
    send(small_heaps(1, first=60), free_port())
    send(small_heaps(1), port)
    assert cnts(stream, 1) == [1]
    assert stream.stats.messages == 1


@needs_packet_sockets
def test_multicast(stream: pyspin.recv.Stream) -> None:
    port = free_port()
    stream.add_packet_ring_reader("lo", port, address="239.255.31.7", **SMALL)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        loopback = socket.inet_aton("127.0.0.1")
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
        try:
            sender.sendto(small_heaps(1)[0], ("239.255.31.7", port))
        except OSError as error:
            pytest.skip(f"the kernel refuses multicast on loopback: {error}")
    assert cnts(stream, 1) == [1]


@needs_packet_sockets
def test_drops_are_counted_while_nobody_takes_heaps() -> None:
    """A full ring of heaps suspends the reader; what its small packet ring cannot hold is told."""
    with pyspin.recv.Stream(pyspin.ThreadPool(), ring_heaps=1) as stream:
        port = free_port()
        stream.add_packet_ring_reader("lo", port, block_size=1 << 16, block_count=2)
        send([p.data_packet(cnt, bytes(1000), 0, 1000) for cnt in range(2000)], port)
        wait_until(lambda: stream.stats.worker_blocked > 0)
        stream.stop()
        assert stream.stats.kernel_drops > 0


@needs_packet_sockets
def test_every_frame_is_delivered_or_counted() -> None:
    """A ring too small for a burst; in the end delivered + dropped = sent."""
    with pyspin.recv.Stream(pyspin.ThreadPool(), ring_heaps=4096) as stream:
        port = free_port()
        stream.add_packet_ring_reader("lo", port, block_size=1 << 16, block_count=2)
        sent = 3000
        send([p.data_packet(cnt, bytes(1000), 0, 1000) for cnt in range(sent)], port)

        def settled() -> bool:
            nonlocal sent
            send(small_heaps(1, first=10_000 + sent), port)
            sent += 1
            stats = stream.stats
            return stats.packets + stats.kernel_drops >= sent - 1

        wait_until(settled)
        stats = stream.stats
        assert stats.packets + stats.kernel_drops <= sent
        assert stats.heaps == stats.packets


@needs_packet_sockets
@pytest.mark.parametrize("mode", ["hash", "cpu"])
def test_a_fanout_shares_the_flows_among_streams(mode: str) -> None:
    """Each datagram goes to one of the streams, and all come out of the shared ring."""
    ring = pyspin.recv.Ring(4096)
    pool = pyspin.ThreadPool(2)
    port = free_port()
    group = os.getpid() & 0xFFFF
    streams = [pyspin.recv.Stream(pool, max_heaps=64, ring=ring, tag=number) for number in range(2)]
    for number, stream in enumerate(streams):
        stream.add_packet_ring_reader(
            "lo", port, fanout=group, fanout_mode=mode, reject=number == 0, **SMALL
        )
    # One packet a heap: whichever stream gets it has a whole heap.
    flows = 32
    for flow in range(flows):
        send(small_heaps(5, first=100 * flow), port)
    heaps = [ring.get(timeout=PATIENCE) for _ in range(5 * flows)]
    cnts = sorted(heap.cnt for heap in heaps)
    assert cnts == sorted(100 * flow + k for flow in range(flows) for k in range(5))
    assert sum(stream.stats.packets for stream in streams) == 5 * flows
    if mode == "hash":
        ways = {(heap.cnt // 100, heap.tag) for heap in heaps}
        assert len(ways) == flows  # a flow stays together,
        assert len({tag for _, tag in ways}) == 2  # and both have some
    for stream in streams:
        stream.stop()


@needs_packet_sockets
@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"block_size": 1000}, ValueError, "block_size.*1000"),
        ({"block_count": 0}, ValueError, "block_count.*0"),
        ({"block_timeout": 0}, ValueError, "block_timeout.*0"),
        ({"fanout": 70000}, ValueError, "fanout.*70000"),
        ({"fanout_mode": "luck"}, ValueError, "fanout_mode.*luck"),
        ({"max_size": 0}, ValueError, "max_size.*0"),
        ({"max_size": None}, TypeError, "max_size.*None"),
        ({"max_size": 2**70}, ValueError, "max_size.*1180591620717411303424"),
        ({"block_size": "x"}, TypeError, "block_size.*x"),
        ({"block_count": 1.5}, TypeError, "block_count.*1.5"),
        ({"block_timeout": "x"}, TypeError, "block_timeout.*x"),
        ({"fanout": 1.5}, TypeError, "fanout.*1.5"),
        ({"fanout_mode": []}, ValueError, r"fanout_mode.*\[\]"),
        ({"interface": None}, TypeError, "interface.*None"),
        ({"interface": 2**31}, ValueError, "interface.*2147483648"),
        ({"interface": -1}, ValueError, "interface.*-1"),
        ({"interface": "a\0b"}, OSError, r"no interface 'a\\x00b'"),
        ({"address": 5}, TypeError, "address.*5"),
        ({"address": "\udc80"}, OSError, "udc80"),
        ({"interface": "nosuch0"}, OSError, r"\[Errno 19\].*no interface 'nosuch0'"),
        ({"port": 70000}, TypeError, "port.*70000"),
        ({"port": 0}, TypeError, "port.*0"),
        ({"block_size": 1 << 30, "block_count": 1 << 20}, MemoryError, "1125899906842624 bytes"),
        ({"address": "no such host"}, OSError, "no such host"),
    ],
)
def test_bad_arguments_are_named(
    stream: pyspin.recv.Stream, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    arguments: dict[str, Any] = {"interface": "lo", "port": 9, **options}
    gc.collect()  # what earlier tests left in cycles would go in the middle of this one
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(error, match=words):
        stream.add_packet_ring_reader(**arguments)
    assert len(os.listdir("/proc/self/fd")) == before


@needs_packet_sockets
def test_a_fanout_group_of_another_mode_is_named(stream: pyspin.recv.Stream) -> None:
    port, group = free_port(), os.getpid() & 0xFFFF
    stream.add_packet_ring_reader("lo", port, fanout=group, **SMALL)
    with pytest.raises(pyspin.SocketError, match=f"fanout group {group}"):
        stream.add_packet_ring_reader(
            "lo", port, fanout=group, fanout_mode="cpu", reject=False, **SMALL
        )


@needs_packet_sockets
def test_after_stop_nothing_is_opened(stream: pyspin.recv.Stream) -> None:
    stream.stop()
    port = free_port()
    stream.add_packet_ring_reader("lo", port, address="127.0.0.1", **SMALL)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give its capabilities up")
def test_without_the_capability_the_error_says_how_to_grant_it() -> None:
    run = run_script(
        """
        import os, pyspin, pyspin.recv
        stream = pyspin.recv.Stream(pyspin.ThreadPool())
        os.setuid(65534)
        try:
            stream.add_packet_ring_reader("lo", 45671)
        except PermissionError as error:
            print(error)
        """
    )
    assert run.returncode == 0, run.stderr
    assert "setcap cap_net_raw" in run.stdout


# ---- network namespaces: what loopback cannot show ------------------------------------------

# A network of our own: another run of these tests may be under way on this machine.
NUMBER = os.getpid() % 250 + 1
NETWORK = f"10.91.{NUMBER}"
HERE, THERE = f"{NETWORK}.1", f"{NETWORK}.2"
VLAN_HERE, VLAN_THERE = f"10.92.{NUMBER}.1", f"10.92.{NUMBER}.2"
HERE_6, THERE_6 = f"fd91:{NUMBER:x}::1", f"fd91:{NUMBER:x}::2"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def namespace() -> Iterator[str]:
    """Give a namespace joined to this one's by a veth pair, HERE and THERE."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the ip command")
    name = f"spn{uuid.uuid4().hex[:8]}"
    here, there = f"{name[:9]}a", f"{name[:9]}b"
    try:
        _ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the machine forbids network namespaces: {error.stderr.decode().strip()}")
    try:
        try:
            _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"the machine has no veth: {error.stderr.decode().strip()}")
        _ip("addr", "add", f"{HERE}/24", "dev", here)
        _ip("link", "set", here, "up")
        _ip("-n", name, "addr", "add", f"{THERE}/24", "dev", there)
        _ip("-n", name, "link", "set", there, "up")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
        subprocess.run(["ip", "link", "del", here], capture_output=True)


def _run_in(name: str, script: str, datagrams: list[bytes], tmp_path: Path, *words: str) -> None:
    """Run a script inside a namespace, to which `datagrams` is what it says."""
    data = tmp_path / "datagrams"
    data.write_bytes(b"".join(len(d).to_bytes(4, "big") + d for d in datagrams))
    prologue = (
        "import socket, sys\n"
        "data, datagrams = open(sys.argv[1], 'rb').read(), []\n"
        "while data:\n"
        "    size = int.from_bytes(data[:4], 'big')\n"
        "    datagrams.append(data[4:4 + size])\n"
        "    data = data[4 + size:]\n"
    )
    command = ["ip", "netns", "exec", name, sys.executable, "-S", "-c", prologue + script]
    subprocess.run([*command, str(data), *words], check=True, timeout=PATIENCE)


def _send_from(name: str, datagrams: list[bytes], host: str, port: int, tmp_path: Path) -> None:
    """Send datagrams from inside a namespace."""
    script = (
        "sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "for datagram in datagrams:\n"
        "    sender.sendto(datagram, (sys.argv[2], int(sys.argv[3])))\n"
    )
    _run_in(name, script, datagrams, tmp_path, host, str(port))


def _inject(name: str, frames: list[bytes], tmp_path: Path) -> None:
    """Send whole frames through the interface inside a namespace."""
    script = (
        "sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)\n"
        "sender.bind((sys.argv[2], 0))\n"
        "for datagram in datagrams:\n"
        "    sender.send(datagram)\n"
    )
    _run_in(name, script, frames, tmp_path, f"{name[:9]}b")


@needs_packet_sockets
def test_over_veth_with_fragments(
    stream: pyspin.recv.Stream, namespace: str, tmp_path: Path
) -> None:
    """What fits a frame arrives; what IP had to cut is counted and left."""
    port = free_port(HERE)
    interface = f"{namespace[:9]}a"
    stream.add_packet_ring_reader(interface, port, address=HERE, **SMALL)
    whole = small_heaps(3)
    cut = p.data_packet(50, bytes(4000), 0, 4000)
    _send_from(namespace, [whole[0], cut, *whole[1:]], HERE, port, tmp_path)
    assert cnts(stream, 3) == [1, 2, 3]
    stats = stream.stats
    assert stats.rejected_ip == 1
    assert stats.packets == 3


@needs_packet_sockets
def test_vlan_tags_are_passed_over(
    stream: pyspin.recv.Stream, namespace: str, tmp_path: Path
) -> None:
    """Frames with a VLAN tag are read on the interface that carries them."""
    base, there = f"{namespace[:9]}a", f"{namespace[:9]}b"
    try:
        _ip("link", "add", "link", base, "name", f"{base}.7", "type", "vlan", "id", "7")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the machine has no VLANs: {error.stderr.decode().strip()}")
    _ip("addr", "add", f"{VLAN_HERE}/24", "dev", f"{base}.7")
    _ip("link", "set", f"{base}.7", "up")
    inner = f"{there}.7"
    _ip("-n", namespace, "link", "add", "link", there, "name", inner, "type", "vlan", "id", "7")
    _ip("-n", namespace, "addr", "add", f"{VLAN_THERE}/24", "dev", inner)
    _ip("-n", namespace, "link", "set", inner, "up")
    port = free_port(VLAN_HERE)
    stream.add_packet_ring_reader(base, port, address=VLAN_HERE, all_protocols=True, **SMALL)
    _send_from(namespace, small_heaps(3), VLAN_HERE, port, tmp_path)
    assert cnts(stream, 3) == [1, 2, 3]
    assert stream.stats.rejected_ip == 0


SENDER = bytes.fromhex("020000000002")


def hardware(interface: str) -> bytes:
    text = Path(f"/sys/class/net/{interface}/address").read_text()
    return bytes.fromhex(text.strip().replace(":", ""))


def add_ipv6(interface: str) -> None:
    """Give the interface an address that is usable at once."""
    try:
        _ip("-6", "addr", "add", f"{HERE_6}/64", "dev", interface, "nodad")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the kernel has no IPv6: {error.stderr.decode().strip()}")


# Extension headers that change nothing.
PADDED = (f.DESTINATION, b"\0\1\4\0\0\0\0")
WHOLE = (f.FRAGMENT, b"\0\0\0\0\0\0\7")
CHAINS = [
    [PADDED],
    [WHOLE],
    [(f.HOP_BY_HOP, b"\0\5\2\0\0\1\0")],
    [(f.HOP_BY_HOP, b"\0\1\4\0\0\0\0"), PADDED, WHOLE, PADDED],
]


def hostile_frames(port: int, mine: bytes) -> list[tuple[bytes, int]]:
    """Return frames for the port that UDP would not take, and what each counts in rejected_ip."""
    payload = p.data_packet(7777, bytes(64), 0, 64)
    good4 = f.udp(payload, THERE, HERE, port)
    good6 = f.udp(payload, THERE_6, HERE_6, port)

    def v4(body: bytes, target: bytes = mine, **options: Any) -> bytes:
        return f.ethernet(f.ipv4(body, THERE, HERE, **options), SENDER, target)

    def v6(body: bytes, target: bytes = mine, **options: Any) -> bytes:
        return f.ethernet(f.ipv6(body, THERE_6, HERE_6, **options), SENDER, target)

    other = bytes.fromhex("020000000099")
    return [
        (v4(f.udp(payload, THERE, HERE, port, damage=0x0101)), 1),
        (v6(f.udp(payload, THERE_6, HERE_6, port, damage=0x0101)), 1),
        (v6(f.udp(payload, THERE_6, HERE_6, port, damage=-1)), 1),
        (v4(good4, damage=0x10), 1),
        (v4(good4, more=9), 1),
        (v4(good4, more=-9), 1),
        (v6(good6, more=9), 1),
        (v6(good6, more=-9), 1),
        (v6(good6, more=9, chain=[PADDED]), 1),
        (v6(f.udp(payload, THERE_6, HERE_6, port, damage=1), chain=[PADDED]), 1),
        (v6(good6, chain=[(f.DESTINATION, b"\0\x7e\4\0\0\0\0")]), 1),
        (v6(good6, chain=[(f.DESTINATION, b"\0\1\4\0\0\7\0")]), 1),
        (v6(good6, chain=[PADDED, (f.HOP_BY_HOP, b"\0\1\4\0\0\0\0")]), 1),
        (v6(good6, chain=[(f.ROUTING, b"\0\2\1\0\0\0\0")]), 1),
        (v6(good6, chain=[WHOLE, WHOLE]), 1),
        (v6(good6, chain=[(f.FRAGMENT, b"\0\0\1\0\0\0\5")]), 1),
        (v6(good6, chain=[(f.FRAGMENT, b"\0\0\x18\0\0\0\5")]), 0),
        (v6(good6[:2] + b"\0\7" + good6[4:], chain=[PADDED]), 0),
        (v6(good6[:6], chain=[PADDED]), 0),
        (v4(f.udp(payload, THERE, HERE, port, length=7)), 1),
        (v4(f.udp(payload, THERE, HERE, port, length=200)), 1),
        (v4(good4)[:90], 1),
        (v4(good4, fragment=0x2000), 1),
        (v4(good4, fragment=0x0010), 0),
        (v4(good4, other), 0),
        (v6(good6, other), 0),
        (v4(f.udp(payload, THERE, HERE, port ^ 1)), 0),
        (f.ethernet(f.ipv4(good4, THERE, f"{NETWORK}.77"), SENDER, mine), 0),
    ]


def fine_frames(port: int, mine: bytes, ipv6: bool) -> list[bytes]:
    """Return frames of heaps 1, 2, ... that UDP takes."""
    source, target, ip = (THERE_6, HERE_6, f.ipv6) if ipv6 else (THERE, HERE, f.ipv4)
    bodies = [f.udp(heap, source, target, port) for heap in small_heaps(4 + len(CHAINS))]
    frames = [f.ethernet(ip(body, source, target), SENDER, mine) for body in bodies[:2]]
    frames.append(f.ethernet(ip(bodies[2], source, target), SENDER, mine) + bytes(20))  # padded
    frames.append(f.ethernet(ip(bodies[3], source, target), SENDER, mine, tags=(0xE000,)))
    if ipv6:
        packets = [
            f.ipv6(body, source, target, chain=chain)
            for body, chain in zip(bodies[4:], CHAINS, strict=True)
        ]
        return frames + [f.ethernet(packet, SENDER, mine) for packet in packets]
    unchecked = f.udp(small_heaps(1, first=5)[0], source, target, port, damage=-1)
    options = f.udp(small_heaps(1, first=6)[0], source, target, port)
    frames.append(f.ethernet(f.ipv4(unchecked, source, target), SENDER, mine))
    nops = f.ipv4(options, source, target, options=b"\1\1\1\0")
    frames.append(f.ethernet(nops, SENDER, mine))
    return frames


@needs_packet_sockets
@pytest.mark.parametrize("ipv6", [False, True])
@pytest.mark.parametrize("all_protocols", [False, True])
def test_what_udp_would_not_take_is_not_taken(
    namespace: str, tmp_path: Path, ipv6: bool, all_protocols: bool
) -> None:
    """A UDP reader beside the ring gets the same heaps; what is rejected is counted."""
    interface = f"{namespace[:9]}a"
    add_ipv6(interface)
    mine = hardware(interface)
    family, address = (socket.AF_INET6, HERE_6) if ipv6 else (socket.AF_INET, HERE)
    port = free_port(address, family)
    hostile = hostile_frames(port, mine)
    fine = fine_frames(port, mine, ipv6)
    pool = pyspin.ThreadPool()
    with (
        pyspin.recv.Stream(pool, ring_heaps=64) as by_socket,
        pyspin.recv.Stream(pool, ring_heaps=64) as by_ring,
    ):
        by_socket.add_udp_reader(port, bind_hostname=address)
        by_ring.add_packet_ring_reader(
            interface, port, address=address, reject=False, all_protocols=all_protocols, **SMALL
        )
        _inject(namespace, [frame for frame, _ in hostile] + fine, tmp_path)
        expected = list(range(1, len(fine) + 1))
        assert cnts(by_socket, len(fine)) == expected
        assert cnts(by_ring, len(fine)) == expected
        theirs = 0x86DD if ipv6 else 0x0800
        counted = [count for frame, count in hostile if frame[12:14] == theirs.to_bytes(2, "big")]
        assert by_ring.stats.rejected_ip == sum(counted)
        assert by_ring.stats.packets == by_socket.stats.packets == len(fine)


@needs_packet_sockets
@pytest.mark.parametrize(
    "sources",
    [
        ["0.0.0.0", "127.0.0.9", "224.1.1.1", "255.255.255.255", HERE, THERE],
        ["::1", "ff15::9", THERE_6],
    ],
)
def test_martians_reach_the_ring_alone(namespace: str, tmp_path: Path, sources: list[str]) -> None:
    """As is documented; the last of the sources is a possible one."""
    interface = f"{namespace[:9]}a"
    add_ipv6(interface)
    is_ipv6 = ":" in sources[0]
    ip, address = (f.ipv6, HERE_6) if is_ipv6 else (f.ipv4, HERE)
    port = free_port(address, socket.AF_INET6 if is_ipv6 else socket.AF_INET)
    pool = pyspin.ThreadPool()
    heaps = small_heaps(len(sources))
    packets = [
        ip(f.udp(heap, source, address, port), source, address)
        for heap, source in zip(heaps, sources, strict=True)
    ]
    with (
        pyspin.recv.Stream(pool, ring_heaps=64) as by_socket,
        pyspin.recv.Stream(pool, ring_heaps=64) as by_ring,
    ):
        by_socket.add_udp_reader(port, bind_hostname=address)
        by_ring.add_packet_ring_reader(interface, port, address=address, reject=False, **SMALL)
        mine = hardware(interface)
        _inject(namespace, [f.ethernet(each, SENDER, mine) for each in packets], tmp_path)
        assert cnts(by_ring, len(sources)) == list(range(1, len(sources) + 1))
        assert cnts(by_socket, 1) == [len(sources)]
        assert by_socket.stats.packets == 1


@needs_packet_sockets
@pytest.mark.parametrize("all_interfaces", [False, True])
def test_frames_for_other_hardware_are_left_out(
    stream: pyspin.recv.Stream, namespace: str, tmp_path: Path, all_interfaces: bool
) -> None:
    """An interface in promiscuous mode shows them."""
    interface = f"{namespace[:9]}a"
    mine, other = hardware(interface), bytes.fromhex("020000000099")
    _ip("link", "set", interface, "promisc", "on")
    port = free_port(HERE)
    stream.add_packet_ring_reader(0 if all_interfaces else interface, port, address=HERE, **SMALL)
    packets = [f.ipv4(f.udp(heap, THERE, HERE, port), THERE, HERE) for heap in small_heaps(4)]
    targets = [mine, other, other, mine]
    frames = [f.ethernet(each, SENDER, to) for each, to in zip(packets, targets, strict=True)]
    _inject(namespace, frames, tmp_path)
    assert cnts(stream, 2) == [1, 4]
    assert stream.stats.messages == 2


@needs_packet_sockets
@pytest.mark.parametrize("all_protocols", [False, True])
@pytest.mark.parametrize("address", [HERE, "239.255.31.8"])
def test_tagged_frames_without_an_interface_for_the_vlan(
    stream: pyspin.recv.Stream, namespace: str, tmp_path: Path, address: str, all_protocols: bool
) -> None:
    """The kernel takes them for another host's, as no socket could have them."""
    interface = f"{namespace[:9]}a"
    port = free_port(HERE)
    stream.add_packet_ring_reader(
        interface, port, address=address, all_protocols=all_protocols, **SMALL
    )
    target = hardware(interface) if address == HERE else f.group_hardware(address)
    packets = [f.ipv4(f.udp(heap, THERE, address, port), THERE, address) for heap in small_heaps(3)]
    _inject(namespace, [f.ethernet(each, SENDER, target, tags=(7,)) for each in packets], tmp_path)
    assert cnts(stream, 3) == [1, 2, 3]
    assert stream.stats.rejected_ip == 0


@needs_packet_sockets
@pytest.mark.parametrize("group", ["239.255.31.9", "ff15::3:1f09"])
def test_a_multicast_group_is_joined_on_the_interface(
    stream: pyspin.recv.Stream, namespace: str, tmp_path: Path, group: str
) -> None:
    interface = f"{namespace[:9]}a"
    add_ipv6(interface)
    source, ip = (THERE_6, f.ipv6) if ":" in group else (THERE, f.ipv4)
    port = free_port(HERE)

    def joined() -> bool:
        shown = subprocess.run(["ip", "maddr", "show", "dev", interface], capture_output=True)
        return group in shown.stdout.decode().split()

    assert not joined()
    stream.add_packet_ring_reader(interface, port, address=group, **SMALL)
    assert joined()
    packets = [ip(f.udp(heap, source, group, port), source, group) for heap in small_heaps(3)]
    target = f.group_hardware(group)
    _inject(namespace, [f.ethernet(each, SENDER, target) for each in packets], tmp_path)
    assert cnts(stream, 3) == [1, 2, 3]
    stream.stop()
    assert not joined()


@needs_packet_sockets
def test_an_interface_may_go_down_and_come_back(
    stream: pyspin.recv.Stream, namespace: str, tmp_path: Path
) -> None:
    interface = f"{namespace[:9]}a"
    mine, port = hardware(interface), free_port(HERE)
    stream.add_packet_ring_reader(interface, port, address=HERE, **SMALL)
    _ip("link", "set", interface, "down")
    wait_until(lambda: stream.stats.socket_errors == 1)
    _ip("link", "set", interface, "up")
    packet = f.ipv4(f.udp(small_heaps(1)[0], THERE, HERE, port), THERE, HERE)

    def arrives() -> bool:
        _inject(namespace, [f.ethernet(packet, SENDER, mine)], tmp_path)
        return stream.stats.heaps > 0

    wait_until(arrives)
    _ip("link", "del", interface)
    wait_until(lambda: stream.stats.socket_errors == 2)
    stream.stop()
    list(stream)


@needs_packet_sockets
def test_an_interface_without_ethernet_is_refused(stream: pyspin.recv.Stream) -> None:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("making an interface needs root and the ip command")
    name = f"spn{uuid.uuid4().hex[:8]}"
    try:
        _ip("tuntap", "add", "dev", name, "mode", "tun")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the machine has no tun interfaces: {error.stderr.decode().strip()}")
    try:
        with pytest.raises(pyspin.SocketError, match=f"{name}.*not supported"):
            stream.add_packet_ring_reader(name, 9, **SMALL)
    finally:
        _ip("link", "del", name)
