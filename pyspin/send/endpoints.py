# SPDX-License-Identifier: Apache-2.0
"""Where a UDP stream sends to: the forms of its arguments, names to addresses, the socket."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from ..arguments import INT_MAX, index, instance, integer
from ..errors import socket_errors
from .config import StreamConfig

DEFAULT_BUFFER_SIZE = 524288
"""Bytes asked for the socket's send buffer."""

Endpoint = tuple[str, int]

Argument = str | int | Sequence[Endpoint] | StreamConfig | socket.socket | None
"""What `UdpStream` takes by position after its thread pool, in one form or another."""


class Arguments(TypedDict, total=False):
    """What `UdpStream` takes by name, in one form or another."""

    hostname: str
    multicast_group: str
    port: int
    endpoints: Sequence[Endpoint]
    config: StreamConfig
    buffer_size: int
    socket: socket.socket | None
    ttl: int | None
    interface_address: str
    interface_index: int | None


_logger = logging.getLogger("pyspin")

_HOST_NAMES = ("hostname", "port", "config", "buffer_size")
_LIST_NAMES = ("endpoints", "config", "buffer_size")
_SOCKET_NAMES = ("socket", "endpoints", "config")


@dataclass
class Destination:
    """The arguments of a UDP stream after its thread pool, whatever their form."""

    endpoints: list[Endpoint]
    config: StreamConfig = field(default_factory=StreamConfig)
    buffer_size: int = DEFAULT_BUFFER_SIZE
    socket: socket.socket | None = None
    ttl: int | None = None
    interface_address: str | None = None
    interface_index: int | None = None


@dataclass(frozen=True)
class Address:
    """A resolved endpoint."""

    family: int
    host: str  # numeric
    port: int
    scope: int

    @property
    def is_multicast(self) -> bool:
        return ipaddress.ip_address(self.host.partition("%")[0]).is_multicast


def parse_destination(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Destination:
    """Return what the arguments say, in any of the forms that `UdpStream` shows."""
    named = _name_arguments(args, kwargs)
    if "multicast_group" in named:
        instance("multicast_group", named["multicast_group"], str)
        named["hostname"] = named.pop("multicast_group")
    endpoints = _endpoints(named.pop("endpoints", None))
    if "hostname" in named or "port" in named:
        try:
            endpoints.insert(0, (named.pop("hostname"), named.pop("port")))
        except KeyError as error:
            raise TypeError(f"missing argument {error}") from None
    for name in named:
        if name not in Destination.__dataclass_fields__:
            raise TypeError(f"unexpected argument {name!r}")
    destination = Destination(endpoints, **named)
    _check(destination)
    return destination


def _endpoints(endpoints: Iterable[Endpoint] | None) -> list[Endpoint]:
    try:
        return list(endpoints or ())
    except TypeError:
        raise TypeError(f"endpoints must be a list of pairs, not {endpoints!r}") from None


def _name_arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    names: tuple[str, ...] = _HOST_NAMES
    if args and isinstance(args[0], socket.socket):
        names = _SOCKET_NAMES
    elif args and not isinstance(args[0], str | bytes):  # bytes are no list, but a bad name
        names = _LIST_NAMES
    named = dict(zip(names, args, strict=False))
    if names is _SOCKET_NAMES:
        named["buffer_size"] = 0  # as its owner has set it
    for option in args[len(names) :]:
        name = _name_option(option)
        if name == "ttl" and name in named:
            name = "interface_index"
        if name in named:
            raise TypeError(f"too many arguments: {option!r}")
        named[name] = option
    for name, value in kwargs.items():
        if name in named:
            raise TypeError(f"argument {name!r} was given twice")
        named[name] = value
    return named


def _name_option(option: Any) -> str:
    """Return the name of an argument behind buffer_size, which its type tells."""
    if option is None or isinstance(option, socket.socket):
        return "socket"
    return "interface_address" if isinstance(option, str) else "ttl"


def _check(destination: Destination) -> None:
    instance("config", destination.config, StreamConfig)
    if destination.socket is not None:
        instance("socket", destination.socket, socket.socket)
        if destination.socket.type != socket.SOCK_DGRAM:
            raise ValueError(f"socket must be one of UDP, not {destination.socket!r}")
    if not destination.endpoints:
        raise ValueError("endpoints must not be empty")
    destination.endpoints = [_check_endpoint(endpoint) for endpoint in destination.endpoints]
    integer("buffer_size", destination.buffer_size, 0)
    if destination.ttl is not None:
        integer("ttl", destination.ttl, 0, 255)
    if destination.interface_index is not None:
        integer("interface_index", destination.interface_index, 0, INT_MAX)
    if destination.interface_address is not None:
        instance("interface_address", destination.interface_address, str)


def _check_endpoint(endpoint: Endpoint) -> Endpoint:
    try:
        host, port = endpoint
    except (TypeError, ValueError):
        raise TypeError(f"endpoints must be (host, port), not {endpoint!r}") from None
    instance("hostname", host, str)
    number = 0 if isinstance(port, bool) else index("port", port)
    if not 1 <= number <= 65535:
        raise TypeError(f"port must be an int in 1..65535, not {port!r}")
    return host, number


def resolve(
    endpoints: Iterable[Endpoint], family: int, argument: str = "endpoint"
) -> list[Address]:
    """Return the first address of each endpoint; all must be of one family.

    `family` is that of the socket, or AF_UNSPEC for that of the first. `SocketError` for a
    name that is not known, `ValueError` for an address of another family.
    """
    addresses: list[Address] = []
    for host, port in endpoints:
        with socket_errors(f"cannot resolve {argument} {host!r}"):
            found = socket.getaddrinfo(host or None, port, type=socket.SOCK_DGRAM)
        usable = [entry for entry in found if family in (socket.AF_UNSPEC, entry[0])]
        if not usable:
            raise ValueError(f"{argument} {host!r} is not of the family of the socket")
        family, name = usable[0][0], usable[0][4]
        scope = int(name[3]) if len(name) == 4 else 0
        addresses.append(Address(family, str(name[0]).partition("%")[0], int(name[1]), scope))
    return addresses


def open_socket(destination: Destination) -> tuple[socket.socket, list[Address]]:
    """Return a socket that is ready to send, and where to; the caller closes it.

    A socket that was given is duplicated. `SocketError` where the system refuses.
    """
    given = destination.socket
    addresses = resolve(destination.endpoints, given.family if given else socket.AF_UNSPEC)
    with socket_errors(f"cannot send to {addresses[0].host} port {addresses[0].port}"):
        sock = given.dup() if given else socket.socket(addresses[0].family, socket.SOCK_DGRAM)
        try:
            _configure(sock, destination, addresses)
        except BaseException:
            sock.close()
            raise
    return sock, addresses


def _configure(sock: socket.socket, destination: Destination, addresses: list[Address]) -> None:
    is_ipv6 = sock.family == socket.AF_INET6
    all_multicast = all(address.is_multicast for address in addresses)
    if destination.ttl is not None:
        if not all_multicast:
            raise ValueError(f"ttl {destination.ttl} needs a multicast group as destination")
        _set_ttl(sock, destination.ttl, is_ipv6)
    if destination.interface_index is not None:
        if not (all_multicast and is_ipv6):
            raise ValueError("interface_index needs an IPv6 multicast group as destination")
        number = destination.interface_index
        with socket_errors(f"interface_index {number}"):
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, number)
    if destination.interface_address:
        _set_interface(sock, destination, all_multicast and not is_ipv6)
    if destination.buffer_size:
        _set_buffer_size(sock, destination.buffer_size)


def _set_ttl(sock: socket.socket, ttl: int, is_ipv6: bool) -> None:
    if is_ipv6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)


def _set_interface(sock: socket.socket, destination: Destination, multicast: bool) -> None:
    """For a group the interface to send from, otherwise the source address."""
    name = str(destination.interface_address)
    (local,) = resolve([(name, 0)], sock.family, "interface_address")
    if destination.ttl is not None and not multicast:
        raise ValueError("interface_address needs an IPv4 multicast group as destination")
    with socket_errors(f"interface_address {name!r}"):
        if multicast:
            packed = socket.inet_pton(socket.AF_INET, local.host)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, packed)
        else:
            sock.bind((local.host, 0))


def _set_buffer_size(sock: socket.socket, size: int) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
    # Linux doubles what is asked for, to cover its own overhead, and reports that.
    actual = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    if actual < size:
        _logger.warning(
            "send buffer of %d bytes asked for but only %d received; see net.core.wmem_max",
            size,
            actual,
        )
