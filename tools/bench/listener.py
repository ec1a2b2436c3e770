# SPDX-License-Identifier: Apache-2.0
"""Measure ConnectionListener beside SpiNNMan's and a bare receive loop.

    python tools/bench/listener.py [--rounds 5] [--count 100000] [--size 64] [--rate 400000]
                                   [--output build/bench/listener.json]

Each run is a process of its own: a connection, a listener with four threads, one callback that
counts and checks the order; a C sender offers `count` numbered datagrams in a burst. Figures:
messages a second from the first to the last that arrived, those lost, CPU microseconds for each.
Contenders alternate within a round.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build" / "bench"
CONTENDERS = ("pyspin", "spinnman", "bare loop")
# The end of a run is this long without a message.
QUIET = 0.5


class Counter:
    """The callback: counts, notes the times, and looks whether the order is kept."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.count = 0
        self.inversions = 0
        self.last = -1
        self.first_time = self.last_time = 0.0
        self.done = threading.Event()

    def __call__(self, data: bytes) -> None:
        number = data[0] | data[1] << 8 | data[2] << 16
        if number < self.last:
            self.inversions += 1
        self.last = number
        if self.count == 0:
            self.first_time = time.monotonic()
        self.count += 1
        # Looking at the clock for each message would be most of the work.
        if self.count & 255 == 0 or self.count == self.expected:
            self.last_time = time.monotonic()
        if self.count == self.expected:
            self.done.set()


def _wait(counter: Counter) -> None:
    """Wait until all came, or nothing has for a while after the sender's end."""
    seen = -1
    while not counter.done.wait(QUIET) and counter.count != seen:
        seen = counter.count


def _with_listener(module: Any, connection: Any, counter: Counter, go: Callable[[], None]) -> None:
    listener = module.ConnectionListener(connection, n_processes=4)
    listener.add_callback(counter)
    listener.start()
    go()
    _wait(counter)
    listener.close()


def run_pyspin(counter: Counter, go: Callable[[int], None]) -> int:
    """Return the datagrams that the system dropped."""
    import pyspin.connections

    with pyspin.connections.UDPConnection("127.0.0.1") as connection:
        port = connection.local_port
        _with_listener(pyspin.connections, connection, counter, lambda: go(port))
        return connection.kernel_drops


def run_spinnman(counter: Counter, go: Callable[[int], None]) -> int:
    """Return 0: SpiNNMan does not know what it lost."""
    import spinnman.connections
    from spinnman.connections.udp_packet_connections import UDPConnection

    connection = UDPConnection(local_host="127.0.0.1")
    port = connection.local_port
    _with_listener(spinnman.connections, connection, counter, lambda: go(port))
    connection.close()
    return 0


def run_bare(counter: Counter, go: Callable[[int], None]) -> int:
    """Receive in a loop with nothing around it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        plain.bind(("127.0.0.1", 0))
        plain.settimeout(QUIET * 2)
        threading.Thread(target=go, args=[plain.getsockname()[1]]).start()
        receive = plain.recv
        try:
            while counter.count < counter.expected:
                counter(receive(2048))
        except TimeoutError:
            pass
    return 0


RUNS = {"pyspin": run_pyspin, "spinnman": run_spinnman, "bare loop": run_bare}


def measure(contender: str, count: int, size: int, rate: float) -> dict[str, float]:
    """Do one run in this process."""
    counter = Counter(count)
    offered: list[float] = []
    before: list[resource.struct_rusage] = []

    def go(port: int) -> None:
        before.append(resource.getrusage(resource.RUSAGE_SELF))
        command = [str(BUILD / "burst"), str(port), str(count), str(size), str(rate)]
        offered.append(float(subprocess.run(command, capture_output=True, check=True).stdout))

    drops = RUNS[contender](counter, go)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before[0].ru_utime - before[0].ru_stime
    seconds = max(counter.last_time - counter.first_time, 1e-9)
    return {
        "offered": offered[0] if offered else 0.0,
        "rate": counter.count / seconds,
        "lost": count - counter.count,
        "drops": drops,
        "inversions": counter.inversions,
        "cpu_us": 1e6 * cpu / max(counter.count, 1),
    }


def build() -> None:
    """Compile the sender."""
    BUILD.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).with_name("burst.c")
    subprocess.run(
        ["cc", "-O2", "-D_GNU_SOURCE", "-o", str(BUILD / "burst"), str(source)], check=True
    )


def rounds(args: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Run every contender in every round, each time in a process of its own."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(args.rounds):
        for name in CONTENDERS:
            command = [
                sys.executable,
                __file__,
                "--one",
                name,
                "--count",
                str(args.count),
                "--size",
                str(args.size),
                "--rate",
                str(args.rate),
            ]
            run = subprocess.run(command, capture_output=True, check=True, text=True)
            results[name].append(json.loads(run.stdout.splitlines()[-1]))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rate", type=float, default=400_000)
    parser.add_argument("--output", type=Path, default=BUILD / "listener.json")
    parser.add_argument("--one", choices=CONTENDERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one, args.count, args.size, args.rate)))
        return
    build()
    results = rounds(args)
    args.output.write_text(json.dumps(results, indent=1))
    for name, runs in results.items():
        median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        print(name.ljust(10), "  ".join(f"{key} {value:,.1f}" for key, value in median.items()))


if __name__ == "__main__":
    main()
