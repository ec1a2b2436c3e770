# SPDX-License-Identifier: Apache-2.0
"""CMD_VER: which software runs on a core, and whether the machine is up."""

from __future__ import annotations

import struct

from pyspin.arguments import integer

from .enums import SCPCommand
from .errors import InvalidPacketError
from .scp import AbstractSCPRequest, CheckOKResponse

# Virtual and physical core, y, x, buffer size, version, build time; then strings.
_VERSION = struct.Struct("<4BHHI")
# A version of 0xFFFF says that it is in the second string (spinnaker_tools, ``scamp-cmd.c``).
_VERSION_IN_TEXT = 0xFFFF


class VersionInfo:
    """What a core says about itself.

    `name` and `hardware` as in ``SC&MP/SpiNNaker``; `version_number` a triple; `x`, `y` and `p`
    its place, where (255, 255) means that the machine is not ready; `physical_p` its physical
    number; `buffer_size` the most data bytes of a request; `build_date` in Unix seconds.
    """

    __slots__ = (
        "buffer_size",
        "build_date",
        "hardware",
        "name",
        "p",
        "physical_p",
        "version_number",
        "version_string",
        "x",
        "y",
    )

    def __init__(self, version_data: bytes, offset: int = 0) -> None:
        try:
            (
                self.p,
                self.physical_p,
                self.y,
                self.x,
                self.buffer_size,
                version,
                self.build_date,
            ) = _VERSION.unpack_from(version_data, offset)
            text = bytes(version_data[offset + _VERSION.size :]).decode("ascii")
            strings = text.split("\0")
            self.name, self.hardware = strings[0].rstrip().split("/", 1)
            if version == _VERSION_IN_TEXT:
                self.version_string = strings[1]
                numbers = [int(number) for number in strings[1].split("-")[0].split(".")]
                major, minor, patch = (*numbers, 0, 0)[:3]
            else:
                self.version_string = strings[0]
                major, minor, patch = version // 100, version % 100, 0
        except (struct.error, ValueError, IndexError) as error:
            raise InvalidPacketError("version", str(error)) from error
        self.version_number: tuple[int, int, int] = (major, minor, patch)

    def __repr__(self) -> str:
        number = ".".join(str(part) for part in self.version_number)
        return f"{self.name}/{self.hardware} {number} at ({self.x}, {self.y}, {self.p})"


class GetVersionResponse(CheckOKResponse):
    """The version, in `version_info`."""

    __slots__ = ("version_info",)

    version_info: VersionInfo

    def __init__(self) -> None:
        super().__init__("Get version", SCPCommand.CMD_VER)

    def _read_payload(self, data: bytes, offset: int) -> None:
        self.version_info = VersionInfo(data, offset)


class GetVersion(AbstractSCPRequest[GetVersionResponse]):
    """Ask core (x, y, p) which software it runs."""

    __slots__ = ()
    is_idempotent = True

    def __init__(self, x: int, y: int, p: int) -> None:
        self._set(x, y, integer("p", p, 0, 31), SCPCommand.CMD_VER)

    def get_scp_response(self) -> GetVersionResponse:
        return GetVersionResponse()
