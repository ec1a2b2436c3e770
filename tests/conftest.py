# SPDX-License-Identifier: Apache-2.0
"""What every test may count on: nothing leaks, nothing hangs, Ctrl-C is not ignored."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from patience import PATIENCE

#: Seconds that one test may take, before the whole run is ended with a trace of all threads.
LIMIT = float(os.environ.get("PYSPIN_TEST_LIMIT", "900"))

# The same examples each time, however long they take to be made and tried.
settings.register_profile(
    "pyspin", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("pyspin")

_last_sign_of_life = time.monotonic()


def _watch(output: int) -> None:
    while time.monotonic() - _last_sign_of_life < LIMIT:
        time.sleep(1)
    os.write(output, f"a test takes longer than {LIMIT} s\n".encode())
    faulthandler.dump_traceback(output, all_threads=True)
    os._exit(70)


def _give_children_the_same_pyspin() -> None:
    """Let child processes import the package that is under test.

    A child's working directory comes before all else on its path, and in the checkout there is
    a package without its extension.
    """
    import pyspin

    where = str(Path(pyspin.__file__).parent.parent)
    rest = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([where, rest] if rest else [where])
    os.chdir(Path(__file__).parent)


def _let_children_fork() -> None:
    """Silence the warning of Python 3.12 and later: that forking is safe is what is tested."""
    quiet = "ignore:This process (pid=:DeprecationWarning"
    rest = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join([rest, quiet] if rest else [quiet])


def pytest_configure(config: pytest.Config) -> None:
    _give_children_the_same_pyspin()
    _let_children_fork()
    # Some runners start everything with SIGINT ignored, and children inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        output = os.dup(2)
    threading.Thread(target=_watch, args=(output,), name="watchdog", daemon=True).start()


def pytest_runtest_logstart() -> None:
    global _last_sign_of_life
    _last_sign_of_life = time.monotonic()


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Return a function that waits until a condition holds, and fails when it never does."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it never came to be"
            time.sleep(0.001)

    return wait


@pytest.fixture(autouse=True)
def no_heap_or_buffer_leaks() -> Iterator[None]:
    """Fail a test after which more heaps or buffers live in C than before."""
    from pyspin._ffi import lib

    def live() -> tuple[int, int]:
        return lib.spn_heaps_live(), lib.spn_buffers_live()

    before = live()
    yield
    deadline = time.monotonic() + PATIENCE
    while live() > before or live()[1] > before[1]:
        gc.collect()
        assert time.monotonic() < deadline, f"heaps, buffers: {before} before, {live()} after"
        time.sleep(0.001)
