# SPDX-License-Identifier: Apache-2.0
"""EIEIO messages over UDP."""

from __future__ import annotations

from collections.abc import Callable

from pyspin.messages import (
    AbstractEIEIOMessage,
    EIEIOCommandMessage,
    EIEIODataMessage,
    read_eieio_message,
)

from .decoding import decoded_by
from .udp import UDPConnection

EIEIOMessage = EIEIODataMessage | EIEIOCommandMessage


class EIEIOConnection(UDPConnection):
    """A connection that carries EIEIO, through IP tags that strip the SDP header."""

    @decoded_by(read_eieio_message)
    def receive_eieio_message(self, timeout: float | None = None) -> EIEIOMessage:
        """Wait for a message: as `receive`, and EIEIOPacketParsingError if it is malformed."""
        return read_eieio_message(self.receive(timeout))

    def send_eieio_message(self, eieio_message: AbstractEIEIOMessage) -> None:
        """Send a message to the remote address."""
        self.send(eieio_message.bytestring)

    def send_eieio_message_to(
        self, eieio_message: AbstractEIEIOMessage, ip_address: str, port: int
    ) -> None:
        """Send a message to an address and port."""
        self.send_to(eieio_message.bytestring, (ip_address, port))

    def get_receive_method(self) -> Callable[[], EIEIOMessage]:
        """Return `receive_eieio_message`, for a listener."""
        return self.receive_eieio_message
