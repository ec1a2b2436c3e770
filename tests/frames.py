# SPDX-License-Identifier: Apache-2.0
"""Ethernet frames of UDP datagrams, written from the protocols; shares nothing with pyspin."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

UDP = 17
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60


def checksum(data: bytes) -> int:
    """Return the checksum of RFC 1071."""
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def udp(
    payload: bytes,
    source: str,
    target: str,
    port: int,
    *,
    length: int | None = None,
    damage: int = 0,
) -> bytes:
    """Return a UDP datagram; `damage` changes the checksum, -1 leaves it out."""
    length = 8 + len(payload) if length is None else length
    header = struct.pack(">HHHH", 1234, port, length, 0)
    addresses = b"".join(socket.inet_pton(_family(each), each) for each in (source, target))
    pseudo = addresses + struct.pack(">HH", UDP, length)
    found = (checksum(pseudo + header + payload) or 0xFFFF) ^ damage if damage >= 0 else 0
    return header[:6] + struct.pack(">H", found) + payload


def ipv4(
    body: bytes,
    source: str,
    target: str,
    *,
    options: bytes = b"",
    fragment: int = 0,
    more: int = 0,
    damage: int = 0,
) -> bytes:
    """Return an IPv4 packet whose total length is said to be `more` than it is."""
    size = 20 + len(options)
    fields = (0x40 | size // 4, 0, size + len(body) + more, 77, fragment, 64, UDP, 0)
    header = struct.pack(">BBHHHBBH", *fields)
    header += socket.inet_pton(socket.AF_INET, source) + socket.inet_pton(socket.AF_INET, target)
    header += options
    return header[:10] + struct.pack(">H", checksum(header) ^ damage) + header[12:] + body


def ipv6(
    body: bytes,
    source: str,
    target: str,
    *,
    more: int = 0,
    chain: Sequence[tuple[int, bytes]] = (),
) -> bytes:
    """Return an IPv6 packet whose payload is said to be `more` than it is.

    `chain` is its extension headers: the kind of each, and what follows the first byte.
    """
    kinds = [*(kind for kind, _ in chain), UDP]
    between = zip(kinds[1:], chain, strict=True)
    body = b"".join(bytes([after]) + rest for after, (_, rest) in between) + body
    header = struct.pack(">IHBB", 6 << 28, len(body) + more, kinds[0], 64)
    header += socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    return header + body


def ethernet(body: bytes, source: bytes, target: bytes, *, tags: tuple[int, ...] = ()) -> bytes:
    """Return a frame with the VLAN tags (TCI of IEEE 802.1Q), the outermost first."""
    vlan = b"".join(struct.pack(">HH", 0x8100, tag) for tag in tags)
    kind = 0x86DD if body[0] >> 4 == 6 else 0x0800
    return target + source + vlan + struct.pack(">H", kind) + body


def group_hardware(group: str) -> bytes:
    """Return the hardware address of a multicast group (RFC 1112, RFC 2464)."""
    packed = socket.inet_pton(_family(group), group)
    if ":" in group:
        return b"\x33\x33" + packed[-4:]
    return b"\x01\x00\x5e" + bytes([packed[1] & 0x7F]) + packed[2:]
