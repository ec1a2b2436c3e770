# SPDX-License-Identifier: Apache-2.0
"""Measure TokenBucket beside SpiNNMan's: calls a second, and the rate that a blocked caller gets.

python tools/bench/token_bucket.py [--rounds 7] [--output build/bench/token_bucket.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyspin.connections

BUILD = Path(__file__).resolve().parent.parent.parent / "build" / "bench"
CALLS = 300_000

# capacity, tokens a second, tokens a call: the rates that SpiNNMan's authors had in mind for a
# board, and buckets that hold a single helping.
BLOCKING = [(43750, 4.375e6, 284), (3408, 7e5, 284), (284, 4.375e6, 284), (1, 1e3, 1), (1, 1e4, 1)]

Figures = dict[str, float]


def _spinnman() -> Any:
    import spinnman.connections

    return spinnman.connections.TokenBucket


def calls_a_second(make: Callable[..., Any], granted: bool) -> float:
    """Return how often a second `consume` without blocking can be called."""
    bucket = make(1e12, 1e9) if granted else make(1, 1e-9)
    if not granted:
        bucket.consume(1)
    consume = bucket.consume
    start = time.perf_counter()
    for _ in range(CALLS):
        consume(1, False)
    return CALLS / (time.perf_counter() - start)


def share_of_rate(make: Callable[..., Any], capacity: int, rate: float, amount: int) -> float:
    """Return the rate that a caller blocked for a second gets, as a share of the nominal one."""
    bucket = make(capacity, rate)
    bucket.consume(capacity)
    start = time.perf_counter()
    consumed = 0
    while (elapsed := time.perf_counter() - start) < 1.0:
        bucket.consume(amount)
        consumed += amount
    elapsed = time.perf_counter() - start
    return consumed / (elapsed * rate)


def measure(make: Callable[..., Any]) -> Figures:
    figures = {
        "granted": calls_a_second(make, True),
        "refused": calls_a_second(make, False),
    }
    for capacity, rate, amount in BLOCKING:
        figures[f"{capacity} at {rate:g} by {amount}"] = share_of_rate(make, capacity, rate, amount)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=BUILD / "token_bucket.json")
    arguments = parser.parse_args()
    makers = {"pyspin": pyspin.connections.TokenBucket, "SpiNNMan": _spinnman()}
    results: dict[str, list[Figures]] = {name: [] for name in makers}
    for number in range(arguments.rounds):
        for name, make in makers.items():
            results[name].append(measure(make))
        print(f"token bucket: round {number + 1}", file=sys.stderr, flush=True)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(results, indent=1))
    for name, runs in results.items():
        for key in runs[0]:
            print(name, key, f"{statistics.median(run[key] for run in runs):.6g}")


if __name__ == "__main__":
    main()
