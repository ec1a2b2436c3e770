# SPDX-License-Identifier: Apache-2.0
"""Check arguments, so that a wrong one is named together with its value."""

from __future__ import annotations

import math
import operator
from typing import Any, TypeVar

__all__ = ["index", "instance", "integer", "member", "number", "octets", "rate", "seconds"]

T = TypeVar("T")

INT_MAX = 2**31 - 1


def index(name: str, value: int) -> int:
    """Return `value` as an int, or raise TypeError."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}") from None


def integer(name: str, value: int, low: int, high: int = INT_MAX) -> int:
    """Return `value` as an int from `low` to `high`; otherwise TypeError or ValueError."""
    number = index(name, value)
    if number < low:
        raise ValueError(f"{name} must be at least {low}, not {number}")
    if number > high:
        raise ValueError(f"{name} must be at most {high}, not {number}")
    return number


def number(name: str, value: float) -> float:
    """Return a finite number as a float; otherwise TypeError or ValueError."""
    try:
        found = float(value + 0)  # no text
    except TypeError:
        raise TypeError(f"{name} must be a number, not {value!r}") from None
    except OverflowError:  # an integer beyond all floats
        found = math.inf
    if not math.isfinite(found):
        raise ValueError(f"{name} must be finite, not {value!r}")
    return found


def seconds(name: str, value: float, most: float = math.inf) -> float:
    """Return a time from 0 to `most` seconds; otherwise TypeError or ValueError."""
    try:
        is_negative = not value >= 0  # NaN too
    except (TypeError, ValueError):  # an array has no truth
        raise TypeError(f"{name} must be a number of seconds, not {value!r}") from None
    if is_negative:
        raise ValueError(f"{name} must be at least 0, not {value!r}")
    if value > most:
        raise ValueError(f"{name} must be at most {most:g} seconds, not {value!r}")
    try:
        return float(value)
    except OverflowError:  # an integer beyond all floats
        return math.inf


def rate(name: str, value: float) -> float:
    """Return a rate from 0 to 1; otherwise TypeError or ValueError."""
    try:
        fits = 0 <= value <= 1
    except TypeError:
        raise TypeError(f"{name} must be a number, not {value!r}") from None
    if not fits:
        raise ValueError(f"{name} must be from 0 to 1, not {value!r}")
    return value


def octets(name: str, value: Any, most: int | None = None) -> bytes:
    """Return the bytes of a buffer, at most so many; otherwise TypeError or ValueError."""
    try:
        data = value if value.__class__ is bytes else memoryview(value).tobytes()
    except TypeError:
        raise TypeError(f"{name} must be bytes-like, not {value!r}") from None
    if most is not None and len(data) > most:
        raise ValueError(f"{name} must be at most {most} bytes, not {len(data)}")
    return data


def member(name: str, value: object, kind: type[T]) -> T:
    """Return the member of an enumeration that `value` is or stands for, or raise ValueError."""
    if value.__class__ is kind:
        return value
    try:
        return kind(value)  # type: ignore[call-arg]
    except ValueError:
        raise ValueError(f"{name} must be a {kind.__name__}, not {value!r}") from None


def instance(name: str, value: object, kind: type[Any]) -> None:
    """Raise TypeError unless `value` is a `kind`."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, not {value!r}")
