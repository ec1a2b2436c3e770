# SPDX-License-Identifier: Apache-2.0
"""`pyspin doctor`: what this machine gives a receiver, and what to change."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import psutil
from rich.console import Console
from rich.table import Table

# <linux/udp.h>; the headers of many C libraries lack them.
UDP_SEGMENT = 103
UDP_GRO = 104

# pyspin.recv.Stream.DEFAULT_UDP_BUFFER_SIZE
WANTED_BUFFER = 8388608


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    what: str
    good: bool
    found: str
    advice: str = ""


def buffers() -> Iterator[Finding]:
    """Tell whether the kernel grants the socket buffers that are asked for."""
    for name in ("rmem_max", "wmem_max"):
        size = int(Path(f"/proc/sys/net/core/{name}").read_text())
        wanted = WANTED_BUFFER if name == "rmem_max" else 524288
        advice = "" if size >= wanted else f"sysctl -w net.core.{name}={wanted}"
        yield Finding(f"socket buffer limit ({name})", size >= wanted, f"{size:,} bytes", advice)


def offloads() -> Iterator[Finding]:
    """Tell whether the kernel merges and cuts datagrams."""
    for name, option, value in (("UDP_GRO", UDP_GRO, 1), ("UDP_SEGMENT", UDP_SEGMENT, 1400)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.setsockopt(socket.IPPROTO_UDP, option, value)
                yield Finding(name, True, "the kernel has it")
            except OSError as error:
                yield Finding(name, False, str(error), "a kernel of 5.0 or newer has it")
    yield Finding(
        "merging of received packets",
        True,
        "depends on the sender",
        "the kernel merges no packets whose UDP checksum is zero, as many FPGA senders make "
        "them: compare stats.datagrams with stats.messages",
    )


def drops() -> Iterator[Finding]:
    """Tell how many datagrams all sockets of this host have lost to full buffers."""
    lines = [
        line.split()[1:]
        for line in Path("/proc/net/snmp").read_text().splitlines()
        if line.startswith("Udp:")
    ]
    lost = int(dict(zip(lines[0], lines[1], strict=True)).get("RcvbufErrors", 0))
    yield Finding(
        "datagrams lost to full buffers",
        lost == 0,
        f"{lost:,} since the machine started",
        "" if lost == 0 else "stats.kernel_drops tells which stream loses how many",
    )


def interfaces() -> Iterator[Finding]:
    """Tell which interfaces carry jumbo frames."""
    for name, stats in sorted(psutil.net_if_stats().items()):
        if not stats.isup or name == "lo":
            continue
        good = stats.mtu >= 9000
        advice = "" if good else f"for jumbo frames: ip link set {name} mtu 9000"
        speed = f", {stats.speed} Mb/s" if stats.speed else ""  # 0: unknown
        yield Finding(f"interface {name}", good, f"MTU {stats.mtu}{speed}", advice)


def processors() -> Iterator[Finding]:
    """Tell how many processors this process may use."""
    usable = len(os.sched_getaffinity(0))
    yield Finding(
        "processors",
        usable >= 2,
        f"{usable} of {psutil.cpu_count()} usable",
        "" if usable >= 2 else "receiver and consumer share one processor",
    )


def memory() -> Iterator[Finding]:
    """Tell whether huge pages are set aside."""
    fields = dict(
        line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines() if ":" in line
    )
    free = int(fields.get("HugePages_Free", "0").split()[0])
    yield Finding(
        "huge pages",
        free > 0,
        f"{free} free of {fields.get('Hugepagesize', 'unknown').strip()}",
        "" if free else "for MmapAllocator(prefer_huge=True): sysctl -w vm.nr_hugepages=64",
    )


def packet_ring() -> Iterator[Finding]:
    """Tell whether the packet-ring reader may be used."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
        yield Finding("packet-ring reader", True, "this process has CAP_NET_RAW")
    except OSError as error:
        advice = "setcap cap_net_raw+ep on the Python interpreter, or run with that capability"
        yield Finding("packet-ring reader", False, str(error), advice)


CHECKS: list[Callable[[], Iterator[Finding]]] = [
    buffers,
    offloads,
    drops,
    interfaces,
    processors,
    memory,
    packet_ring,
]


def findings() -> Iterator[Finding]:
    """Look at everything; what a container hides is a finding too."""
    for check in CHECKS:
        try:
            yield from check()
        except OSError as error:
            yield Finding(check.__name__, False, "not to be seen from here", str(error))


@click.command()
def doctor() -> None:
    """Look at this machine as a receiver and say what to change."""
    table = Table("", "what", "found", header_style="bold")
    table.add_column("advice", overflow="fold")
    for finding in findings():
        mark = "[green]ok[/]" if finding.good else "[yellow]look[/]"
        table.add_row(mark, finding.what, finding.found, finding.advice)
    Console().print(table)
