# SPDX-License-Identifier: Apache-2.0
"""The `pyspin` command, as a person runs it."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import PATIENCE

from pyspin import cli
from pyspin.cli import doctor

# What pip installs as the command `pyspin`.
MAIN = "from pyspin.cli import main; main()"

COMMAND = [sys.executable, "-m", "pyspin"]


def start(
    *arguments: str, cwd: Path, output: int = subprocess.PIPE, env: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell's background job has SIGINT ignored; a person's terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def interrupt(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C: a terminal sends the signal to all of the processes that it sees."""
    os.killpg(process.pid, signal.SIGINT)


def await_heaps(process: subprocess.Popen[str]) -> None:
    """Wait for a line of progress; a warning of a small socket buffer may come before."""
    assert process.stdout is not None
    assert any("heaps" in line for line in process.stdout)


def test_help_lists_the_commands(tmp_path: Path) -> None:
    process = start("--help", cwd=tmp_path)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    for command in ("demo", "doctor", "board"):
        assert command in output


def test_doctor_looks_at_the_machine(tmp_path: Path) -> None:
    process = start("doctor", cwd=tmp_path)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    for what in ("rmem_max", "UDP_GRO", "huge pages", "packet-ring"):
        assert what in output


def test_doctor_bears_what_it_may_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden() -> Iterator[doctor.Finding]:
        yield doctor.Finding("seen", True, "")
        Path("/proc/sys/net/core/no_such_limit").read_text()

    monkeypatch.setattr(doctor, "CHECKS", [hidden, doctor.processors])
    assert [finding.what for finding in doctor.findings()] == ["seen", "hidden", "processors"]


def test_demo_receives_what_was_sent_and_draws_it(tmp_path: Path) -> None:
    process = start("demo", "--seconds", "1", "--rate", "10e6", cwd=tmp_path)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    found = re.search(r"sent (\d+) heaps, received (\d+).*agree in (\d+) of", output, re.S)
    assert found, output
    sent, received, agree = (int(word) for word in found.groups())
    assert received == agree
    assert 0 < received <= sent <= 19
    picture = (tmp_path / "pyspin-demo.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_demo_runs_in_a_checkout_that_is_not_built(tmp_path: Path) -> None:
    """As `make demo` does: the package lies there, but the installed one is meant."""
    for place, text in (("checkout/pyspin/__init__", "1 / 0"), ("bin/pyspin-command", MAIN)):
        file = tmp_path / f"{place}.py"
        file.parent.mkdir(parents=True)
        file.write_text(text)
    run = subprocess.run(
        [sys.executable, str(tmp_path / "bin/pyspin-command.py"), "demo", "--seconds", "0.5"],
        cwd=tmp_path / "checkout",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("env", "has_panel"),
    [
        ({"TERM": "xterm", "PYTHONIOENCODING": "utf-8"}, True),
        ({"TERM": "dumb", "PYTHONIOENCODING": "utf-8"}, False),
        ({"TERM": "xterm", "PYTHONIOENCODING": "latin-1"}, False),
    ],
)
def test_a_terminal_has_the_panel_if_it_can_show_it(
    tmp_path: Path, env: dict[str, str], has_panel: bool
) -> None:
    master, terminal = pty.openpty()
    options = ("demo", "--seconds", "100", "--rate", "10e6")
    with open(master, "rb", buffering=0) as screen:
        process = start(*options, cwd=tmp_path, output=terminal, env=env)
        os.close(terminal)
        shown = b""
        while b"MB/s" not in shown:
            shown += screen.read(4096)
        interrupt(process)
        with contextlib.suppress(OSError):  # so a terminal ends
            while more := screen.read(4096):
                shown += more
    assert process.wait(timeout=PATIENCE) == 0, shown
    assert b"interrupted" in shown
    assert (b"\x1b[" in shown) == has_panel


def test_without_matplotlib_the_demo_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["pyspin", "demo", "--seconds", "100"])
    with pytest.raises(SystemExit, match="matplotlib is missing: pip install"):
        cli.main()


def test_demo_ends_cleanly_on_ctrl_c(tmp_path: Path) -> None:
    process = start("demo", "--seconds", "100", "--rate", "10e6", cwd=tmp_path)
    await_heaps(process)
    interrupt(process)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert "interrupted" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf"])
def test_demo_refuses_nonsense(tmp_path: Path, seconds: str) -> None:
    process = start("demo", "--seconds", seconds, cwd=tmp_path)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert seconds in output
    assert "Traceback" not in output


def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    process = start("demo", "--seconds", "0.1", "--output", "nowhere/picture", cwd=tmp_path)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "checksums agree" in output
    assert output.splitlines()[-1].startswith("Error: nowhere/picture")
    assert "Traceback" not in output


def test_the_picture_is_a_png_whatever_its_name(tmp_path: Path) -> None:
    process = start("demo", "--seconds", "0.1", "--output", "picture.xyz", cwd=tmp_path)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert (tmp_path / "picture.xyz").read_bytes().startswith(b"\x89PNG")


def test_a_demo_leaves_no_process_behind(tmp_path: Path) -> None:
    process = start("demo", "--seconds", "100", "--rate", "10e6", cwd=tmp_path)
    await_heaps(process)
    children = _children(process.pid)
    assert children
    interrupt(process)
    process.communicate(timeout=PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]
