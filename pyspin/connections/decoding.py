# SPDX-License-Identifier: Apache-2.0
"""How a listener makes messages of datagrams that it received by the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
_ATTRIBUTE = "_decode_datagram"


def decoded_by(decode: Callable[[bytes], Any]) -> Callable[[F], F]:
    """Say that a receive method returns `decode(datagram)` and does nothing else.

    A class that overrides the method takes the promise back.
    """

    def mark(method: F) -> F:
        setattr(method, _ATTRIBUTE, decode)
        return method

    return mark


def decoder_of(method: Callable[..., Any]) -> Callable[[bytes], Any] | None:
    """Return what a receive method was marked with, None if it was not."""
    return getattr(method, _ATTRIBUTE, None)


def as_it_is(data: bytes) -> bytes:
    """Return a datagram as the message that it is."""
    return data
