# SPDX-License-Identifier: Apache-2.0
"""A virtual SpiNNaker board: a SCAMP that answers on loopback, for tests and learning.

    with VirtualBoard(5) as board:
        ...  # talk SCP to board.host, board.port

The model (`Board`) knows nothing of sockets; `VirtualBoard` puts it behind one, with
a network between that loses, repeats, delays and reorders as its `Impairment` says.
"""

from .geometry import Geometry, geometry_of
from .model import Board, Message, Outgoing
from .network import Impairment, Line
from .server import BoardStats, VirtualBoard

__all__ = [
    "Board",
    "BoardStats",
    "Geometry",
    "Impairment",
    "Line",
    "Message",
    "Outgoing",
    "VirtualBoard",
    "geometry_of",
]
