# SPDX-License-Identifier: Apache-2.0
"""SCP requests and responses over UDP: the connection to a board's SC&MP."""

from __future__ import annotations

import struct
from typing import Any

from pyspin.arguments import integer
from pyspin.messages import AbstractSCPRequest, SCPResult, scp_result

from . import bulk
from .abstract import AbstractSCPConnection
from .bulk import B, Progress
from .sdp import PAD, SDPConnection
from .udp import deadline_of, seconds_left

# Where SC&MP and BC&MP listen (spinnaker_tools, ``spinnaker.h``, SDP_PORT).
SCP_SCAMP_PORT = 17893

# Pad and SDP header come before the result and the sequence number.
_RESULT = struct.Struct("<10xHH")
Response = tuple[SCPResult | int, int, bytes, int]


class SCAMPConnection(SDPConnection, AbstractSCPConnection):
    """A connection to the SC&MP of the board whose Ethernet chip is (chip_x, chip_y).

    (255, 255) stands for the chip at the other end, whatever its coordinates.
    """

    def __init__(
        self,
        chip_x: int = 255,
        chip_y: int = 255,
        local_host: str | None = None,
        local_port: int | None = None,
        remote_host: str | None = None,
        remote_port: int | None = None,
        **settings: Any,
    ) -> None:
        if remote_port is None:
            remote_port = SCP_SCAMP_PORT
        super().__init__(
            chip_x, chip_y, local_host, local_port, remote_host, remote_port, **settings
        )
        self._n_malformed = 0

    @property
    def chip_x(self) -> int:
        """The x coordinate of the board's Ethernet chip."""
        return self._chip_x

    @property
    def chip_y(self) -> int:
        """The y coordinate of the board's Ethernet chip."""
        return self._chip_y

    @property
    def n_malformed(self) -> int:
        """How many datagrams were too short to be responses, and were passed over."""
        return self._n_malformed

    def update_chip_coordinates(self, x: int, y: int) -> None:
        """Set the coordinates, once the machine has told them."""
        self._chip_x, self._chip_y = integer("x", x, 0, 0xFF), integer("y", y, 0, 0xFF)

    def get_scp_data(
        self, scp_request: AbstractSCPRequest[Any], x: int | None = None, y: int | None = None
    ) -> bytes:
        """Return the datagram of a request whose reply comes back through chip (x, y).

        By default that is this connection's chip. SpiNNMan's requests will do as well.
        """
        x = self._chip_x if x is None else integer("x", x, 0, 0xFF)
        y = self._chip_y if y is None else integer("y", y, 0, 0xFF)
        # Asked this way because isinstance of an abstract class costs more than the rendering.
        render = getattr(scp_request, "datagram_from", None)
        if render is not None:
            data: bytes = render(x, y)
            return data
        if not hasattr(scp_request, "sdp_header"):
            raise TypeError(f"scp_request must be an SCP request, not {scp_request!r}")
        scp_request.sdp_header.update_for_send(x, y)
        return PAD + scp_request.bytestring

    def send_scp_request(self, scp_request: AbstractSCPRequest[Any]) -> None:
        """Send a request once."""
        self.send(self.get_scp_data(scp_request))

    def send_scp_request_to(
        self, scp_request: AbstractSCPRequest[Any], x: int, y: int, ip_address: str
    ) -> None:
        """Send a request once to another board, at an address, as if from its chip (x, y)."""
        self.send_to(self.get_scp_data(scp_request, x, y), (ip_address, SCP_SCAMP_PORT))

    def receive_scp_response(self, timeout: float | None = 1.0) -> Response:
        """Wait for a response: (result, sequence, datagram, offset of its SDP header).

        Datagrams too short to be one are counted and passed over. SpinnakerTimeoutError.
        """
        deadline = deadline_of(timeout)
        while True:
            data = self.receive(seconds_left(deadline))
            if len(data) >= _RESULT.size:
                result, sequence = _RESULT.unpack_from(data)
                return scp_result(result), sequence, data, len(PAD)
            self._n_malformed += 1

    def receive_scp_response_with_address(
        self, timeout: float | None = 1.0
    ) -> tuple[SCPResult | int, int, bytes, int, str, int]:
        """Wait for a response, and add the address and the port that it came from."""
        deadline = deadline_of(timeout)
        while True:
            data, (host, port) = self.receive_with_address(seconds_left(deadline))
            if len(data) >= _RESULT.size:
                result, sequence = _RESULT.unpack_from(data)
                return scp_result(result), sequence, data, len(PAD), host, port
            self._n_malformed += 1

    # ---- memory in bulk; see bulk.py

    def read_memory(
        self,
        x: int,
        y: int,
        base_address: int,
        length: int,
        cpu: int = 0,
        *,
        out: B | None = None,
        progress: Progress | None = None,
    ) -> B | bytearray:
        """Read `length` bytes of the memory of chip (x, y), any number from any address.

        They land in `out`, a writable contiguous buffer of `length` bytes such as a numpy
        array, or else in a new bytearray; returned is what they landed in. `progress` is called
        with (bytes done, bytes in all) now and then. Raise SpinnakerTimeoutError,
        UnexpectedResponseCodeError, SpinnakerIOError or ConnectionClosedError; ValueError
        names an argument that is out of range. Thread-safe.
        """
        return bulk.read_memory(self, x, y, base_address, length, cpu, out=out, progress=progress)

    def write_memory(
        self,
        x: int,
        y: int,
        base_address: int,
        data: Any,
        cpu: int = 0,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Write `data`, any contiguous buffer, to the memory of chip (x, y) at any address.

        `progress` and exceptions are those of `read_memory`. Thread-safe.
        """
        bulk.write_memory(self, x, y, base_address, data, cpu, progress=progress)

    def fill_memory(
        self,
        x: int,
        y: int,
        base_address: int,
        word: int,
        length: int,
        cpu: int = 0,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Fill `length` bytes of chip (x, y) with a 32-bit word; both ends word-aligned."""
        bulk.fill_memory(self, x, y, base_address, word, length, cpu, progress=progress)

    def read_link(
        self,
        x: int,
        y: int,
        link: int,
        base_address: int,
        length: int,
        cpu: int = 0,
        *,
        out: B | None = None,
        progress: Progress | None = None,
    ) -> B | bytearray:
        """Read the memory of the neighbour of chip (x, y) over a link, in words.

        Otherwise as `read_memory`, but a lost request is waited for until its time is up.
        """
        return bulk.read_link(
            self, x, y, link, base_address, length, cpu, out=out, progress=progress
        )

    def write_link(
        self,
        x: int,
        y: int,
        link: int,
        base_address: int,
        data: Any,
        cpu: int = 0,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Write the memory of the neighbour of chip (x, y) over a link, in words."""
        bulk.write_link(self, x, y, link, base_address, data, cpu, progress=progress)

    def flood_fill(self, base_address: int, data: Any, *, progress: Progress | None = None) -> None:
        """Write `data` to the same address of every chip of the machine; nothing is started.

        `data` is whole words, at most 65 280 bytes.
        """
        bulk.flood_fill(self, base_address, data, progress=progress)
