# SPDX-License-Identifier: Apache-2.0
"""Requests to the board management processor: power, version, FPGA registers.

It is addressed as chip (0, 0), port 0, with the board in the place of the core (spinnaker_tools,
``bmp`` documentation).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from pyspin.arguments import integer, member, seconds

from .enums import BMPInfo, PowerCommand, SCPCommand
from .scp import (
    AbstractSCPRequest,
    AbstractSCPResponse,
    CheckOKResponse,
    PlainRequest,
    check_word,
    read_word,
)
from .version import VersionInfo

_REGISTER_BYTES = 4
_MAX_BOARD = 23
_MAX_DELAY = 65.535  # milliseconds in 16 bits

R_co = TypeVar("R_co", bound=AbstractSCPResponse, covariant=True)


class BMPRequest(AbstractSCPRequest[R_co]):
    """A request to one board, or through one board to several."""

    __slots__ = ("boards",)

    boards: tuple[int, ...]

    def _set_board(self, board: int) -> int:
        """Address one board, and return its number."""
        number = integer("board", board, 0, _MAX_BOARD)
        self.boards = (number,)
        return number

    def get_first_board(self) -> int:
        """Return the least of the boards."""
        return min(self.boards)

    def get_board_mask(self) -> int:
        """Return a bit for each board."""
        mask = 0
        for board in self.boards:
            mask |= 1 << board
        return mask


class BMPVersionResponse(CheckOKResponse):
    """The version, in `version_info`; `p` is the block of code, `x` and `y` mean the board."""

    __slots__ = ("version_info",)

    version_info: VersionInfo

    def __init__(self) -> None:
        super().__init__("Get BMP version", SCPCommand.CMD_VER)

    def _read_payload(self, data: bytes, offset: int) -> None:
        self.version_info = VersionInfo(data, offset)


class BMPGetVersion(BMPRequest[BMPVersionResponse]):
    """Ask a BMP which software it runs."""

    __slots__ = ()
    is_idempotent = True

    def __init__(self, board: int) -> None:
        self._set(0, 0, self._set_board(board), SCPCommand.CMD_VER)

    def get_scp_response(self) -> BMPVersionResponse:
        return BMPVersionResponse()


class SetPower(PlainRequest, BMPRequest[CheckOKResponse]):
    """Switch boards on or off, `delay` seconds after one another.

    Switching on takes seconds: allow ten, and do not retry.
    """

    __slots__ = ()
    operation = "Set board power"

    def __init__(
        self,
        power_command: PowerCommand,
        boards: int | Iterable[int],
        *,
        delay: float = 0.0,
        board_to_send_to: int = 0,
    ) -> None:
        self.boards = _numbers(boards)
        delay_ms = int(seconds("delay", delay, _MAX_DELAY) * 1000)
        self._set(
            0,
            0,
            integer("board_to_send_to", board_to_send_to, 0, _MAX_BOARD),
            SCPCommand.CMD_BMP_POWER,
            delay_ms << 16 | member("power_command", power_command, PowerCommand),
            self.get_board_mask(),
        )


class BMPInfoResponse(CheckOKResponse):
    """What the BMP told, in `payload`."""

    __slots__ = ("payload",)

    payload: bytes

    def __init__(self) -> None:
        super().__init__("Get BMP information", SCPCommand.CMD_BMP_INFO)

    def _read_payload(self, data: bytes, offset: int) -> None:
        self.payload = data[offset:]


class GetBMPInfo(BMPRequest[BMPInfoResponse]):
    """Ask a BMP for its serial number, the state of its bus, its sensors or its addresses."""

    __slots__ = ()

    def __init__(self, board: int, info: BMPInfo) -> None:
        what = member("info", info, BMPInfo)
        self._set(0, 0, self._set_board(board), SCPCommand.CMD_BMP_INFO, what)

    def get_scp_response(self) -> BMPInfoResponse:
        return BMPInfoResponse()


class FPGARegisterResponse(CheckOKResponse):
    """The register, in `fpga_register`."""

    __slots__ = ("fpga_register",)

    fpga_register: int

    def __init__(self) -> None:
        super().__init__("Read FPGA register", SCPCommand.CMD_LINK_READ)

    def _read_payload(self, data: bytes, offset: int) -> None:
        self.fpga_register = read_word("reply to an FPGA register read", data, offset)


class ReadFPGARegister(BMPRequest[FPGARegisterResponse]):
    """Read the register at an address of FPGA 0, 1 or 2 of a board."""

    __slots__ = ()

    def __init__(self, fpga_num: int, register: int, board: int) -> None:
        self._set(
            0,
            0,
            self._set_board(board),
            SCPCommand.CMD_LINK_READ,
            check_word("register", register) & ~3,
            _REGISTER_BYTES,
            _checked_fpga(fpga_num),
        )

    def get_scp_response(self) -> FPGARegisterResponse:
        return FPGARegisterResponse()


class WriteFPGARegister(PlainRequest, BMPRequest[CheckOKResponse]):
    """Write the register at an address of FPGA 0, 1 or 2 of a board."""

    __slots__ = ()
    operation = "Write FPGA register"

    def __init__(self, fpga_num: int, address: int, value: int, board: int) -> None:
        self._set(
            0,
            0,
            self._set_board(board),
            SCPCommand.CMD_LINK_WRITE,
            check_word("address", address) & ~3,
            _REGISTER_BYTES,
            _checked_fpga(fpga_num),
            check_word("value", value).to_bytes(_REGISTER_BYTES, "little"),
        )


def _checked_fpga(fpga_num: int) -> int:
    return integer("fpga_num", fpga_num, 0, 2)


def _numbers(boards: int | Iterable[int]) -> tuple[int, ...]:
    """Return the numbers of a board or of several."""
    several = boards if isinstance(boards, Iterable) else (boards,)
    return tuple(integer("boards", board, 0, _MAX_BOARD) for board in several)
