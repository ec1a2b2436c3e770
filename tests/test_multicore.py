# SPDX-License-Identifier: Apache-2.0
"""Several threads, streams and memory nodes: what they share, and what they may take."""

from __future__ import annotations

import fcntl
import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path

import packets as p
import pytest
from receiving import bind, send, small_heaps, wait_until

import pyspin
import pyspin.recv
from pyspin import topology

HUGE = 2 << 20
RESERVED = Path("/proc/sys/vm/nr_hugepages")


def field(address: int, name: str) -> str:
    """Return a field of the line of /proc/self/numa_maps or smaps that has the address."""
    path, separator = ("numa_maps", "=") if name == "N0" else ("smaps", ":")
    text = Path(f"/proc/self/{path}").read_text()
    begins = re.finditer(r"^([0-9a-f]+)(-[0-9a-f]+)? .*$", text, re.M)
    begin = max((m for m in begins if int(m[1], 16) <= address), key=lambda m: int(m[1], 16))
    found = re.search(rf"\b{name}{separator}\s*(\S+)", text[begin.start() :])
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
    assert field(array.ctypes.data, "N0") == "40"  # all of them, before anybody touched them
    assert not array.any()


def test_a_pool_of_a_node_serves_a_stream(on_node_0: pyspin.MmapAllocator) -> None:
    pool = pyspin.MemoryPool(1, 1 << 16, 4, 2, on_node_0)
    with pyspin.recv.Stream(pyspin.ThreadPool(), allocator=pool) as stream:
        send(p.heap_packets(5, bytes(9000), [p.addressed(0x1000, 0)]), bind(stream))
        assert len(stream.get(timeout=30).get_items()[0]) == 9000
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
    with pytest.raises(OSError, match="no interface"):
        pyspin.processors_near("nowhere0")
    with pytest.raises(OSError, match="no interface"):
        pyspin.numa_node_near("nowhere0")


# ---- huge pages ----


@pytest.fixture
def huge_pages() -> Iterator[None]:
    """Reserve eight huge pages for the time of a test."""
    if mmap.PAGESIZE != 4096 or os.geteuid() != 0 or not RESERVED.exists():
        pytest.skip("only root may reserve huge pages")
    with RESERVED.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of other runs of these tests
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
        assert field(array.ctypes.data, "KernelPageSize") == "2048"
        array[:] = 1


@pytest.mark.usefixtures("huge_pages")
def test_ordinary_pages_come_when_huge_ones_run_out() -> None:
    allocator = pyspin.MmapAllocator(prefer_huge=True)
    arrays = [allocator.allocate(HUGE) for _ in range(100)]
    sizes = [field(array.ctypes.data, "KernelPageSize") for array in (arrays[0], arrays[-1])]
    assert sizes == ["2048", "4"]


def received(huge_pages: bool) -> bytes:
    payload = bytes(range(256)) * 16
    with pyspin.recv.Stream(pyspin.ThreadPool()) as stream:
        port = bind(stream, huge_pages=huge_pages)
        send(p.heap_packets(5, payload, [p.addressed(0x1000, 0)], size=1000), port)
        assert bytes(stream.get(timeout=30).get_items()[0]) == payload
        return Path("/proc/self/smaps").read_bytes()


@pytest.mark.parametrize("huge_pages", [False, True])
def test_datagrams_land_in_huge_pages_or_in_others(huge_pages: bool) -> None:
    received(huge_pages)


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
        assert [stream.get(timeout=30).cnt for _ in range(20)] == list(range(1, 21))
        wait_until(lambda: "S" not in states(thread, 50), "spinning again")
        stream.stop()
        wait_until(lambda: states(thread, 1) == {"S"}, "sleep after the stream's end")
        bind(second := pyspin.recv.Stream(pool))
    assert second.stopped


def test_spin_is_a_keyword() -> None:
    with pytest.raises(TypeError):
        pyspin.ThreadPool(1, [], True)  # type: ignore[call-arg]
