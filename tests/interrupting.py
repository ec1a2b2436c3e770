# SPDX-License-Identifier: Apache-2.0
"""Signals whose handler raises, but only where a test has been waiting for that."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest


class Interruption(Exception):
    """What the handler raises."""


@contextlib.contextmanager
def interrupted_in(*functions: Callable[..., Any]) -> Iterator[None]:
    """Have a handler raise in the block, in one of the functions, and expect that to end it.

    A signal that comes before the block has got there does nothing; another one follows.
    """
    places = {function.__code__ for function in functions}

    def handle(number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code in places:
                raise Interruption
            frame = frame.f_back

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        with pytest.raises(Interruption):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
