# SPDX-License-Identifier: Apache-2.0
"""`pyspin board` in a process of its own."""

from __future__ import annotations

import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from patience import PATIENCE
from receiving import NO_HOST

pytest.importorskip("click")
pytest.importorskip("rich")

VERSION = struct.pack("<2x8BHH12x", 0x87, 255, 0, 0xFF, 255, 255, 0, 0, 0, 1)


@contextmanager
def start(*options: str) -> Iterator[subprocess.Popen[str]]:
    """Run `pyspin board`; it is killed at the end, and after a while in any case."""
    command = [sys.executable, "-m", "pyspin", "board", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as child:
        watchdog = threading.Timer(PATIENCE, child.kill)
        watchdog.start()
        try:
            yield child
        finally:
            watchdog.cancel()
            watchdog.join()
            child.kill()


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_interrupted(number: signal.Signals) -> None:
    with start("--hardware", "3", "--boards", "2", "--port", "0") as child:
        places = [re.findall(r"^SpiNN-3 at ([\d.]+):(\d+)$", line(child))[0] for _ in range(2)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE)
            for host, port in places:
                sock.sendto(VERSION, (host, int(port)))
                assert b"SC&MP/SpiNNaker" in sock.recv(512)
        assert line(child) == "Ctrl-C ends it.\n"
        child.send_signal(number)
        out, err = child.communicate(timeout=PATIENCE)
    assert (child.returncode, err) == (0, "")
    assert out.splitlines()[-1].startswith("2 received, 2 sent, 0 lost")


def test_a_torus_has_three_boards_a_triad() -> None:
    with start("--triads", "2", "1", "--port", "0", "--host", "127.0.0.20") as child:
        lines = [line(child) for _ in range(7)]
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=PATIENCE)
    assert [text.split(":")[0] for text in lines[:6]] == [
        f"SpiNN-5 at 127.0.0.{n}" for n in range(20, 26)
    ]
    assert lines[6] == "Ctrl-C ends it.\n"
    assert child.returncode == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", NO_HOST], NO_HOST),
        (["--host", "255.255.255.255", "--boards", "2", "--port", "0"], "255.255.255.255"),
        (["--latency", "nan"], "latency"),
        (["--loss", "nan"], "loss"),
        (["--service-time", "inf"], "service_time"),
        (["--hardware", "3", "--triads", "1", "1"], "--triads"),
    ],
)
def test_bad_options_are_told(options: list[str], said: str) -> None:
    with start(*options) as child:
        out, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 2
    assert said in err
    assert "Traceback" not in err
    assert out == ""


def test_a_taken_port_is_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        with start("--port", str(sock.getsockname()[1])) as child:
            _, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 1
    assert "in use" in err
