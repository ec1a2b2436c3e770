# SPDX-License-Identifier: Apache-2.0
"""Several threads, streams and memory nodes: what they share, and what they may take."""

from __future__ import annotations

import packets as p
import pytest
from receiving import bind, send

import pyspin
import pyspin.recv


@pytest.mark.parametrize("huge_pages", [False, True])
def test_datagrams_land_in_huge_pages_or_in_others(huge_pages: bool) -> None:
    payload = bytes(range(256)) * 16
    with pyspin.recv.Stream(pyspin.ThreadPool()) as stream:
        port = bind(stream, huge_pages=huge_pages)
        send(p.heap_packets(5, payload, [p.addressed(0x1000, 0)], size=1000), port)
        heap = stream.get(timeout=30)
        assert bytes(heap.get_items()[0]) == payload
