# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest
from patience import PATIENCE

from pyspin import log
from pyspin._ffi import ffi
from pyspin.memory import MemoryPool

Eventually = Callable[[Callable[[], object]], None]


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """Return the list to which a handler of the logger adds what arrives."""
    found: list[logging.LogRecord] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    collector = Collector()
    level = log.logger.level
    log.logger.addHandler(collector)
    log.logger.setLevel(logging.INFO)
    yield found
    log.logger.removeHandler(collector)
    log.logger.setLevel(level)


def provoke(pool: MemoryPool, size: int) -> None:
    """Have C log a warning that names `size`."""
    arrays = [pool.allocate(size) for _ in range(2)]
    arrays.clear()


def test_records_reach_the_logger(records: list[logging.LogRecord], eventually: Eventually) -> None:
    pool = MemoryPool(1, 1000, 0, 0)
    provoke(pool, 77)
    eventually(lambda: records)
    assert records[0].name == "pyspin"
    assert records[0].levelno == logging.WARNING
    assert "77 bytes" in records[0].getMessage()


def test_repeats_are_told_in_the_text(
    records: list[logging.LogRecord], eventually: Eventually
) -> None:
    pool = MemoryPool(1, 1000, 0, 0)

    def told() -> int:
        count = 0
        for record in list(records):
            text = record.getMessage()
            if "78 bytes" in text:
                more = text.partition("(and ")[2].split(" ")[0]
                count += 1 + int(more or 0)
        return count

    all_are_made = threading.Event()
    log.logger.addFilter(hold := lambda record: all_are_made.wait(PATIENCE))
    for _ in range(100):
        provoke(pool, 78)
    all_are_made.set()
    eventually(lambda: told() == 200)
    log.logger.removeFilter(hold)
    assert len(records) < 200


def test_a_faulty_handler_does_not_end_the_log(
    records: list[logging.LogRecord],
    eventually: Eventually,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(record: logging.LogRecord) -> bool:
        raise LookupError("a faulty filter")

    pool = MemoryPool(1, 1000, 0, 0)
    log.logger.addFilter(refuse)
    try:
        provoke(pool, 81)
        eventually(lambda: "a faulty filter" in capsys.readouterr().err)
    finally:
        log.logger.removeFilter(refuse)
    provoke(pool, 82)
    eventually(lambda: any("82 bytes" in record.getMessage() for record in list(records)))


def test_there_is_one_courier() -> None:
    for _ in range(3):
        log.start()
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("pyspin-log") == 1


def test_text_is_never_refused() -> None:
    assert log.text_of(ffi.new("char[]", b"caf\xc3"), 0) == "caf\N{REPLACEMENT CHARACTER}"
    assert log.text_of(ffi.new("char[]", b"%s %d"), 2) == "%s %d (and 2 more times)"
