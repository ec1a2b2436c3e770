# SPDX-License-Identifier: Apache-2.0
"""Every Python example of the README and of docs/ runs, and every link leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE
from receiving import free_port

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def with_free_ports(text: str) -> str:
    """Give the examples ports that nobody else has."""
    ports: dict[str, int] = {}
    return re.sub(r"\b88\d\d\b", lambda it: str(ports.setdefault(it[0], free_port())), text)


def examples(page: Path) -> list[str]:
    """Return the page's Python blocks; those of one page run in one process, in order."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if examples(page)], ids=lambda page: page.name
)
def test_examples_run(page: Path, tmp_path: Path) -> None:
    script = tmp_path / "examples.py"
    script.write_text(with_free_ports("\n".join(examples(page))))
    run = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []
