# SPDX-License-Identifier: Apache-2.0
"""The EIEIO protocol: events and commands between hosts and SpiNNaker cores."""

from .commands import (
    EIEIOCommandHeader,
    EIEIOCommandMessage,
    EventStopRequest,
    HostDataRead,
    HostDataReadAck,
    HostSendSequencedData,
    NotificationProtocolDatabaseLocation,
    NotificationProtocolPauseStop,
    NotificationProtocolStartResume,
    PaddingRequest,
    SpinnakerRequestBuffers,
    SpinnakerRequestReadData,
    StartRequests,
    StopRequests,
    read_eieio_command_message,
    read_eieio_data_message,
    read_eieio_message,
)
from .data import (
    AbstractDataElement,
    EIEIODataHeader,
    EIEIODataMessage,
    KeyDataElement,
    KeyPayloadDataElement,
)
from .types import (
    AbstractEIEIOMessage,
    EIEIOCommandID,
    EIEIOPrefix,
    EIEIOType,
)

__all__ = [
    "AbstractDataElement",
    "AbstractEIEIOMessage",
    "EIEIOCommandHeader",
    "EIEIOCommandID",
    "EIEIOCommandMessage",
    "EIEIODataHeader",
    "EIEIODataMessage",
    "EIEIOPrefix",
    "EIEIOType",
    "EventStopRequest",
    "HostDataRead",
    "HostDataReadAck",
    "HostSendSequencedData",
    "KeyDataElement",
    "KeyPayloadDataElement",
    "NotificationProtocolDatabaseLocation",
    "NotificationProtocolPauseStop",
    "NotificationProtocolStartResume",
    "PaddingRequest",
    "SpinnakerRequestBuffers",
    "SpinnakerRequestReadData",
    "StartRequests",
    "StopRequests",
    "read_eieio_command_message",
    "read_eieio_data_message",
    "read_eieio_message",
]
