# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between a host and a SpiNNaker machine.

::

    PyspinError
      SpinnakerError
        InvalidPacketError            (ValueError)     bytes that are no such message
          EIEIOPacketParsingError
        SpinnakerIOError              (OSError)        the socket reported an error
          ConnectionClosedError       (EOFError)       the connection was closed
          NobodyListensError          (ConnectionRefusedError)
        SpinnakerTimeoutError         (TimeoutError)   nobody answered in time
        UnexpectedResponseCodeError                    the board answered with a code
        AllocationError               (MemoryError)    the board has no room left
        UnsupportedOperationError                      the machine cannot do this

Each class is also known by the name that SpiNNMan gives it, so that an ``except`` clause
written for SpiNNMan needs no more than another import.
"""

from __future__ import annotations

from pyspin.errors import PyspinError


class SpinnakerError(PyspinError):
    """The base of everything that this module defines."""


class InvalidPacketError(SpinnakerError, ValueError):
    """Bytes that do not hold the message they should hold.

    Attributes: `packet_type`, what was expected; `problem`, what is wrong with it.
    """

    def __init__(self, packet_type: str, problem: str) -> None:
        super().__init__(f"not a valid {packet_type}: {problem}")
        self.packet_type = packet_type
        self.problem = problem


class EIEIOPacketParsingError(InvalidPacketError):
    """Bytes that are no EIEIO message of the form they announce; `packet` holds them."""

    def __init__(self, parsing_format: str, packet: bytes, problem: str = "malformed") -> None:
        super().__init__(f"EIEIO {parsing_format}", problem)
        self.packet = packet


class SpinnakerIOError(SpinnakerError, OSError):
    """An error of the socket under a connection.

    Attributes: `problem`, the text; `errno` as the system set it, None if it did not.
    """

    def __init__(self, problem: str, errno: int | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.errno = errno

    def __str__(self) -> str:
        return self.problem


class ConnectionClosedError(SpinnakerIOError, EOFError):
    """The connection was closed, before the call or under it."""

    def __init__(self, problem: str = "the connection is closed", errno: int | None = None) -> None:
        super().__init__(problem, errno)


class NobodyListensError(SpinnakerIOError, ConnectionRefusedError):
    """The host at the other end says, by ICMP, that nobody listens at the port."""


class SpinnakerTimeoutError(SpinnakerError, TimeoutError):
    """No message or no answer within the time allowed.

    Attributes: `operation`, what was waited for, a request or a text; `timeout`, in seconds.
    """

    def __init__(self, operation: object, timeout: float | None, msg: str | None = None) -> None:
        super().__init__(msg or f"{operation} timed out after {timeout} s")
        self.operation = operation
        self.timeout = timeout


class UnexpectedResponseCodeError(SpinnakerError):
    """A response whose result is not RC_OK.

    Attributes: `operation`, what was tried; `command`, the name of the SCP command;
    `response`, the name of the result, or the number of one that has no name.
    """

    def __init__(self, operation: str, command: str, response: str) -> None:
        super().__init__(f"{operation} ({command}) was answered with {response}")
        self.operation = operation
        self.command = command
        self.response = response


class AllocationError(SpinnakerError, MemoryError):
    """A board could not allocate what was asked of it; `what` says what."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the board could not allocate {what}")
        self.what = what


class UnsupportedOperationError(SpinnakerError):
    """The machine or the connection cannot do what was asked; `operation` names it."""

    def __init__(self, operation: str) -> None:
        super().__init__(f"{operation} is not supported")
        self.operation = operation


SpinnmanException = SpinnakerError
SpinnmanInvalidPacketException = InvalidPacketError
SpinnmanEIEIOPacketParsingException = EIEIOPacketParsingError
SpinnmanIOException = SpinnakerIOError
SpinnmanEOFException = ConnectionClosedError
SpinnmanTimeoutException = SpinnakerTimeoutError
SpinnmanUnexpectedResponseCodeException = UnexpectedResponseCodeError
SpinnmanUnsupportedOperationException = UnsupportedOperationError
