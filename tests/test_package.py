# SPDX-License-Identifier: Apache-2.0
"""What is installed: the metadata, the types, the extension, and what importing it needs."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

import pyspin
import pyspin._core

PACKAGE = Path(pyspin.__file__).parent
ROOT = Path(__file__).resolve().parent.parent

# What the extras bring. Nothing outside pyspin.cli and one module for each loop may need it.
EXTRAS = ("click", "rich", "matplotlib", "twisted", "tornado", "trio")

# Forbid the packages named on the command line, as if they were not installed.
BLOCKING = """\
import sys

for name in sys.argv[1:]:
    sys.modules[name] = None
"""

# Run one command of `pyspin`, the last argument, without the packages before it.
COMMAND = f"""\
import sys
command = sys.argv.pop()
{BLOCKING}
sys.argv[1:] = [command]
from pyspin.cli import main
main()
"""

DOORS = """\
import pyspin
import pyspin.board
import pyspin.connections
import pyspin.messages
import pyspin.recv
import pyspin.recv.asyncio
import pyspin.send
import pyspin.send.asyncio
"""

# Print what importing loads beside the standard library and the two packages.
LOADED = f"""\
import sys

def loaded():
    return {{name.partition(".")[0] for name in sys.modules}}

before = loaded()
{DOORS}
known = before | set(sys.stdlib_module_names)
theirs = {{"pyspin", "cffi", "_cffi_backend", "numpy"}}
theirs |= {{name for name in loaded() if "cython" in name}}  # numpy's, before 2.0
print(sorted(loaded() - known - theirs))
"""


def child(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def distribution() -> importlib.metadata.Distribution:
    """Return what pip installed, when that is the package under test."""
    for found in importlib.metadata.distributions(name="pyspin-io"):
        files = {Path(str(found.locate_file(file))).resolve() for file in found.files or []}
        if Path(pyspin.__file__).resolve() in files and found.read_text("WHEEL"):
            return found
    pytest.skip("the package under test was built in place, not installed")


def test_the_metadata_is_that_of_this_version() -> None:
    metadata = distribution().metadata
    assert metadata["Version"] == pyspin.__version__
    assert metadata["Name"] == "pyspin-io"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"


def test_the_licence_is_installed() -> None:
    files = distribution().files or []
    (licence,) = [file for file in files if file.name == "LICENSE"]
    assert "Apache License" in licence.read_text()


def test_only_three_packages_are_needed() -> None:
    needed = [word for word in distribution().requires or [] if "extra ==" not in word]
    assert sorted(word.split(">=")[0] for word in needed) == ["cffi", "numpy", "psutil"]


def test_the_changelog_tells_of_this_version() -> None:
    changelog = ROOT / "CHANGELOG.md"
    assert f"\n## {pyspin.__version__}" in changelog.read_text()


def test_the_types_are_installed() -> None:
    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "_core.pyi").is_file()


def test_the_extension_is_for_every_python() -> None:
    """One build serves 3.10 and later, but for interpreters that have no stable ABI."""
    assert distribution()
    name = Path(pyspin._core.__file__).name
    stable = "t" not in getattr(sys, "abiflags", "")
    assert name.endswith(".abi3.so") == stable


def test_importing_needs_no_extra() -> None:
    run = child(BLOCKING + DOORS, *EXTRAS)
    assert (run.returncode, run.stderr) == (0, "")


def test_importing_asks_only_for_cffi_and_numpy() -> None:
    """Whatever else is loaded is the standard library's, or theirs."""
    run = child(LOADED)
    assert (run.stdout, run.stderr) == ("[]\n", "")


@pytest.mark.parametrize("command", ["demo", "doctor", "board"])
def test_a_command_without_its_extra_says_what_to_install(command: str) -> None:
    run = child(COMMAND, "click", "rich", "matplotlib", command)
    assert run.returncode == 1
    assert run.stderr == "pyspin: click is missing: pip install 'pyspin-io[cli]'\n"
