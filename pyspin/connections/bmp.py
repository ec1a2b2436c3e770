# SPDX-License-Identifier: Apache-2.0
"""The connection to a board management processor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pyspin.arguments import integer

from .scamp import SCP_SCAMP_PORT, SCAMPConnection

_MAX_BOARD = 23  # of a frame


@dataclass(frozen=True)
class BMPConnectionData:
    """Where a BMP is: its address, the boards it manages, its port (None: the usual one)."""

    ip_address: str
    boards: Sequence[int] = (0,)
    port_num: int | None = None


class BMPConnection(SCAMPConnection):
    """A connection to a BMP, which answers SCP as chip (0, 0)."""

    def __init__(self, connection_data: BMPConnectionData, **settings: Any) -> None:
        port, boards = connection_data.port_num, connection_data.boards
        if not isinstance(boards, Iterable):
            raise TypeError(f"boards must be a list of numbers, not {boards!r}")
        self._boards = tuple(integer("boards", board, 0, _MAX_BOARD) for board in boards)
        super().__init__(
            0,
            0,
            remote_host=connection_data.ip_address,
            remote_port=SCP_SCAMP_PORT if port is None else port,
            **settings,
        )

    @property
    def boards(self) -> Sequence[int]:
        """The boards that the BMP manages."""
        return self._boards
