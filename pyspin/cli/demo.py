# SPDX-License-Identifier: Apache-2.0
"""`pyspin demo`: the main job on this machine, from a sender process to a picture."""

from __future__ import annotations

import contextlib
import math
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

import pyspin
import pyspin.recv
from pyspin.cli import chirp, spectrogram
from pyspin.cli.demo_sender import HEAP_BYTES, SAMPLES
from pyspin.cli.live import View
from pyspin.cli.ports import free_udp_port

RING_HEAPS = 16

# The sender as a child: with the package of this process, whatever lies in the directory where
# the demo is started, which may be a checkout without its extension.
SENDER = """\
import sys
sys.path.insert(0, sys.argv.pop(1))
from pyspin.cli.demo_sender import main
main()
"""
PACKAGES = str(Path(pyspin.__file__).parent.parent)


@dataclass
class Received:
    """What has come so far."""

    heaps: int = 0
    broken: int = 0  # heaps whose checksum does not agree
    spectra: dict[int, npt.NDArray[np.float32]] = field(default_factory=dict)

    def take(self, items: dict[str, Any]) -> None:
        """Check one heap and keep its spectrum."""
        if "samples" not in items:
            return
        samples = items["samples"].value
        self.heaps += 1
        self.broken += zlib.crc32(samples) != int(items["checksum"].value)
        self.spectra[int(items["number"].value)] = spectrogram.spectrum(samples)


@contextlib.contextmanager
def ctrl_c_held() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block."""
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def start_sender(port: int, heaps: int, rate: float) -> subprocess.Popen[str]:
    """Start the sender, in a session of its own: a terminal's Ctrl-C is for the receiver."""
    return subprocess.Popen(
        [sys.executable, "-c", SENDER, PACKAGES, str(port), str(heaps), str(rate)],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def receive(
    stream: pyspin.recv.Stream, sender: subprocess.Popen[str], received: Received, view: View
) -> None:
    """Take heaps until the sender stops, or has died, or its stop is lost."""
    group = pyspin.ItemGroup()
    while True:
        try:
            heap = stream.get(timeout=1)
        except pyspin.Empty:
            if sender.poll() is not None:
                return
            continue
        except pyspin.Stopped:
            return
        received.take(group.update(heap))
        view.show(stream.stats, received.heaps, received.broken)


def draw(received: Received, path: Path, seconds: float) -> None:
    """Save the picture of what was sent beside what came."""
    count = max(received.spectra) + 1
    sent = np.stack(
        [
            spectrogram.spectrum(chirp.samples(number * SAMPLES, spectrogram.LENGTH))
            for number in range(count)
        ]
    )
    came = np.full_like(sent, np.nan)
    for number, row in received.spectra.items():
        came[number] = row
    title = f"{received.heaps} heaps of {HEAP_BYTES // 1024} KiB over UDP, {received.broken} broken"
    try:
        spectrogram.save(path, sent, came, seconds, title)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None


def end(sender: subprocess.Popen[str]) -> int | None:
    """Wait for the sender; return how many heaps it says it sent."""
    try:
        output, _ = sender.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        sender.kill()
        output, _ = sender.communicate()
    return int(output) if output.strip().isdigit() else None


@click.command()
@click.option("--seconds", default=10.0, show_default=True, help="How long to send.")
@click.option("--rate", default=60e6, show_default=True, help="Bytes a second.")
@click.option(
    "--output",
    default="pyspin-demo.png",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the picture goes.",
)
def demo(seconds: float, rate: float, output: Path) -> None:
    """Send a signal over loopback UDP, receive it, and draw its spectrogram.

    A sender process and this one as the receiver, for about ten seconds; Ctrl-C ends it early.
    """
    if not (0 < seconds < math.inf and 0 < rate < math.inf):
        raise click.BadParameter(f"seconds and rate must be positive, not {seconds} and {rate}")
    spectrogram.require_matplotlib()
    heaps = max(1, int(seconds * rate / HEAP_BYTES))
    received = Received()
    began = time.monotonic()
    with pyspin.recv.Stream(pyspin.ThreadPool(), ring_heaps=RING_HEAPS) as stream:
        stream.set_memory_allocator(
            pyspin.MemoryPool(HEAP_BYTES, HEAP_BYTES + 4096, RING_HEAPS + 8, RING_HEAPS)
        )
        port = free_udp_port()
        stream.add_udp_reader(port, bind_hostname="127.0.0.1")
        interrupted = False
        try:
            with ctrl_c_held():
                sender = start_sender(port, heaps, rate)
            with View(heaps, RING_HEAPS) as view:
                receive(stream, sender, received, view)
        except KeyboardInterrupt:
            interrupted = True
            sender.terminate()
        sent = end(sender)
        stats = stream.stats
    took = time.monotonic() - began
    report(received, stats, sent, took, interrupted)
    if received.spectra:
        draw(received, output, took)
        click.echo(f"picture: {output}")
    if not interrupted and (sent is None or received.broken):
        raise click.ClickException("the demo did not go as it should: see the summary")


def report(
    received: Received, stats: Any, sent: int | None, seconds: float, interrupted: bool
) -> None:
    """Print the summary."""
    said = "unknown" if sent is None else str(sent)
    agree = received.heaps - received.broken
    if interrupted:
        click.echo("interrupted: the sender was ended too")
    click.echo(
        f"sent {said} heaps, received {received.heaps} in {seconds:.1f} s "
        f"({received.heaps * HEAP_BYTES / seconds / 1e6:.0f} MB/s); "
        f"checksums agree in {agree} of {received.heaps}"
    )
    click.echo(
        f"packets {stats.packets}, dropped by the kernel {stats.kernel_drops}, incomplete heaps "
        f"{stats.incomplete_heaps_evicted + stats.incomplete_heaps_flushed}, readers suspended "
        f"{stats.worker_blocked} times, placed without a copy "
        f"{100 * stats.bytes_placed / max(1, stats.bytes_placed + stats.bytes_copied):.0f} % "
        "of the payload"
    )
