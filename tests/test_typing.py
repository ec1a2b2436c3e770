# SPDX-License-Identifier: Apache-2.0
"""The package is typed, strictly, and its types catch a user's mistakes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from patience import PATIENCE

import pyspin

HERE = Path(__file__).resolve().parent
CONFIG = HERE.parent / "pyproject.toml"


def mypy(*arguments: str, cwd: Path) -> str:
    environment = {**os.environ}
    environment.pop("LD_PRELOAD", None)
    where = Path(pyspin.__file__).parent.parent
    if where.name != "site-packages":  # not installed: the type checker must be told
        environment["MYPYPATH"] = str(where)
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(CONFIG), *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )
    return run.stdout + run.stderr


def test_the_package_passes_strict_checks(tmp_path: Path) -> None:
    output = mypy("-p", "pyspin", "--cache-dir", str(tmp_path), cwd=tmp_path)
    assert "Success" in output, output


def test_types_catch_mistakes(tmp_path: Path) -> None:
    """Each line of wrong.py that ends in `# error: CODE` has that error, and no other line has."""
    source = HERE / "typing" / "wrong.py"
    expected = {
        (number, match[1])
        for number, line in enumerate(source.read_text().splitlines(), 1)
        if (match := re.search(r"# error: ([a-z-]+)$", line))
    }
    output = mypy(str(source), "--cache-dir", str(tmp_path), cwd=tmp_path)
    found = {
        (int(number), code)
        for number, code in re.findall(r"wrong\.py:(\d+): error: .*\[([a-z-]+)\]", output)
    }
    assert found == expected, output


def test_right_use_passes(tmp_path: Path) -> None:
    output = mypy(str(HERE / "typing" / "right.py"), "--cache-dir", str(tmp_path), cwd=tmp_path)
    assert "Success" in output, output
