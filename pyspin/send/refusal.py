# SPDX-License-Identifier: Apache-2.0
"""Heaps that a stream does not take."""

from __future__ import annotations

import logging
import os

_logger = logging.getLogger("pyspin")


def refusal(number: int, reason: str) -> OSError:
    """Log a warning that a heap is not sent, and return the error to raise."""
    _logger.warning("heap not sent: %s", reason)
    return OSError(number, f"{os.strerror(number)}: {reason}")
