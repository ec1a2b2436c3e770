# SPDX-License-Identifier: Apache-2.0
"""UDP sockets for readers: made, sized, bound and joined to their group.

Each function returns a descriptor that the caller owns. Every error of the system or of
name resolution becomes `SocketError`.
"""

from __future__ import annotations

import ipaddress
import logging
import operator
import os
import socket
import struct
from typing import Any

from ..arguments import instance, integer
from ..errors import socket_errors

_logger = logging.getLogger("pyspin")

Address = tuple[Any, ...]


def check_port(port: object) -> int:
    """Return a port as an int; TypeError if it is none, as the contract's peers raise."""
    try:
        number = operator.index(port)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"port must be an integer, not {port!r}") from None
    if not 0 <= number <= 65535:
        raise TypeError(f"port must be from 0 to 65535, not {number}")
    return number


def resolve(host: str, port: int, family: socket.AddressFamily) -> tuple[int, Address]:
    """Return family and socket address of the first address that `host` resolves to."""
    with socket_errors(f"cannot resolve {host!r}"):
        found = socket.getaddrinfo(host, port, family, socket.SOCK_DGRAM)
    return found[0][0], found[0][4]


def is_multicast(address: Address) -> bool:
    """Whether a socket address is a multicast group's."""
    return ipaddress.ip_address(address[0].partition("%")[0]).is_multicast


def _set_buffer_size(sock: socket.socket, size: int) -> None:
    """Ask for a receive buffer; log a warning when the kernel gives a smaller one.

    Linux reports twice what it granted (socket(7), SO_RCVBUF), so the test is lenient.
    """
    if size == 0:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    actual = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    if actual < size:
        _logger.warning(
            "requested a socket buffer of %d bytes but got %d: raise net.core.rmem_max",
            size,
            actual,
        )


def _join(sock: socket.socket, family: int, group: Address, interface: bytes) -> None:
    if family == socket.AF_INET:
        request = socket.inet_aton(group[0]) + interface
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    else:
        request = socket.inet_pton(family, group[0].partition("%")[0]) + interface
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)


def _default_interface(family: int) -> bytes:
    return bytes(4) if family == socket.AF_INET else struct.pack("@I", 0)


def _set_up(
    sock: socket.socket,
    family: int,
    address: Address,
    buffer_size: int,
    interface: bytes | None,
    reuse_port: bool,
) -> None:
    """Size and bind a socket, and join the group when there is an interface for it."""
    _set_buffer_size(sock, buffer_size)
    if interface is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(address)
    if interface is not None:
        _join(sock, family, address, interface)


def _open(
    family: int,
    address: Address,
    buffer_size: int,
    interface: bytes | None = None,
    reuse_port: bool = False,
) -> int:
    with (
        socket_errors(f"cannot receive on {address[0]} port {address[1]}"),
        socket.socket(family, socket.SOCK_DGRAM) as sock,
    ):
        _set_up(sock, family, address, buffer_size, interface, reuse_port)
        return sock.detach()


def bind_address(name: str, hostname: str, port: int) -> tuple[int, Address]:
    """Return family and socket address to bind to; '' is any IPv4 address.

    `name` is that of the argument, for errors.
    """
    instance(name, hostname, str)
    if not hostname:
        return socket.AF_INET, ("0.0.0.0", port)
    return resolve(hostname, port, socket.AF_UNSPEC)


def open_unicast(port: int, bind_hostname: str, buffer_size: int, reuse_port: bool) -> int:
    """Bind to a host; '' is any IPv4 address. A multicast group is joined as well."""
    family, address = bind_address("bind_hostname", bind_hostname, port)
    interface = _default_interface(family) if is_multicast(address) else None
    return _open(family, address, buffer_size, interface, reuse_port)


def adopt_socket(
    own: socket.socket, port: int, bind_hostname: str, buffer_size: int, reuse_port: bool
) -> int:
    """Bind a duplicate of the caller's own socket, which may be closed at once."""
    if not isinstance(own, socket.socket):
        raise TypeError(f"socket must be a socket.socket, not {own!r}")
    family = own.family
    if own.type != socket.SOCK_DGRAM or family not in (socket.AF_INET, socket.AF_INET6):
        raise ValueError(f"socket must be a UDP socket, not {own!r}")
    address: Address
    instance("bind_hostname", bind_hostname, str)
    if bind_hostname:
        _, address = resolve(bind_hostname, port, family)
    else:
        address = ("0.0.0.0" if family == socket.AF_INET else "::", port)
    interface = _default_interface(family) if is_multicast(address) else None
    with (
        socket_errors(f"cannot receive on {address[0]} port {port}"),
        socket.socket(fileno=os.dup(own.fileno())) as sock,
    ):
        _set_up(sock, family, address, buffer_size, interface, reuse_port)
        return sock.detach()


def _resolve_group(group: str, port: int, family: socket.AddressFamily) -> Address:
    """Return the address of a multicast group; ValueError if it is none of the family."""
    instance("multicast_group", group, str)
    version = "IPv4" if family == socket.AF_INET else "IPv6"
    found, address = resolve(group, port, socket.AF_UNSPEC)
    if found != family or not is_multicast(address):
        raise ValueError(f"multicast_group must be an {version} multicast group, not {group!r}")
    return address


def open_multicast_ipv4(
    group: str, port: int, interface_address: str, buffer_size: int, reuse_port: bool
) -> int:
    """Join a group on the interface with this address; '' lets the system choose."""
    address = _resolve_group(group, port, socket.AF_INET)
    interface = bytes(4)
    instance("interface_address", interface_address, str)
    if interface_address:
        _, (host, *_) = resolve(interface_address, 0, socket.AF_INET)
        interface = socket.inet_aton(host)
    return _open(socket.AF_INET, address, buffer_size, interface, reuse_port)


def open_multicast_ipv6(
    group: str, port: int, interface_index: int, buffer_size: int, reuse_port: bool
) -> int:
    """Join a group on the interface with this index; 0 lets the system choose."""
    interface_index = integer("interface_index", interface_index, 0)
    host = _resolve_group(group, port, socket.AF_INET6)[0]
    address = (host, port, 0, interface_index)
    interface = struct.pack("@I", interface_index)
    return _open(socket.AF_INET6, address, buffer_size, interface, reuse_port)
