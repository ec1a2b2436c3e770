# SPDX-License-Identifier: Apache-2.0
"""CMD_IPTAG: the tags by which a board sends SDP to hosts, and takes UDP from them."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

from pyspin.arguments import integer, member

from .enums import IPTagCommand, IPTagTimeOutWaitTime, SCPCommand
from .errors import InvalidPacketError
from .scp import AbstractSCPRequest, CheckOKResponse, PlainRequest, check_byte

# Flag bits of the first argument of SET (spinnaker_tools, ``scamp-cmd.c``, cmd_iptag).
_STRIP = 1 << 28
_REVERSE = 1 << 29
_USE_SENDER = 1 << 30

# Address, MAC, port, timeout, flags, count, receive port, y, x, port and core.
_TAG = struct.Struct("<4s6sHHHIHBBB")
_IN_USE = 0x8000
_TRANSIENT = 0x4000
_ARP = 0x2000
_IS_REVERSE = 0x0200
_IS_STRIP = 0x0100

# TTO with this code asks and changes nothing.
_READ_ONLY = 255
_MAX_TAG = 7


def _operation(operation: IPTagCommand, tag: int) -> int:
    return operation << 16 | integer("tag", tag, 0, _MAX_TAG)


def _check_port(port: int) -> int:
    return integer("port", port, 0, 0xFFFF)


def _address(host: str | bytes | bytearray | Sequence[int]) -> int:
    try:
        octets = ipaddress.IPv4Address(host).packed if isinstance(host, str) else bytes([*host])
    except TypeError:
        raise TypeError(f"host must be an IPv4 address, not {host!r}") from None
    except ValueError:
        octets = b""
    if len(octets) != 4:
        raise ValueError(f"host must be an IPv4 address, not {host!r}")
    return int.from_bytes(octets, "little")


class IPTagSet(PlainRequest):
    """Let a tag send to a host: `host` is four octets, or dotted text.

    `strip` sends the data without its SDP header; `use_sender` takes the address and the port
    that this request comes from.
    """

    __slots__ = ()
    operation = "Set IP tag"
    is_idempotent = True

    def __init__(
        self,
        x: int,
        y: int,
        host: str | bytes | bytearray | Sequence[int],
        port: int,
        tag: int,
        *,
        strip: bool = False,
        use_sender: bool = False,
    ) -> None:
        flags = bool(strip) * _STRIP | bool(use_sender) * _USE_SENDER
        self._set(
            x,
            y,
            0,
            SCPCommand.CMD_IPTAG,
            flags | _operation(IPTagCommand.SET, tag),
            _check_port(port),
            _address(host),
        )


class ReverseIPTagSet(PlainRequest):
    """Let a board hand UDP data from `port` on to a core, as SDP to its `sdp_port`."""

    __slots__ = ()
    operation = "Set reverse IP tag"
    is_idempotent = True

    def __init__(
        self,
        x: int,
        y: int,
        destination_x: int,
        destination_y: int,
        destination_p: int,
        port: int,
        tag: int,
        sdp_port: int,
    ) -> None:
        chip = check_byte("destination_x", destination_x) << 8
        chip |= check_byte("destination_y", destination_y)
        target = integer("sdp_port", sdp_port, 0, 7) << 5
        target |= integer("destination_p", destination_p, 0, 31)
        self._set(
            x,
            y,
            0,
            SCPCommand.CMD_IPTAG,
            _REVERSE | _STRIP | _operation(IPTagCommand.SET, tag) | target << 8,
            chip << 16 | _check_port(port),
        )


class IPTagClear(PlainRequest):
    """Free a tag."""

    __slots__ = ()
    operation = "Clear IP tag"

    def __init__(self, x: int, y: int, tag: int) -> None:
        self._set(x, y, 0, SCPCommand.CMD_IPTAG, _operation(IPTagCommand.CLR, tag))


class IPTagGetResponse(CheckOKResponse):
    """The state of a tag.

    `ip_address` and `mac_address` as bytes; `port`; `timeout` in 10 ms; `flags` and what they
    mean in the properties; `count` of messages sent; `rx_port`; the chip, port and core that a
    reverse tag leads to.
    """

    __slots__ = (
        "_place",
        "count",
        "flags",
        "ip_address",
        "mac_address",
        "port",
        "rx_port",
        "spin_chip_x",
        "spin_chip_y",
        "timeout",
    )

    def __init__(self) -> None:
        super().__init__("Get IP tag", SCPCommand.CMD_IPTAG)

    def _read_payload(self, data: bytes, offset: int) -> None:
        try:
            (
                self.ip_address,
                self.mac_address,
                self.port,
                self.timeout,
                self.flags,
                self.count,
                self.rx_port,
                self.spin_chip_y,
                self.spin_chip_x,
                self._place,
            ) = _TAG.unpack_from(data, offset)
        except struct.error as error:
            raise InvalidPacketError("IP tag", str(error)) from error

    @property
    def in_use(self) -> bool:
        """Whether the tag is set."""
        return bool(self.flags & _IN_USE)

    @property
    def is_temporary(self) -> bool:
        """Whether the tag lives for one reply only."""
        return bool(self.flags & _TRANSIENT)

    @property
    def is_arp(self) -> bool:
        """Whether the board still looks for the MAC address."""
        return bool(self.flags & _ARP)

    @property
    def is_reverse(self) -> bool:
        """Whether it takes UDP from a host."""
        return bool(self.flags & _IS_REVERSE)

    @property
    def strip_sdp(self) -> bool:
        """Whether SDP headers are taken off."""
        return bool(self.flags & _IS_STRIP)

    @property
    def spin_port(self) -> int:
        """The SDP port that a reverse tag leads to."""
        return int(self._place) >> 5

    @property
    def spin_cpu(self) -> int:
        """The core that a reverse tag leads to."""
        return int(self._place) & 31


class IPTagGet(AbstractSCPRequest[IPTagGetResponse]):
    """Ask for the state of a tag."""

    __slots__ = ()
    is_idempotent = True

    def __init__(self, x: int, y: int, tag: int) -> None:
        # The second argument is how many tags to read.
        self._set(x, y, 0, SCPCommand.CMD_IPTAG, _operation(IPTagCommand.GET, tag), 1)

    def get_scp_response(self) -> IPTagGetResponse:
        return IPTagGetResponse()


class IPTagGetInfoResponse(CheckOKResponse):
    """How a board's tags are set up.

    `transient_timeout`; `pool_size`, transient tags, which bound the requests that a board can
    answer at once; `fixed_size`, tags for users.
    """

    __slots__ = ("fixed_size", "pool_size", "transient_timeout")

    transient_timeout: IPTagTimeOutWaitTime | int

    def __init__(self) -> None:
        super().__init__("Get IP tag information", SCPCommand.CMD_IPTAG)

    def _read_payload(self, data: bytes, offset: int) -> None:
        if len(data) - offset < 4:
            raise InvalidPacketError("IP tag information", f"{len(data) - offset} bytes")
        code = data[offset]
        self.transient_timeout = IPTagTimeOutWaitTime(code) if 1 <= code <= 9 else code
        self.pool_size = data[offset + 2]
        self.fixed_size = data[offset + 3]


class IPTagGetInfo(AbstractSCPRequest[IPTagGetInfoResponse]):
    """Ask a board how its tags are set up."""

    __slots__ = ()
    is_idempotent = True

    def __init__(self, x: int, y: int) -> None:
        self._set(x, y, 0, SCPCommand.CMD_IPTAG, IPTagCommand.TTO << 16, _READ_ONLY)

    def get_scp_response(self) -> IPTagGetInfoResponse:
        return IPTagGetInfoResponse()


class IPTagSetTTO(AbstractSCPRequest[IPTagGetInfoResponse]):
    """Set how long a board keeps a transient tag without a reply."""

    __slots__ = ()

    def __init__(self, x: int, y: int, tag_timeout: IPTagTimeOutWaitTime) -> None:
        code = member("tag_timeout", tag_timeout, IPTagTimeOutWaitTime)
        self._set(x, y, 0, SCPCommand.CMD_IPTAG, IPTagCommand.TTO << 16, code)

    def get_scp_response(self) -> IPTagGetInfoResponse:
        return IPTagGetInfoResponse()
