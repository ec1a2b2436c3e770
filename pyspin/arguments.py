# SPDX-License-Identifier: Apache-2.0
"""Check arguments, so that a wrong one is named together with its value."""

from __future__ import annotations

import operator

__all__ = ["integer"]

INT_MAX = 2**31 - 1


def integer(name: str, value: int, low: int, high: int = INT_MAX) -> int:
    """Return `value` as an int from `low` to `high`; otherwise TypeError or ValueError."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}") from None
    if number < low:
        raise ValueError(f"{name} must be at least {low}, not {number}")
    if number > high:
        raise ValueError(f"{name} must be at most {high}, not {number}")
    return number
