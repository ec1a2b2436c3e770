# SPDX-License-Identifier: Apache-2.0
"""The committed types of the extension are those of the extension that was built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

GENERATOR = Path(__file__).resolve().parent.parent / "tools" / "gen_stub.py"


def test_the_stub_is_current() -> None:
    if not GENERATOR.exists():
        pytest.skip("the tools are not part of this tree")
    done = subprocess.run(
        [sys.executable, str(GENERATOR), "--check"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
