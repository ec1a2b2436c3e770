# SPDX-License-Identifier: Apache-2.0
"""SDP messages over UDP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyspin.arguments import integer
from pyspin.messages import SDPMessage

from .decoding import decoded_by
from .udp import UDPConnection

# Two bytes that carry nothing come before every SDP header in a UDP datagram.
PAD = b"\0\0"


def decode_sdp(data: bytes) -> SDPMessage:
    """Read the SDP message of a datagram. InvalidPacketError if it is cut."""
    return SDPMessage.from_bytestring(data, len(PAD))


class SDPConnection(UDPConnection):
    """A connection to the machine that carries SDP, through the chip (chip_x, chip_y)."""

    def __init__(
        self,
        chip_x: int | None = None,
        chip_y: int | None = None,
        local_host: str | None = None,
        local_port: int | None = None,
        remote_host: str | None = None,
        remote_port: int | None = None,
        **settings: Any,
    ) -> None:
        self._chip_x = 0 if chip_x is None else integer("chip_x", chip_x, 0, 0xFF)
        self._chip_y = 0 if chip_y is None else integer("chip_y", chip_y, 0, 0xFF)
        super().__init__(local_host, local_port, remote_host, remote_port, **settings)

    @decoded_by(decode_sdp)
    def receive_sdp_message(self, timeout: float | None = None) -> SDPMessage:
        """Wait for a message: as `receive`, and InvalidPacketError if it is cut."""
        return decode_sdp(self.receive(timeout))

    def send_sdp_message(self, sdp_message: SDPMessage) -> None:
        """Send a message; one that wants a reply gets this host as its source."""
        if sdp_message.sdp_header.is_reply_expected:
            sdp_message.sdp_header.update_for_send(self._chip_x, self._chip_y)
        self.send(PAD + sdp_message.bytestring)

    def get_receive_method(self) -> Callable[[], SDPMessage]:
        """Return `receive_sdp_message`, for a listener."""
        return self.receive_sdp_message
