# SPDX-License-Identifier: Apache-2.0
"""The configuration of a packet-ring reader, and the socket that holds its port.

The ring (AF_PACKET, TPACKET_V3) sees frames before any socket does, and holds no port itself. So
a UDP socket is bound beside it whose filter rejects every datagram: nobody else takes the port, no
ICMP "port unreachable" goes out, multicast groups are joined, and the kernel copies nothing twice.
"""

from __future__ import annotations

import contextlib
import errno
import math
import mmap
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any

from .._ffi import check, ffi, lib
from ..arguments import INT_MAX, integer, seconds
from ..errors import SocketError, socket_errors
from ..topology import interface_index
from . import sockets

# <asm/socket.h> and <linux/filter.h>; Python's socket module lacks them.
SO_ATTACH_FILTER = 26
_RETURN_NOTHING = struct.pack("=HBBI", 0x06, 0, 0, 0)

FANOUT_MODES = {"hash": 0, "cpu": 2}


def _interface_index(interface: str | int) -> int:
    if not isinstance(interface, str):
        return integer("interface", interface, 0)
    with socket_errors("packet ring"):
        return interface_index(interface)


def _attach_rejecting_filter(sock: socket.socket) -> None:
    program = ffi.new("char[]", _RETURN_NOTHING)
    fprog = struct.pack("@HP", 1, int(ffi.cast("uintptr_t", program)))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)


def open_guard(family: int, host: str, port: int, interface: int) -> int:
    """Bind a socket that rejects everything to the port; a multicast group is joined."""
    address = (host, port) if family == socket.AF_INET else (host, port, 0, interface)
    what = f"cannot hold {host} port {port}"
    with socket_errors(what), socket.socket(family, socket.SOCK_DGRAM) as sock:
        _attach_rejecting_filter(sock)
        group = sockets.is_multicast(address)
        if group:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        if group and family == socket.AF_INET:
            # struct ip_mreqn: the interface by its index
            request = socket.inet_aton(host) + struct.pack("@4si", bytes(4), interface)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        elif group:
            request = socket.inet_pton(family, host.partition("%")[0])
            request += struct.pack("@I", interface)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        return sock.detach()


@dataclass(frozen=True)
class Options:
    """What `Stream.add_packet_ring_reader` was given, checked."""

    interface: str | int
    port: int
    address: str
    max_size: int
    block_size: int
    block_count: int
    block_timeout: float
    fanout: int | None
    fanout_mode: str
    reject: bool
    all_protocols: bool

    def __post_init__(self) -> None:
        sockets.check_port(self.port)
        if self.port == 0:
            raise TypeError("port must be from 1 to 65535, not 0")
        self._check_block()
        integer("max_size", self.max_size, 1)
        if self.fanout is not None:
            integer("fanout", self.fanout, 0, 65535)
        if self.fanout_mode not in list(FANOUT_MODES):
            modes = " or ".join(map(repr, FANOUT_MODES))
            raise ValueError(f"fanout_mode must be {modes}, not {self.fanout_mode!r}")

    def _check_block(self) -> None:
        page = mmap.PAGESIZE
        if integer("block_size", self.block_size, page) % page:
            size = self.block_size
            raise ValueError(f"block_size must be a multiple of {page} bytes, not {size}")
        integer("block_count", self.block_count, 1, INT_MAX // 64)
        if seconds("block_timeout", self.block_timeout, 60) < 0.001:
            least, given = "0.001 seconds", self.block_timeout
            raise ValueError(f"block_timeout must be at least {least}, not {given!r}")


def _available_memory() -> float:
    """Return the bytes that may still be had, as far as the system tells.

    psutil knows them too, but importing pyspin is to load no more than cffi and numpy.
    """
    with contextlib.suppress(OSError), open("/proc/meminfo") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return math.inf


def _check_memory(size: int) -> None:
    """Raise for a ring for which the kernel would end processes rather than refuse it."""
    if size > _available_memory():
        raise MemoryError(f"no memory for a packet ring of {size} bytes")


def add(stream: Any, options: Options) -> None:
    """Open ring and guard and give them to the C stream `stream`."""
    _check_memory(options.block_size * options.block_count)
    index = _interface_index(options.interface)
    family, (host, *_) = sockets.bind_address("address", options.address, options.port)
    any_address = host in ("0.0.0.0", "::")
    packed = b"" if any_address else socket.inet_pton(family, host.partition("%")[0])
    guard = open_guard(family, host, options.port, index) if options.reject else -1
    config = {
        "interface_index": index,
        "port": options.port,
        "is_ipv6": family == socket.AF_INET6,
        "any_address": any_address,
        "address": packed.ljust(16, b"\0"),
        "max_size": options.max_size,
        "block_size": options.block_size,
        "block_count": options.block_count,
        "block_timeout_ms": round(options.block_timeout * 1000),
        "all_protocols": bool(options.all_protocols),
        "fanout_group": -1 if options.fanout is None else options.fanout,
        "fanout_mode": FANOUT_MODES[options.fanout_mode],
        "guard_fd": guard,
    }
    try:
        _add(stream, ffi.new("spn_packet_ring_config *", config), options.interface)
    except BaseException:
        if guard >= 0:
            os.close(guard)
        raise


def _add(stream: Any, config: Any, interface: str | int) -> None:
    code = lib.spn_stream_add_packet_ring_reader(stream, config)
    if code == -errno.EPERM:
        raise PermissionError(
            errno.EPERM,
            "a packet ring needs CAP_NET_RAW: run as root, or grant it with "
            "`setcap cap_net_raw+ep` on the Python interpreter",
        )
    if code == -errno.ENOMEM:
        size = config.block_size * config.block_count
        raise MemoryError(f"no memory for a packet ring of {size} bytes")
    if code < 0 and code > -4096:
        what = f"packet ring on interface {interface!r}"
        if config.fanout_group >= 0:  # one may differ from the others in the group
            what += f" in fanout group {config.fanout_group}"
        raise SocketError(-code, f"{what}: {os.strerror(-code)}")
    check(code)
