# SPDX-License-Identifier: Apache-2.0
"""Bring what the C threads have to say to `logging.getLogger("pyspin")`.

No C thread calls Python: they leave records in a bounded ring, and a daemon thread of Python's,
started with the first thread pool or memory pool, hands them to the logger. A record that came
several times in a row is told once, with the number.

The C side makes records of level INFO and up, and DEBUG ones when the logger asked for them at
the time of its last record or when the last pool was made.
"""

from __future__ import annotations

import atexit
import errno
import logging
import os
import threading
import traceback
from typing import TYPE_CHECKING

from ._ffi import ffi, lib

if TYPE_CHECKING:
    from ._core import CData, spn_log_record

__all__ = ["logger", "start"]

logger = logging.getLogger("pyspin")

# Seconds of rest after the ring has been emptied: a flood is summed up meanwhile, and cannot
# take the interpreter for itself.
_REST = 0.05

# At least the number of records that the ring holds.
_RING = 256

# Seconds that interpreter exit waits for the last records to be handled.
_PATIENCE = 0.9


class Courier:
    """Carry records from C to the logger, in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, unless it runs or the interpreter is about to end.

        OSError when there is no thread to be had.
        """
        push_level()
        with self._lock:
            if self._thread is None and not self._ending.is_set():
                thread = threading.Thread(target=self._run, name="pyspin-log", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    raise BlockingIOError(
                        errno.EAGAIN, f"no thread for the log: {error}"
                    ) from error
                self._thread = thread

    def finish(self) -> None:
        """Hand over what is left, and end the thread."""
        self._ending.set()
        lib.spn_log_stop()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(_PATIENCE)

    def _run(self) -> None:
        record = ffi.new("spn_log_record *")
        while not self._ending.is_set():
            if lib.spn_log_pop(-1, record) == 0:
                hand_over(record.level, text_of(record.text, record.repeats))
                hand_over_rest(record)
                push_level()
                self._ending.wait(_REST)
        hand_over_rest(record)


def text_of(text: CData, repeats: int) -> str:
    """Return the text of a record, with how often it came beyond the first time."""
    # It may have been cut within a character, or quote bytes of the network.
    line = ffi.string(text).decode(errors="replace")
    return f"{line} (and {repeats} more times)" if repeats else line


def hand_over(level: int, text: str) -> None:
    """Log one record; a faulty filter or handler must not end the courier."""
    try:
        logger.log(level, text)
    except Exception:
        traceback.print_exc()


def hand_over_rest(record: spn_log_record) -> None:
    """Log what is in the ring, but not for ever if others keep filling it."""
    for _ in range(_RING):
        if lib.spn_log_try_pop(record) != 0:
            return
        hand_over(record.level, text_of(record.text, record.repeats))


def push_level() -> None:
    """Tell C whether records below INFO would be seen."""
    wants_debug = logger.getEffectiveLevel() <= logging.DEBUG
    lib.spn_log_set_level(lib.SPN_LOG_DEBUG if wants_debug else lib.SPN_LOG_INFO)


_courier = Courier()


def start() -> None:
    """Have records brought to the logger from now on. Any thread, any number of times."""
    _courier.start()


def _finish() -> None:
    _courier.finish()


def _restart_after_fork() -> None:
    # The thread stayed in the parent; the next pool of the child starts another.
    global _courier
    _courier = Courier()


atexit.register(_finish)
os.register_at_fork(after_in_child=_restart_after_fork)
