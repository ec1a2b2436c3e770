# SPDX-License-Identifier: Apache-2.0
"""Several threads, streams and memory nodes: what they share, and what they may take."""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import packets as p
import pytest
from patience import PATIENCE
from receiving import bind, free_port, send, small_heaps, wait_until
from test_recv_multicast import needs_ipv4

import pyspin
import pyspin.recv
import pyspin.send
from pyspin import topology

HUGE = 2 << 20
RESERVED = Path("/proc/sys/vm/nr_hugepages")


def mapping(address: int, file: str) -> str:
    """Return the part of /proc/self/numa_maps or smaps that tells of the address."""
    lines = re.split(r"^(?=[0-9a-f]{6,}[- ])", Path(f"/proc/self/{file}").read_text(), flags=re.M)
    starts = {int(re.split("[- ]", line)[0], 16): line for line in lines if line}
    return starts[max(start for start in starts if start <= address)]


def page_size(address: int) -> str:
    """Return the size in kB of the pages at an address."""
    found = re.search(r"^KernelPageSize: +(\d+)", mapping(address, "smaps"), re.M)
    return found[1] if found else ""


# ---- memory nodes ----


@pytest.fixture
def on_node_0() -> pyspin.MmapAllocator:
    try:
        return pyspin.MmapAllocator(numa_node=0)
    except PermissionError:
        pytest.skip("this process may not choose memory nodes")


def test_pages_come_from_the_node(on_node_0: pyspin.MmapAllocator) -> None:
    if not Path("/proc/self/numa_maps").exists():
        pytest.skip("the kernel has no NUMA")
    array = on_node_0.allocate(40 * mmap.PAGESIZE)
    assert " N0=40 " in mapping(
        array.ctypes.data, "numa_maps"
    )  # all of them, before anybody touched them
    assert not array.any()


def test_a_pool_of_a_node_serves_a_stream(on_node_0: pyspin.MmapAllocator) -> None:
    pool = pyspin.MemoryPool(1, 1 << 16, 4, 2, on_node_0)
    with pyspin.recv.Stream(pyspin.ThreadPool(), allocator=pool) as stream:
        send(p.heap_packets(5, bytes(9000), [p.addressed(0x1000, 0)]), bind(stream))
        assert len(stream.get(timeout=PATIENCE).get_items()[0]) == 9000
    assert pool.stats.hits >= 1


@pytest.mark.parametrize("node", [1023, 2**31 - 1])
def test_a_node_that_is_not_there(on_node_0: pyspin.MmapAllocator, node: int) -> None:
    with pytest.raises(ValueError, match=f"numa_node must be a memory node .*, not {node}"):
        pyspin.MmapAllocator(numa_node=node)


def test_a_node_that_is_none() -> None:
    with pytest.raises(ValueError, match="numa_node must be at least 0, not -1"):
        pyspin.MmapAllocator(numa_node=-1)
    with pytest.raises(TypeError, match="numa_node must be an integer, not '0'"):
        pyspin.MmapAllocator(numa_node="0")  # type: ignore[arg-type]


# ---- near an interface ----


@pytest.fixture
def interfaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a tree like /sys/class/net: a PCI card, a virtio one, and what lies over them."""
    for card, cpus, node in (("pci0", "0,100000-100001", "1"), ("pci1", "100002", "-1")):
        (tmp_path / card).mkdir()
        (tmp_path / card / "local_cpulist").write_text(cpus + "\n")
        (tmp_path / card / "numa_node").write_text(node + "\n")
    (tmp_path / "pci1" / "virtio0").mkdir()
    for name, lower in (("eth", ()), ("virt", ()), ("vlan", ("eth",)), ("bond", ("eth", "virt"))):
        (tmp_path / name).mkdir()
        for below in lower:
            (tmp_path / name / f"lower_{below}").symlink_to(tmp_path / below)
    (tmp_path / "eth" / "device").symlink_to(tmp_path / "pci0")
    (tmp_path / "virt" / "device").symlink_to(tmp_path / "pci1" / "virtio0")
    monkeypatch.setattr(topology, "_INTERFACES", tmp_path)
    monkeypatch.setattr(topology.socket, "if_nametoindex", lambda name: 1)
    monkeypatch.setattr(topology.os, "sched_getaffinity", lambda pid: {0, 1, 2, 100000, 100002})
    return tmp_path


@pytest.mark.usefixtures("interfaces")
@pytest.mark.parametrize(
    ("interface", "processors", "node"),
    [
        ("eth", [0, 100000], 1),
        ("virt", [100002], None),
        ("vlan", [0, 100000], 1),
        ("bond", [0, 100000, 100002], None),
        ("lo", [0, 1, 2, 100000, 100002], None),
    ],
)
def test_what_is_near(interface: str, processors: list[int], node: int | None) -> None:
    assert pyspin.processors_near(interface) == processors
    assert pyspin.numa_node_near(interface) == node


def test_processors_that_may_not_be_used_are_not_near(
    interfaces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology.os, "sched_getaffinity", lambda pid: {7})
    assert pyspin.processors_near("eth") == [7]


def test_loopback_is_near_every_processor() -> None:
    assert pyspin.processors_near("lo") == sorted(os.sched_getaffinity(0))
    assert pyspin.numa_node_near("lo") is None


def test_nothing_is_near_an_interface_that_is_not_there() -> None:
    with pytest.raises(OSError, match="no interface 'nowhere0'"):
        pyspin.processors_near("nowhere0")
    with pytest.raises(OSError, match="no interface 'nowhere0'"):
        pyspin.numa_node_near("nowhere0")


# ---- huge pages ----


@pytest.fixture
def reservation() -> Iterator[None]:
    """Keep other runs of these tests from the reserved huge pages for the time of a test."""
    if not RESERVED.exists():
        pytest.skip("the kernel has no huge pages")
    with RESERVED.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def huge_pages(reservation: None) -> Iterator[None]:
    """Reserve eight huge pages for the time of a test."""
    if mmap.PAGESIZE != 4096 or os.geteuid() != 0:
        pytest.skip("only root may reserve huge pages")
    before = int(RESERVED.read_text())
    try:
        RESERVED.write_text(str(before + 8))
    except OSError as error:
        pytest.skip(f"huge pages cannot be reserved: {error}")
    try:
        if int(RESERVED.read_text()) < before + 8:
            pytest.skip("the machine has no eight huge pages to spare")
        yield
    finally:
        RESERVED.write_text(str(before))


@pytest.mark.usefixtures("huge_pages")
@pytest.mark.parametrize("node", [None, 0])
def test_reserved_huge_pages_are_preferred(node: int | None) -> None:
    allocator = pyspin.MmapAllocator(prefer_huge=True, numa_node=node)
    arrays = [allocator.allocate(HUGE // 2) for _ in range(2)]
    for array in arrays:
        assert page_size(array.ctypes.data) == "2048"
        array[:] = 1


@pytest.mark.usefixtures("huge_pages")
def test_ordinary_pages_come_when_huge_ones_run_out() -> None:
    allocator = pyspin.MmapAllocator(prefer_huge=True)
    arrays = [allocator.allocate(HUGE) for _ in range(100)]
    sizes = [page_size(array.ctypes.data) for array in (arrays[0], arrays[-1])]
    assert sizes == ["2048", "4"]


@pytest.mark.usefixtures("huge_pages")
@pytest.mark.parametrize("scatter", [False, True])
def test_heaps_lie_in_reserved_huge_pages(scatter: bool) -> None:
    huge = pyspin.MmapAllocator(prefer_huge=True)
    pool = pyspin.MemoryPool(1, HUGE, 4, 4, huge)
    payload = bytes(range(256)) * (1 << 8)
    with pyspin.recv.Stream(pyspin.ThreadPool(), allocator=pool, scatter=scatter) as stream:
        port = bind(stream)
        for cnt in range(1, 11):
            send(p.heap_packets(cnt, payload, [p.addressed(0x1000, 0)], size=1 << 13), port)
            item = stream.get(timeout=PATIENCE).get_items()[0]
            assert page_size(item.ctypes.data) == "2048"
            assert bytes(item) == payload
            del item


@pytest.mark.usefixtures("reservation")
def test_transparent_huge_pages_are_asked_for_when_none_are_reserved() -> None:
    if not Path("/sys/kernel/mm/transparent_hugepage").exists():
        pytest.skip("the kernel has no transparent huge pages")
    array = pyspin.MmapAllocator(prefer_huge=True).allocate(4 * HUGE)
    if page_size(array.ctypes.data) == "2048":
        pytest.skip("there are reserved huge pages")
    assert re.search(r"^VmFlags:.* hg\b", mapping(array.ctypes.data, "smaps"), re.M)
    assert not array.any()


def received(huge_pages: bool) -> bytes:
    payload = bytes(range(256)) * 16
    with pyspin.recv.Stream(pyspin.ThreadPool()) as stream:
        port = bind(stream, huge_pages=huge_pages)
        send(p.heap_packets(5, payload, [p.addressed(0x1000, 0)], size=1000), port)
        assert bytes(stream.get(timeout=PATIENCE).get_items()[0]) == payload
        return Path("/proc/self/smaps").read_bytes()


@pytest.mark.usefixtures("reservation")
@pytest.mark.parametrize("huge", [False, True])
def test_datagrams_land_in_huge_pages_or_in_others(huge: bool) -> None:
    received(huge)


@pytest.mark.usefixtures("huge_pages")
def test_datagrams_land_in_reserved_huge_pages() -> None:
    in_use = re.compile(rb"^Private_Hugetlb: +[1-9]", re.M)
    assert not in_use.search(received(False))
    assert in_use.search(received(True))


# ---- a thread that spins ----


def tasks() -> set[Path]:
    return set(Path("/proc/self/task").iterdir())


def new_task(before: set[Path]) -> Path:
    return next(each for each in tasks() - before if (each / "comm").read_text() == "pyspin-0\n")


def states(task: Path, count: int) -> set[str]:
    """Look at the state of a thread (proc(5)) `count` times."""
    return {(task / "stat").read_text().rpartition(")")[2].split()[0] for _ in range(count)}


def test_a_spinning_thread_receives_and_stops() -> None:
    before = tasks()
    with pyspin.ThreadPool(spin=True) as pool:
        thread = new_task(before)
        wait_until(lambda: states(thread, 1) == {"S"}, "sleep without a socket")
        stream = pyspin.recv.Stream(pool, ring_heaps=2)
        port = bind(stream)
        assert "S" not in states(thread, 50)
        send(small_heaps(20), port)
        wait_until(lambda: states(thread, 1) == {"S"}, "sleep while the ring is full")
        assert [stream.get(timeout=PATIENCE).cnt for _ in range(20)] == list(range(1, 21))
        wait_until(lambda: "S" not in states(thread, 50), "spinning again")
        stream.stop()
        wait_until(lambda: states(thread, 1) == {"S"}, "sleep after the stream's end")
        bind(second := pyspin.recv.Stream(pool))
    assert second.stopped


def test_spin_is_a_keyword() -> None:
    with pytest.raises(TypeError):
        pyspin.ThreadPool(1, [], True)  # type: ignore[call-arg]


def epoll_busy_polling() -> set[int]:
    """Return the microseconds that this process's epoll descriptors are set to."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        if link.is_symlink() and os.readlink(link) == "anon_inode:[eventpoll]":
            try:  # EPIOCGPARAMS of ioctl_eventpoll(2)
                parameters = fcntl.ioctl(int(link.name), 0x80088A02, bytes(8))
            except OSError as error:
                pytest.skip(f"epoll has no busy polling of its own: {error}")
            found.add(int.from_bytes(parameters[:4], sys.byteorder))
    return found


def test_busy_polling_is_asked_of_epoll_too() -> None:
    with pyspin.ThreadPool() as pool, pyspin.recv.Stream(pool) as stream:
        assert 123 not in epoll_busy_polling()
        port = bind(stream, busy_poll=123e-6)
        bind(stream, busy_poll=100e-6)  # the longest holds
        assert 123 in epoll_busy_polling()
        send(small_heaps(3), port)
        assert [stream.get(timeout=PATIENCE).cnt for _ in range(3)] == [1, 2, 3]


# ---- several streams, one ring ----

STREAMS = 3


def heap_of(cnt: int, size: int = 5000) -> list[bytes]:
    return p.heap_packets(cnt, bytes([cnt % 251]) * size, [p.addressed(0x1000, 0)], size=1000)


def check(heap: pyspin.recv.Heap) -> None:
    assert bytes(heap.get_items()[0]) == bytes([heap.cnt % 251]) * 5000


@pytest.mark.parametrize("spin", [False, True])
def test_streams_that_share_a_port_fill_one_ring(spin: bool) -> None:
    """The kernel spreads flows over the sockets: a heap of one sender is one stream's."""
    flows, heaps = 24, 5
    port = free_port()
    with pyspin.ThreadPool(STREAMS, spin=spin) as pool, pyspin.recv.Ring(200) as ring:
        streams = [pyspin.recv.Stream(pool, ring=ring, tag=tag) for tag in range(STREAMS)]
        for stream in streams:
            stream.add_udp_reader(port, bind_hostname="127.0.0.1", reuse_port=True)
        taken: list[pyspin.recv.Heap] = []
        for flow in range(flows):  # each from a port of its own
            packets = [heap_of(flow * heaps + i) for i in range(heaps)]
            send([packet for heap in packets for packet in heap], port)
            while len(taken) < (flow + 1) * heaps:  # no more than fits in a socket's buffer
                taken += ring.get_many(16, timeout=PATIENCE)
        for heap in taken:
            check(heap)
        assert sorted(heap.cnt for heap in taken) == list(range(flows * heaps))
        ways = {(heap.cnt // heaps, heap.tag) for heap in taken}
        assert len(ways) == flows
        assert len({tag for _, tag in ways}) > 1
        assert sum(stream.stats.heaps for stream in streams) == flows * heaps
        assert not any(stream.stats.incomplete_heaps_evicted for stream in streams)


@needs_ipv4
def test_streams_of_multicast_groups_fill_one_ring() -> None:
    """Each stream on a thread of its own, senders in C, a consumer that is slower than both."""
    count, port = 40, free_port()
    groups = [f"239.255.88.{91 + i}" for i in range(STREAMS)]
    with pyspin.ThreadPool(STREAMS) as pool, pyspin.recv.Ring(2) as ring:
        streams = [pyspin.recv.Stream(pool, ring=ring, tag=tag) for tag in range(STREAMS)]
        senders = []
        for stream, group in zip(streams, groups, strict=True):
            stream.add_udp_reader(group, port, interface_address="127.0.0.1")
            senders.append(
                pyspin.send.UdpStream(pool, group, port, ttl=0, interface_address="127.0.0.1")
            )
        items = pyspin.send.ItemGroup()
        items.add_item(0x1000, "values", "", (300,), np.int32)
        for i in range(count):
            for tag, sender in enumerate(senders):
                items["values"].value = np.full(300, tag * count + i, np.int32)
                sender.send_heap(items.get_heap(descriptors="all", data="all"))
        for sender in senders:
            sender.send_heap(items.get_end())
        values: list[list[int]] = [[] for _ in groups]
        received = pyspin.ItemGroup()
        for heap in ring:  # ends with the last stream
            received.update(heap)
            values[heap.tag].append(int(received["values"].value[[0, -1]].sum()) // 2)
        for tag, stream in enumerate(streams):
            assert values[tag] == list(range(tag * count, (tag + 1) * count))
            assert stream.stats.heaps == count
            assert stream.stopped


def test_a_full_ring_suspends_the_readers_of_all_its_streams() -> None:
    with pyspin.ThreadPool(STREAMS) as pool, pyspin.recv.Ring(1) as ring:
        streams = [pyspin.recv.Stream(pool, ring=ring, tag=tag) for tag in range(STREAMS)]
        ports = [bind(stream) for stream in streams]
        for tag, port in enumerate(ports):
            send(small_heaps(20, first=100 * tag), port)
        wait_until(lambda: all(stream.stats.worker_blocked for stream in streams), "suspension")
        taken = [ring.get(timeout=PATIENCE) for _ in range(20 * STREAMS)]
        for tag in range(STREAMS):
            cnts = [heap.cnt for heap in taken if heap.tag == tag]
            assert cnts == list(range(100 * tag, 100 * tag + 20))
