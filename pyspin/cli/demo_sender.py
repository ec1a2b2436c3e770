# SPDX-License-Identifier: Apache-2.0
"""The demo's sender, a process of its own: `python -m pyspin.cli.demo_sender PORT HEAPS RATE`.

Sends HEAPS heaps of the demo's signal at RATE bytes a second, or fewer if the machine is slow, a
stop at the end, and prints how many it sent.
"""

from __future__ import annotations

import signal
import sys
import time
import zlib

import numpy as np

import pyspin
import pyspin.send
from pyspin.cli import chirp

SAMPLES = 1 << 18  # a heap's
HEAP_BYTES = SAMPLES * 2
PACKET_BYTES = 8972  # fits an Ethernet frame of 9000 bytes
PATIENCE = 1.2  # times the time that the rate would take, on a machine that cannot keep it


def item_group() -> pyspin.send.ItemGroup:
    """Return the group of items that the demo sends."""
    group = pyspin.send.ItemGroup()
    group.add_item(0x1000, "number", "Number of the heap", (), np.uint32)
    group.add_item(0x1001, "checksum", "CRC-32 of the samples", (), np.uint32)
    group.add_item(0x1002, "samples", "The signal", (SAMPLES,), np.int16)
    return group


def send(port: int, heaps: int, rate: float) -> int:
    """Send the signal, or what can be sent in time; return how many heaps went out."""
    deadline = time.monotonic() + PATIENCE * heaps * HEAP_BYTES / rate
    config = pyspin.send.StreamConfig(max_packet_size=PACKET_BYTES, rate=rate, max_heaps=4)
    stream = pyspin.send.UdpStream(pyspin.ThreadPool(), "127.0.0.1", port, config)
    group = item_group()
    sent = 0
    try:
        for number in range(heaps):
            samples = chirp.samples(number * SAMPLES, SAMPLES)
            group["number"].value = number
            group["checksum"].value = zlib.crc32(samples.data)
            group["samples"].value = samples
            # Descriptors go along every so often, for a receiver that starts late.
            stream.send_heap(group.get_heap("all" if number % 50 == 0 else "stale"))
            sent += 1
            if time.monotonic() > deadline:
                break
    except KeyboardInterrupt:
        pass
    stream.send_heap(group.get_end())
    return sent


def main() -> None:
    # The receiver ends this process.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    port, heaps, rate = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    print(send(port, heaps, rate), flush=True)


if __name__ == "__main__":
    main()
