# SPDX-License-Identifier: Apache-2.0
"""SDP and SCP as a board reads and writes them.

A datagram is two zero bytes, the SDP header (8), the SCP header (4), three
arguments (12) and up to 256 bytes of data. SpiNNaker application notes 4 (SDP)
and 5 (SCP).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from ..messages import SCPResult

__all__ = ["Refusal", "Request"]

SDP = struct.Struct("<2x4BHH")  # flags, tag, destination and source port, both chips
SCP = struct.Struct("<2H3I")  # command, sequence, arguments
BUFFER_BYTES = 256
"""The most data of a request or a reply."""
SDP_BYTES = SDP.size
REQUEST_BYTES = SDP.size + SCP.size
MAX_DATAGRAM = 2 + 24 + BUFFER_BYTES
REPLY_WANTED = 0x80
ANY_TAG = 255


class Refusal(Exception):
    """A request is answered with a result code other than OK."""

    def __init__(self, result: SCPResult) -> None:
        super().__init__(result.name)
        self.result = result


class Request(NamedTuple):
    """The SCP part of a request, and where it came from."""

    command: int
    sequence: int
    arg1: int
    arg2: int
    arg3: int
    data: bytes
    sender: tuple[str, int]
