# SPDX-License-Identifier: Apache-2.0
"""Devices that will not cut messages into packets; in a network namespace of its own.

The loopback device of the namespace gets the MTU of Ethernet, and refuses to cut packets that are
larger, as a network card does.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from patience import PATIENCE

TESTS = str(Path(__file__).parent)

PROLOGUE = f"""
import ctypes, fcntl, os, socket, struct, sys
sys.path.insert(0, {TESTS!r})
CLONE_NEWNET, SIOCSIFFLAGS, SIOCSIFMTU, IFF_UP = 0x40000000, 0x8914, 0x8922, 1
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(CLONE_NEWNET) != 0:
    print(os.strerror(ctypes.get_errno()))
    sys.exit(77)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    fcntl.ioctl(sock, SIOCSIFMTU, struct.pack("16si12x", b"lo", 1500))
    fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))

import pyspin
from pyspin.send import StreamConfig, UdpStream
from sending import check_arrives, make_heap, packets_of, receiver

def send(max_packet_size, sock=None):
    "Send two heaps, check that they arrive, and return the statistics."
    heap = make_heap(100000)
    with receiver() as receiving:
        config = StreamConfig(max_packet_size)
        with UdpStream(pool, *receiving.getsockname(), config, socket=sock) as stream:
            for cnt in (1, 2):
                stream.send_heap(heap)
                check_arrives(receiving, heap, cnt, max_packet_size)
    return stream.stats

pool = pyspin.ThreadPool()
"""


def run(body: str) -> None:
    script = PROLOGUE + textwrap.dedent(body)
    child = subprocess.run(
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if child.returncode == 77:
        pytest.skip(f"no network namespaces: {child.stdout.strip()}")
    assert child.returncode == 0, child.stderr


def test_packets_that_fit_the_device_share_messages() -> None:
    run("""
        stats = send(1472)
        assert stats.gso_refused == 0
        assert stats.messages < stats.packets
    """)


def test_larger_packets_are_refused_once_and_then_go_alone() -> None:
    run("""
        stats = send(8240)
        assert stats.gso_refused == 1
        assert stats.messages == stats.packets
        assert stats.heaps == 2 and stats.errors == 0
    """)


def test_packets_that_may_not_be_fragmented_are_an_error() -> None:
    run("""
        IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        with sock, UdpStream(pool, "127.0.0.1", 9, StreamConfig(8240), socket=sock) as stream:
            for _ in range(2):
                try:
                    stream.send_heap(make_heap(100000))
                except OSError as error:
                    assert error.errno == 90, error
                else:
                    raise AssertionError("sent")
        assert stream.stats.errors == 2
    """)
