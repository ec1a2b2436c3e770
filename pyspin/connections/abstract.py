# SPDX-License-Identifier: Apache-2.0
"""What connections promise to those who use them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from pyspin.messages import AbstractSCPRequest, SCPResult

if TYPE_CHECKING:
    from typing_extensions import Self

T_co = TypeVar("T_co", covariant=True)


@runtime_checkable
class Listenable(Protocol[T_co]):
    """What a ConnectionListener can listen to; any object with these methods will do."""

    def get_receive_method(self) -> Callable[[], T_co]:
        """Return a function that waits for a message and returns it."""

    def is_ready_to_receive(self, timeout: float = 0) -> bool:
        """Return whether a message is there, waiting `timeout` seconds for one at most."""


class Connection(ABC):
    """Something that is open until it is closed; a context manager that closes it."""

    @abstractmethod
    def is_connected(self) -> bool:
        """Return whether the connection is open and has somebody to talk to."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection. Idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AbstractSCPConnection(Connection):
    """A connection that carries SCP: what SCPRequestPipeLine needs."""

    @property
    @abstractmethod
    def chip_x(self) -> int:
        """The x coordinate of the chip at the other end."""

    @property
    @abstractmethod
    def chip_y(self) -> int:
        """The y coordinate of the chip at the other end."""

    @abstractmethod
    def is_ready_to_receive(self, timeout: float = 0) -> bool:
        """Return whether a response is there, waiting `timeout` seconds for one at most."""

    @abstractmethod
    def get_scp_data(self, scp_request: AbstractSCPRequest[Any]) -> bytes:
        """Return the bytes that carry a request from a host to the chip."""

    @abstractmethod
    def receive_scp_response(
        self, timeout: float | None = 1.0
    ) -> tuple[SCPResult | int, int, bytes, int]:
        """Return (result, sequence, bytes, offset of the SDP header in them) of a response."""
