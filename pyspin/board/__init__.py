# SPDX-License-Identifier: Apache-2.0
"""A virtual SpiNNaker board: a SCAMP that knows nothing of sockets."""

from .cores import CoreState, Signal
from .geometry import Geometry, geometry_of
from .model import Board, Message, Outgoing
from .wire import Command, Result

__all__ = [
    "Board",
    "Command",
    "CoreState",
    "Geometry",
    "Message",
    "Outgoing",
    "Result",
    "Signal",
    "geometry_of",
]
