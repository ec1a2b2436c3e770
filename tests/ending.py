# SPDX-License-Identifier: Apache-2.0
"""Scripts in a child process that show how an interpreter ends.

A script that hangs fails by its deadline; one that crashes, by its status.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from patience import PATIENCE

PROLOGUE = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
import faulthandler, gc, logging, os, sys, threading, time
faulthandler.enable()
logging.getLogger("pyspin").addHandler(logging.NullHandler())
sys.path.insert(0, {str(Path(__file__).parent)!r})
"""


def start(script: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_ends_cleanly(script: str) -> None:
    """Assert that the script ends by itself, with nothing to say."""
    with start(script) as child:
        try:
            out, err = child.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
    assert (child.returncode, out, err) == (0, "", "")


def assert_ctrl_c_ends(script: str) -> None:
    """Assert that Ctrl-C ends the script once it has printed "waiting"."""
    with start(script) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "waiting\n"
            os.kill(child.pid, signal.SIGINT)
            _, err = child.communicate(timeout=PATIENCE)
        except BaseException:
            child.kill()
            raise
    assert child.returncode in (-signal.SIGINT, 130, 1)
    assert err.rstrip().endswith("KeyboardInterrupt")
