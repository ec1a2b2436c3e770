# SPDX-License-Identifier: Apache-2.0
"""A virtual SpiNNaker board: a SCAMP that answers on loopback, for tests and learning.

    with VirtualBoard(5) as board:
        ...  # talk SCP to board.host, board.port

The model (`Machine`, and a `Board` for each Ethernet chip) knows nothing of sockets;
`VirtualBoard` puts it behind some, with a network between that loses, repeats, delays
and reorders as its `Impairment` says.
"""

from .geometry import Geometry, geometry_of, torus_of
from .machine import Machine
from .model import Board, Message, Outgoing
from .network import Impairment, Line
from .server import BoardAddress, VirtualBoard
from .stats import BoardStats

__all__ = [
    "Board",
    "BoardAddress",
    "BoardStats",
    "Geometry",
    "Impairment",
    "Line",
    "Machine",
    "Message",
    "Outgoing",
    "VirtualBoard",
    "geometry_of",
    "torus_of",
]
