# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pyspin.threads import ThreadPool, parse_range_list

Eventually = Callable[[Callable[[], object]], None]


def workers() -> dict[int, str]:
    """Return the C threads of this process by thread id."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
        except OSError:
            continue  # it has just ended
        if name.startswith("pyspin-") and name[7:].isdigit():
            found[int(task.name)] = name
    return found


def test_threads_start_and_end(eventually: Eventually) -> None:
    before = set(workers())
    pool = ThreadPool(3)
    mine = {name for tid, name in workers().items() if tid not in before}
    assert mine == {"pyspin-0", "pyspin-1", "pyspin-2"}
    assert pool.threads == 3
    assert "3 threads" in repr(pool)
    pool.stop()
    eventually(lambda: set(workers()) <= before)
    pool.stop()


def test_dropping_the_pool_ends_its_threads(eventually: Eventually) -> None:
    before = set(workers())
    pool = ThreadPool()
    assert pool.threads == 1
    del pool
    eventually(lambda: set(workers()) <= before)


def test_a_pool_is_a_context_manager(eventually: Eventually) -> None:
    before = set(workers())
    with ThreadPool(threads=2, affinity=[]) as pool:
        assert pool.threads == 2
    eventually(lambda: set(workers()) <= before)


def test_affinity_is_used_cyclically() -> None:
    available = sorted(os.sched_getaffinity(0))
    affinity = available[:2]
    before = set(workers())
    with ThreadPool(3, affinity):
        for tid, name in workers().items():
            if tid not in before:
                expected = affinity[int(name[7:]) % len(affinity)]
                assert os.sched_getaffinity(tid) == {expected}


def test_a_thread_that_cannot_be_pinned_is_a_warning(
    caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    with caplog.at_level(logging.WARNING, "pyspin"), ThreadPool(1, [1_000_000]) as pool:
        assert pool.threads == 1
        eventually(lambda: "could not pin thread 0 to processor 1000000" in caplog.text)
    assert caplog.records[-1].levelno == logging.WARNING


@pytest.mark.parametrize("threads", [0, -1, 2**40])
def test_thread_counts_out_of_range_are_refused(threads: int) -> None:
    with pytest.raises(ValueError, match=f"threads .*{threads}"):
        ThreadPool(threads)


@pytest.mark.parametrize("threads", ["2", 1.5, None])
def test_thread_counts_of_other_types_are_refused(threads: object) -> None:
    with pytest.raises(TypeError, match="threads must be an integer"):
        ThreadPool(threads)  # type: ignore[arg-type]


def test_wrong_affinities_are_refused() -> None:
    with pytest.raises(ValueError, match="affinity must be at least 0, not -1"):
        ThreadPool(1, [-1])
    with pytest.raises(TypeError, match="affinity must be an integer, not 'a'"):
        ThreadPool(1, ["a"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="affinity must be a list of processors, not 5"):
        ThreadPool(1, 5)  # type: ignore[arg-type]


def test_set_affinity_pins_the_calling_thread_only() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    seen: list[set[int]] = []

    def pin() -> None:
        ThreadPool.set_affinity(core)
        seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=pin)
    thread.start()
    thread.join()
    assert seen == [{core}]
    assert os.sched_getaffinity(0) == before


def test_set_affinity_to_no_processor_is_an_error() -> None:
    with pytest.raises(OSError, match="processor 1000000"):
        ThreadPool.set_affinity(1_000_000)
    with pytest.raises(ValueError, match="core must be at least 0"):
        ThreadPool.set_affinity(-1)


def test_stop_from_many_threads() -> None:
    pool = ThreadPool(2)
    stoppers = [threading.Thread(target=pool.stop) for _ in range(5)]
    for stopper in stoppers:
        stopper.start()
    for stopper in stoppers:
        stopper.join()


def test_many_pools_come_and_go(eventually: Eventually) -> None:
    before = set(workers())
    files = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        ThreadPool(2)
    eventually(lambda: set(workers()) <= before)
    assert len(os.listdir("/proc/self/fd")) <= files


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", []),
        ("  ", []),
        ("3", [3]),
        ("100,4-6", [100, 4, 5, 6]),
        ("1-1", [1]),
        (" 1 , 2 - 3 ", [1, 2, 3]),
        ("2,2,1", [2, 2, 1]),
    ],
)
def test_range_lists(text: str, numbers: list[int]) -> None:
    assert parse_range_list(text) == numbers


@pytest.mark.parametrize("text", ["a", "1,", "1-", "-1", "1-2-3", "6-4"])
def test_bad_range_lists_are_named(text: str) -> None:
    with pytest.raises(ValueError, match="ranges must"):
        parse_range_list(text)
