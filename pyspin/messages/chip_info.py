# SPDX-License-Identifier: Apache-2.0
"""CMD_INFO: what a chip has: cores and their states, links, memory, its Ethernet."""

from __future__ import annotations

import struct

from .enums import CPUState, SCPCommand
from .errors import InvalidPacketError
from .scp import AbstractSCPRequest, CheckOKResponse

# Counts and flags, largest SDRAM and system RAM block, core states, Ethernet chip, address
# (spinnaker_tools, ``scamp-cmd.c``, cmd_info).
_SUMMARY = struct.Struct("<III18s2B4s")
# Later versions add the link to the parent in the boot tree.
_PARENT = struct.Struct("<H")
# Everything but the flag that asks for the size too, which boards ignore.
_INFO = 0x5F
_INFO_WITH_SIZE = 0x7F
_LINKS = 6


class ChipSummaryInfo:
    """What one chip answered to CMD_INFO.

    `n_cores`; `core_states`, a state for each of them; `working_links`, a list of 0..5;
    `largest_free_sdram_block` and `largest_free_sram_block` in bytes;
    `n_free_multicast_routing_entries`; `is_ethernet_available`; `nearest_ethernet_x` and `_y`;
    `ethernet_ip_address`, None if there is none; `parent_link`, None from old versions.
    """

    __slots__ = (
        "core_states",
        "ethernet_ip_address",
        "is_ethernet_available",
        "largest_free_sdram_block",
        "largest_free_sram_block",
        "n_cores",
        "n_free_multicast_routing_entries",
        "nearest_ethernet_x",
        "nearest_ethernet_y",
        "parent_link",
        "working_links",
        "x",
        "y",
    )

    def __init__(self, chip_summary_data: bytes, offset: int, x: int, y: int) -> None:
        try:
            (
                flags,
                self.largest_free_sdram_block,
                self.largest_free_sram_block,
                states,
                self.nearest_ethernet_y,
                self.nearest_ethernet_x,
                address,
            ) = _SUMMARY.unpack_from(chip_summary_data, offset)
        except struct.error as error:
            raise InvalidPacketError("chip info", str(error)) from error
        self.x, self.y = x, y
        self.n_cores = min(flags & 0x1F, len(states))
        self.core_states = [_state(state) for state in states[: self.n_cores]]
        self.working_links = [link for link in range(_LINKS) if flags >> (8 + link) & 1]
        self.n_free_multicast_routing_entries = flags >> 14 & 0x7FF
        self.is_ethernet_available = bool(flags >> 25 & 1)
        text = ".".join(str(byte) for byte in address)
        self.ethernet_ip_address = text if any(address) else None
        self.parent_link: int | None = None
        if len(chip_summary_data) >= offset + _SUMMARY.size + _PARENT.size:
            (self.parent_link,) = _PARENT.unpack_from(chip_summary_data, offset + _SUMMARY.size)

    def __repr__(self) -> str:
        return f"chip ({self.x}, {self.y}) with {self.n_cores} cores"


def _state(number: int) -> CPUState | int:
    return CPUState(number) if number <= CPUState.IDLE else number


class GetChipInfoResponse(CheckOKResponse):
    """The chip's summary, in `chip_info`; the chip is the one that answered."""

    __slots__ = ("chip_info",)

    chip_info: ChipSummaryInfo

    def __init__(self) -> None:
        super().__init__("Get chip info", SCPCommand.CMD_INFO)

    def _read_payload(self, data: bytes, offset: int) -> None:
        # The source of the reply, y before x, ends two bytes before the SCP header.
        y, x = data[offset - 6], data[offset - 5]
        self.chip_info = ChipSummaryInfo(data, offset, x, y)


class GetChipInfo(AbstractSCPRequest[GetChipInfoResponse]):
    """Ask a chip what it has."""

    __slots__ = ()
    is_idempotent = True

    def __init__(self, x: int, y: int, with_size: bool = False) -> None:
        self._set(x, y, 0, SCPCommand.CMD_INFO, _INFO_WITH_SIZE if with_size else _INFO)

    def get_scp_response(self) -> GetChipInfoResponse:
        return GetChipInfoResponse()
