# SPDX-License-Identifier: Apache-2.0
"""SDP and SCP as a board reads and writes them.

A datagram is two zero bytes, the SDP header (8), the SCP header (4), three
arguments (12) and up to 256 bytes of data. SpiNNaker application notes 4 (SDP)
and 5 (SCP).
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

__all__ = ["Command", "Refusal", "Request", "Result"]

SDP = struct.Struct("<2x4BHH")  # flags, tag, destination and source port, both chips
SCP = struct.Struct("<2H3I")  # command, sequence, arguments
SDP_BYTES = SDP.size
REQUEST_BYTES = SDP.size + SCP.size
MAX_DATAGRAM = 2 + 24 + 256
REPLY_WANTED = 0x80
ANY_TAG = 255


class Command(enum.IntEnum):
    """Commands that the virtual board knows."""

    VER = 0
    READ = 2
    WRITE = 3
    FILL = 5
    COUNT = 15
    LINK_READ = 17
    LINK_WRITE = 18
    AR = 19
    NNP = 20
    APP_COPY_RUN = 21
    SIG = 22
    FFD = 23
    AS = 24
    LED = 25
    IPTAG = 26
    ALLOC = 28
    RTR = 29
    INFO = 31
    SYNC = 32


class Result(enum.IntEnum):
    """Result codes of replies."""

    OK = 0x80
    LEN = 0x81
    SUM = 0x82
    CMD = 0x83
    ARG = 0x84
    PORT = 0x85
    TIMEOUT = 0x86
    ROUTE = 0x87
    CPU = 0x88
    DEAD = 0x89
    BUF = 0x8A
    P2P_NOREPLY = 0x8B
    P2P_REJECT = 0x8C
    P2P_BUSY = 0x8D
    P2P_TIMEOUT = 0x8E
    PKT_TX = 0x8F


class Refusal(Exception):
    """A request is answered with a result code other than OK."""

    def __init__(self, result: Result) -> None:
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
