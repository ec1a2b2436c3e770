# SPDX-License-Identifier: Apache-2.0
"""The live view of a receiver: a panel in a terminal, a line a second elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

INTERVAL = 0.2  # seconds between two updates
BARS = " ▁▂▃▄▅▆▇█"


class View:
    """Shows rate, heaps, losses and ring while heaps come. One thread.

    The panel needs a terminal that has a cursor to move and characters beyond ASCII.
    """

    def __init__(self, heaps: int, ring_heaps: int) -> None:
        self._console = console = Console()
        self._has_panel = (
            console.is_terminal and not console.is_dumb_terminal and not console.options.ascii_only
        )
        self._ring_heaps = ring_heaps
        self._progress = Progress(
            "heaps", BarColumn(None), MofNCompleteColumn(), TimeRemainingColumn()
        )
        self._task = self._progress.add_task("", total=heaps)
        self._rates: deque[float] = deque([0.0], maxlen=40)
        self._last = (time.monotonic(), 0)
        self._last_line = 0.0
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> View:
        if self._has_panel:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._has_panel:
            self._live.stop()

    def show(self, stats: Any, heaps: int, broken: int) -> None:
        """Show the figures, if INTERVAL has passed since the last time."""
        now = time.monotonic()
        before, packet_bytes = self._last
        if now - before < INTERVAL:
            return
        self._rates.append((stats.bytes - packet_bytes) / (now - before))
        self._last = (now, stats.bytes)
        if self._has_panel:
            self._progress.update(self._task, completed=heaps)
            self._live.update(Group(self._progress, self._table(stats, broken)), refresh=True)
        elif now - self._last_line >= 1:
            self._last_line = now
            print(f"{heaps} heaps, {self._rates[-1] / 1e6:.0f} MB/s, {broken} broken")
            sys.stdout.flush()

    def _table(self, stats: Any, broken: int) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_row("rate", f"{self._rates[-1] / 1e6:7.1f} MB/s", self._sparkline())
        table.add_row("packets", f"{stats.packets:,}", f"{stats.datagrams:,} datagrams")
        lost = stats.incomplete_heaps_evicted + stats.incomplete_heaps_flushed
        table.add_row(
            "losses", f"{lost} heaps", f"{stats.kernel_drops} drops by the kernel, {broken} broken"
        )
        table.add_row(
            "ring",
            f"{stats.ring_high_water}/{self._ring_heaps} at most",
            f"readers suspended {stats.worker_blocked} times",
        )
        return table

    def _sparkline(self) -> str:
        top = max(self._rates) or 1.0
        steps = len(BARS) - 1
        return "".join(BARS[round(rate / top * steps)] for rate in self._rates)
