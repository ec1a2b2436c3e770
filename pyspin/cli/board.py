# SPDX-License-Identifier: Apache-2.0
"""`pyspin board`: virtual SpiNNaker boards on loopback, until Ctrl-C."""

from __future__ import annotations

import ipaddress
import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from pyspin.board import BoardStats, Impairment, VirtualBoard, geometry_of, torus_of

INTERVAL = 0.5
"""Seconds between two looks at the boards."""
LINES = 10
"""Looks between two printed lines where there is no terminal."""

RATE = click.FloatRange(0, 1)
TIME = click.FloatRange(0)


@click.command()
@click.option(
    "--hardware",
    type=click.Choice(["3", "5"]),
    default="5",
    show_default=True,
    help="SpiNN-3 with 4 chips or SpiNN-5 with 48.",
)
@click.option(
    "--boards",
    type=click.IntRange(1, 200),
    default=1,
    show_default=True,
    help="How many, or how many toruses, each board at an address of its own from HOST up.",
)
@click.option(
    "--triads",
    type=(click.IntRange(1, 21), click.IntRange(1, 21)),
    default=None,
    metavar="WIDTH HEIGHT",
    help="Join SpiNN-5 boards to a torus of this many triads, 3 boards each.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="IPv4 address.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=17893,
    show_default=True,
    help="UDP port; 0 takes a free one.",
)
@click.option("--loss", type=RATE, default=0.0, help="Rate of datagrams lost, each way.")
@click.option("--duplication", type=RATE, default=0.0, help="Rate delivered twice, each way.")
@click.option("--reordering", type=RATE, default=0.0, help="Rate held back, each way.")
@click.option("--latency", type=TIME, default=0.0, help="Milliseconds each way.")
@click.option("--busy", type=RATE, default=0.0, help="Rate of RC_P2P_BUSY replies.")
@click.option(
    "--service-time",
    type=TIME,
    default=0.0,
    help="Microseconds a request takes; a real board needs about 60.",
)
@click.option(
    "--tags",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Requests that may wait when there is a service time.",
)
@click.option("--unbooted", is_flag=True, help="Wait for an image at the boot port, 54321.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything random.")
def board(
    hardware: str,
    boards: int,
    triads: tuple[int, int] | None,
    host: str,
    port: int,
    loss: float,
    duplication: float,
    reordering: float,
    latency: float,
    busy: float,
    service_time: float,
    tags: int,
    unbooted: bool,
    seed: int,
) -> None:
    """Serve virtual SpiNNaker boards: SCAMPs that answer SCP on loopback."""
    if triads and hardware != "5":
        raise click.UsageError("--triads joins SpiNN-5 boards")
    geometry = torus_of(*triads) if triads else geometry_of(int(hardware))
    with ExitStack() as stack:
        served = []
        for number, address in enumerate(addresses(host, boards, len(geometry.boards))):
            try:
                way = Impairment(
                    loss=loss, duplication=duplication, reordering=reordering, latency=latency / 1e3
                )
                one = VirtualBoard(
                    geometry,
                    host=address,
                    port=port,
                    seed=seed + number,
                    requests=way,
                    replies=way,
                    busy=busy,
                    tags=tags,
                    service_time=service_time / 1e6,
                    booted=not unbooted,
                )
            except OSError as error:
                raise click.ClickException(f"{address}:{port}: {error}") from None
            except ValueError as error:
                raise click.UsageError(str(error)) from None
            stack.callback(one.close)
            served.append(one)
        for one in served:
            one.start()
        watch(served)


def addresses(host: str, count: int, step: int) -> list[str]:
    """Return the first address of each of `count` machines of `step` boards."""
    try:
        first = ipaddress.IPv4Address(host)
        return [str(first + step * number) for number in range(count)]
    except ValueError:
        problem = f"there are no IPv4 addresses for {count * step} boards from {host} on"
        raise click.BadParameter(problem, param_hint="--host") from None


def watch(boards: Sequence[VirtualBoard]) -> None:
    """Show what the boards do until SIGINT or SIGTERM."""
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    console = Console()
    for at in (at for one in boards for at in one.boards):
        console.print(f"SpiNN-{boards[0].hardware} at {at.host}:{at.port}", highlight=False)
    console.print("Ctrl-C ends it.")
    before = [one.stats() for one in boards]
    looks = 0
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while not done.wait(INTERVAL):
            now = [one.stats() for one in boards]
            looks += 1
            if console.is_terminal:
                live.update(table(boards, before, now), refresh=True)
            elif looks % LINES == 0:
                console.print(line(now), highlight=False)
            before = now
    console.print(line([one.stats() for one in boards]), highlight=False)


def table(
    boards: Sequence[VirtualBoard], before: Sequence[BoardStats], now: Sequence[BoardStats]
) -> Table:
    """Return a row for each board, with its rate since the last look."""
    view = Table(box=None, pad_edge=False)
    for heading in ("board", "requests/s", "received", "sent", "lost", "refused", "dropped"):
        view.add_column(heading, justify="left" if heading == "board" else "right")
    for one, old, new in zip(boards, before, now, strict=True):
        rate = (new.received - old.received) / INTERVAL
        counts = (new.received, new.sent, lost(new), refused(new), dropped(new))
        view.add_row(f"{one.host}:{one.port}", f"{rate:,.0f}", *(f"{count:,}" for count in counts))
    return view


def line(stats: Sequence[BoardStats]) -> str:
    """Return the sums over all boards as one line."""
    return (
        f"{sum(s.received for s in stats):,} received, {sum(s.sent for s in stats):,} sent, "
        f"{sum(map(lost, stats)):,} lost, {sum(map(refused, stats)):,} refused, "
        f"{sum(map(dropped, stats)):,} dropped"
    )


def lost(stats: BoardStats) -> int:
    """Return the datagrams that the network lost."""
    return stats.requests_lost + stats.replies_lost


def refused(stats: BoardStats) -> int:
    """Return the requests answered with an error code."""
    return sum(count for name, count in stats.results.items() if name != "RC_OK")


def dropped(stats: BoardStats) -> int:
    """Return the datagrams that boards dropped without a word."""
    return sum(stats.dropped.values())
