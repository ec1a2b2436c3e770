# SPDX-License-Identifier: Apache-2.0
"""Connections to boards that have not been booted."""

from __future__ import annotations

from collections.abc import Callable

from pyspin.messages import SpinnakerBootMessage

from .decoding import decoded_by
from .udp import UDPConnection

# The port of the boot ROM, and the one from which unbooted boards announce themselves
# (spinnaker_tools, ``bootrom``, BOOT_PORT).
UDP_BOOT_CONNECTION_DEFAULT_PORT = 54321


class BootConnection(UDPConnection):
    """A connection to the boot ROM of a board.

    The ROM needs a pause between messages; how long is for the caller to say.
    """

    def __init__(self, remote_host: str | None = None) -> None:
        super().__init__(remote_host=remote_host, remote_port=UDP_BOOT_CONNECTION_DEFAULT_PORT)

    def send_boot_message(self, boot_message: SpinnakerBootMessage) -> None:
        """Send a message."""
        self.send(boot_message.bytestring)

    @decoded_by(SpinnakerBootMessage.from_bytestring)
    def receive_boot_message(self, timeout: float | None = None) -> SpinnakerBootMessage:
        """Wait for a message: as `receive`, and InvalidPacketError if it is malformed."""
        return SpinnakerBootMessage.from_bytestring(self.receive(timeout))

    def get_receive_method(self) -> Callable[[], SpinnakerBootMessage]:
        """Return `receive_boot_message`, for a listener."""
        return self.receive_boot_message


class IPAddressesConnection(UDPConnection):
    """Hears the announcements of boards that wait to be booted, every four seconds or so."""

    def __init__(
        self,
        local_host: str | None = None,
        local_port: int = UDP_BOOT_CONNECTION_DEFAULT_PORT,
    ) -> None:
        super().__init__(local_host, local_port)

    def receive_ip_address(self, timeout: float | None = None) -> str | None:
        """Wait for a datagram: the address of the board, None if it came from no boot ROM."""
        _, (host, port) = self.receive_with_address(timeout)
        return host if port == UDP_BOOT_CONNECTION_DEFAULT_PORT else None

    def get_receive_method(self) -> Callable[[], str | None]:
        """Return `receive_ip_address`, for a listener."""
        return self.receive_ip_address
