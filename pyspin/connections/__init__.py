# SPDX-License-Identifier: Apache-2.0
"""Connections to SpiNNaker machines, and what listens to them and drives them."""

from pyspin.messages import NobodyListensError

from .abstract import AbstractSCPConnection, Connection, Listenable
from .bmp import BMPConnection, BMPConnectionData
from .boot import UDP_BOOT_CONNECTION_DEFAULT_PORT, BootConnection, IPAddressesConnection
from .bulk import BulkTransfer
from .eieio import EIEIOConnection
from .listener import ConnectionListener
from .pipeline import SCPRequestPipeLine
from .scamp import SCP_SCAMP_PORT, SCAMPConnection
from .sdp import SDPConnection
from .token_bucket import TokenBucket
from .udp import UDPConnection

__all__ = [
    "SCP_SCAMP_PORT",
    "UDP_BOOT_CONNECTION_DEFAULT_PORT",
    "AbstractSCPConnection",
    "BMPConnection",
    "BMPConnectionData",
    "BootConnection",
    "BulkTransfer",
    "Connection",
    "ConnectionListener",
    "EIEIOConnection",
    "IPAddressesConnection",
    "Listenable",
    "NobodyListensError",
    "SCAMPConnection",
    "SCPRequestPipeLine",
    "SDPConnection",
    "TokenBucket",
    "UDPConnection",
]
