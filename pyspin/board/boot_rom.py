# SPDX-License-Identifier: Apache-2.0
"""The boot ROM of a machine that has just been powered: it wants an image, and no SCP.

The image comes in blocks of up to 1024 bytes, at most 32 of them, between a start that
says how many and a control message that runs it. Boot messages are big-endian
(SpiNNaker datasheet, boot ROM; SpiNNaker application note 3).
"""

from __future__ import annotations

from ..messages import SpinnakerBootMessage, SpinnakerBootOpCode
from ..messages.errors import InvalidPacketError

__all__ = ["BOOT_PORT", "BootRom"]

BOOT_PORT = 54321
MAX_BLOCKS = 32
MAX_DATAGRAM = 18 + 1024


class BootRom:
    """Collects an image. Sans-I/O."""

    def __init__(self) -> None:
        self.refused = 0
        """Datagrams that were no boot message, or came out of order."""
        self._expected: int | None = None
        self._blocks: dict[int, bytes] = {}

    @property
    def image(self) -> bytes:
        """The image as far as it has come, in the byte order in which it travelled."""
        return b"".join(block for _, block in sorted(self._blocks.items()))

    def receive(self, datagram: bytes) -> bool:
        """Take a datagram to the boot port; True if it started a complete image."""
        try:
            if len(datagram) > MAX_DATAGRAM:
                raise InvalidPacketError("boot message", f"{len(datagram)} bytes")
            message = SpinnakerBootMessage.from_bytestring(datagram)
        except InvalidPacketError:
            self.refused += 1
            return False
        if message.opcode is SpinnakerBootOpCode.FLOOD_FILL_START:
            self._start(message.operand_3 + 1)
        elif message.opcode is SpinnakerBootOpCode.FLOOD_FILL_BLOCK:
            self._block(message.operand_1 & 0xFF, message.data or b"")
        elif message.opcode is SpinnakerBootOpCode.FLOOD_FILL_CONTROL:
            return self._complete()
        return False

    def _start(self, blocks: int) -> None:
        self._blocks = {}
        self._expected = blocks if blocks <= MAX_BLOCKS else None
        self.refused += self._expected is None

    def _block(self, number: int, data: bytes) -> None:
        if self._expected is None or number >= self._expected:
            self.refused += 1
            return
        self._blocks[number] = data

    def _complete(self) -> bool:
        complete = self._expected is not None and len(self._blocks) == self._expected
        self.refused += not complete
        return complete
