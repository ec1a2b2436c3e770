# SPDX-License-Identifier: Apache-2.0
"""Run the SCP benchmarks: pyspin, SpiNNMan and a bare C client in turn, against one server.

    python tools/bench/scp.py [--rounds 7] [--only NAME] [--quick] [--output build/bench/scp.json]

The server (`scp_server.c`) runs on processor 0 and the client on processor 1, each measurement
in a process of its own. A round runs each contender of a case once; ratios are taken within a
round, so that a machine whose speed drifts changes all alike. `--quick` asks for fewer requests.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent.parent / "build" / "bench"
SERVER_CPU, CLIENT_CPU = "0", "1"
BOARDS = 24
Figures = dict[str, float]


@dataclass(frozen=True)
class Case:
    """What is compared under one kind of server.

    A goal is (contender, against, figure, bound): the median of `contender`'s figure divided by
    `against`'s in the same round is to be at least `bound`; with no `against`, the median of the
    figure itself is to be at most `bound`.
    """

    name: str
    title: str
    contenders: tuple[str, ...]
    requests: int
    server: tuple[str, ...] = ()
    goals: tuple[tuple[str, str, str, float], ...] = field(default=())


LOSSY = ("--loss", "1")
OVERRUN = ("--queue", "8", "--service", "60")
CASES = [
    Case(
        "read",
        "Bulk read, 256 bytes a request",
        ("bulk read", "bare read 8", "bare read 32", "bare read 64"),
        262144,
        goals=(("bulk read", "bare read 32", "rate", 0.85),),
    ),
    Case(
        "write",
        "Bulk write, 256 bytes a request",
        ("bulk write", "bare write 8", "bare write 32", "bare write 64"),
        262144,
        goals=(("bulk write", "bare write 32", "rate", 0.85),),
    ),
    Case(
        "loss",
        "Bulk read, 1 % of the replies lost (and the same without loss)",
        ("bulk read", "bulk read lossless", "bare read 32"),
        131072,
        LOSSY,
        (("bulk read", "bulk read lossless", "rate", 0.8),),
    ),
    Case(
        "overrun",
        "Bulk read from a board that holds 8 requests and serves one in 60 us",
        ("bulk read", "bulk read 4", "bulk read 8", "bulk read 12", "bare read 8"),
        32768,
        OVERRUN,
        (("bulk read", "bulk read 8", "rate", 0.9), ("bulk read", "bulk read 4", "rate", 0.9)),
    ),
    Case(
        "pipeline",
        "SCPRequestPipeLine, 8 channels: a request object and a callback each",
        ("pipeline", "pipeline over SpiNNMan", "SpiNNMan", "pipeline automatic"),
        65536,
        goals=(
            ("pipeline", "SpiNNMan", "rate", 1.8),
            ("pipeline over SpiNNMan", "SpiNNMan", "rate", 1.0),
        ),
    ),
    Case(
        "pipeline-loss",
        "SCPRequestPipeLine, 8 channels, 1 % of the replies lost, default timers",
        ("pipeline", "pipeline over SpiNNMan", "SpiNNMan"),
        4096,
        LOSSY,
        (("pipeline", "SpiNNMan", "rate", 10),),
    ),
    Case(
        "boards",
        f"{BOARDS} boards at once from one thread",
        ("boards",),
        BOARDS * 16384,
        ("--ports", str(BOARDS)),
        (("boards", "", "cpu_us", 5.0),),
    ),
]


def build() -> None:
    """Compile the server and the bare client."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for name in ("scp_server", "scp_client"):
        command = ["cc", "-O2", "-D_GNU_SOURCE", str(HERE / f"{name}.c"), "-o", str(BUILD / name)]
        subprocess.run(command, check=True)


@contextmanager
def serving(arguments: tuple[str, ...]) -> Iterator[str]:
    """Run the server; its first port. Several ports are in a row."""
    command = ["taskset", "-c", SERVER_CPU, str(BUILD / "scp_server"), *arguments]
    if "--ports" in arguments:
        command += ["--port", "20000"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.stdin.close()


def run_once(contender: str, port: str, requests: int) -> Figures:
    """Measure one contender in a process of its own."""
    words = contender.split()
    if words[0] == "bare":
        command = [str(BUILD / "scp_client"), port, str(requests), words[2]]
        command += ["--write"] if words[1] == "write" else []
    else:
        command = [sys.executable, str(HERE / "scp_job.py"), contender, port, str(requests)]
    output = subprocess.run(
        ["taskset", "-c", CLIENT_CPU, *command],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=600,
    ).stdout
    figures: Figures = json.loads(output.strip().splitlines()[-1])
    return figures


def measure(case: Case, rounds: int, share: float) -> dict[str, list[Figures]]:
    results: dict[str, list[Figures]] = {contender: [] for contender in case.contenders}
    requests = max(int(case.requests * share), 1024)
    for number in range(rounds):
        for contender in case.contenders:
            lossless = contender.endswith("lossless")
            with serving(() if lossless else case.server) as port:
                name = contender.removesuffix(" lossless")
                results[contender].append(run_once(name, port, requests))
        print(f"{case.name}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return results


def ratio(results: dict[str, list[Figures]], goal: tuple[str, str, str, float]) -> float:
    contender, against, figure, _ = goal
    if not against:
        return statistics.median(run[figure] for run in results[contender])
    pairs = zip(results[contender], results[against], strict=True)
    return statistics.median(mine[figure] / theirs[figure] for mine, theirs in pairs)


def table(case: Case, results: dict[str, list[Figures]]) -> list[str]:
    """Return the lines of a Markdown table of a case and of its goals."""
    lines = [f"**{case.title}**", "", "| | requests/s | MB/s | CPU us/request |", "|--|--|--|--|"]
    for contender, runs in results.items():
        rates = [run["rate"] for run in runs]
        rate, cpu = statistics.median(rates), statistics.median(run["cpu_us"] for run in runs)
        lines.append(
            f"| {contender} | {rate:,.0f} [{min(rates):,.0f}..{max(rates):,.0f}] "
            f"| {rate * 256 / 1e6:.1f} | {cpu:.2f} |"
        )
    lines.append("")
    for goal in case.goals:
        contender, against, figure, bound = goal
        found = ratio(results, goal)
        if against:
            verdict = "met" if found >= bound else "missed"
            text = f"{contender} / {against}: {found:.2f} (goal: at least {bound:g}, {verdict})"
        else:
            verdict = "met" if found <= bound else "missed"
            text = f"{contender}: {found:.2f} {figure} (goal: at most {bound:g}, {verdict})"
        lines.append(f"- {text}")
    return [*lines, ""]


def section(document: dict) -> str:  # type: ignore[type-arg]
    """Return the text of all measured cases, for docs/performance.md."""
    lines: list[str] = []
    for case in CASES:
        if case.name in document["results"]:
            lines += table(case, document["results"][case.name])
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--quick", action="store_true", help="an eighth of the requests")
    parser.add_argument("--output", type=Path, default=BUILD / "scp.json")
    arguments = parser.parse_args()
    build()
    results = {
        case.name: measure(case, arguments.rounds, 1 / 8 if arguments.quick else 1)
        for case in CASES
        if case.name.startswith(arguments.only)
    }
    document = {
        "rounds": arguments.rounds,
        "date": time.strftime("%Y-%m-%d"),
        "results": results,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(document, indent=1))
    print(section(document))
    print(f"figures in {arguments.output}")


if __name__ == "__main__":
    main()
