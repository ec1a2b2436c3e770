# SPDX-License-Identifier: Apache-2.0
"""Interpreters that end, or fork, in awkward states end cleanly all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from forking import forking
from patience import PATIENCE

SCRIPTS = Path(__file__).resolve().parent / "exit"

SCRIPT_NAMES = [
    "daemon_thread_at_work",
    "globals_in_a_cycle",
    "interrupted",
    "log_flood",
    "pool_outlives_its_threads",
    "refill_under_way",
    "stopped_in_an_atexit",
]

FORKING_NAMES = [
    "fork_refuses_threads",
    "fork_tells_its_log",
    "fork_under_refill",
    "multiprocessing_fork",
    "no_thread_for_the_log",
]


def run(name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / f"{name}.py")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize(
    "name",
    [*SCRIPT_NAMES, *(pytest.param(name, marks=forking) for name in FORKING_NAMES)],
)
def test_it_ends_cleanly(name: str) -> None:
    done = run(name)
    assert done.returncode == 0, done.stderr
    assert "done" in done.stdout
    assert done.stderr == ""


def test_an_uncaught_exception_gives_its_own_status() -> None:
    done = run("uncaught_exception")
    assert (done.returncode, done.stdout, done.stderr) == (1, "done\n", "")


@forking
def test_a_forked_child_has_a_log_of_its_own() -> None:
    done = run("fork_tells_its_log")
    assert "memory pool is empty when allocating 654 bytes" in done.stdout.splitlines()


def test_the_last_records_are_told_at_exit() -> None:
    done = run("log_flood")
    assert "pyspin WARNING memory pool is empty when allocating 1 bytes" in done.stdout
