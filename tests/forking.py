# SPDX-License-Identifier: Apache-2.0
"""The mark of tests whose children use threads after a fork."""

from __future__ import annotations

import os

import pytest

# The run-times of the sanitizers take neither threads after a fork, nor a fork while another
# thread allocates.
forking = pytest.mark.skipif(
    "PYSPIN_SANITIZER" in os.environ, reason="sanitizers do not support forks of threads"
)
