# SPDX-License-Identifier: Apache-2.0
"""One measurement in a process of its own: `python job.py pyspin|spead2 JOB [key=value ...]`.

Prints READY when traffic may come, then one line of JSON. CPU seconds are those of the whole
process between the two.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import traffic


class Usage:
    """CPU and wall seconds of this process since it was made."""

    def __init__(self) -> None:
        self._cpu = resource.getrusage(resource.RUSAGE_SELF)
        self._wall = time.monotonic()

    def read(self) -> dict[str, float]:
        now = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "user": now.ru_utime - self._cpu.ru_utime,
            "system": now.ru_stime - self._cpu.ru_stime,
            "wall": time.monotonic() - self._wall,
        }


def ready() -> Usage:
    print("READY", flush=True)
    return Usage()


def udp(
    lib,
    *,
    port: int,
    payload: int,
    heap: int,
    cpu: int = 1,
    ring: int = 0,
    max_heaps: int = 4,
    reorder: int = 0,
    flows: int = 1,
    copying: int = 0,
) -> dict:
    """Receive heaps until the stop packet and drop them; a stream and a thread for each flow."""
    os.sched_setaffinity(0, {cpu})
    options = {"max_heaps": max_heaps}
    if lib.NAME == "spead2" and reorder:
        options["allow_out_of_order"] = True
    if copying:
        options["scatter"] = False
    streams = [lib.receiver(cpu, heap, 16, **options) for _ in range(flows)]
    for flow, stream in enumerate(streams):
        if ring:
            lib.add_packet_ring(stream, port + flow)
        else:
            lib.add_udp(stream, port + flow, payload + 200)
    usage = ready()
    if flows == 1:
        heaps = _iterate(lib, streams[0])
    else:
        with ThreadPoolExecutor(flows) as pool:
            heaps = sum(pool.map(lambda stream: _iterate(lib, stream), streams))
    result = usage.read()
    stats = [lib.stats(stream) for stream in streams]
    packets = sum(each["packets"] - 1 for each in stats)  # but for the stop packets
    return {"heaps": heaps, "packets": packets, **result, "stats": stats[0]}


def latency(lib, *, port: int, payload: int, heap: int, cpu: int = 1, at_once: int = 0) -> dict:
    """Take the time from a heap's last packet to its `get`; the heap's last bytes tell it."""
    os.sched_setaffinity(0, {cpu})
    stream = lib.receiver(cpu, heap, 16, **({"max_latency": 0.0} if at_once else {}))
    lib.add_udp(stream, port, payload + 200)
    usage = ready()
    waits = []
    for heap_ in stream:
        now = time.monotonic_ns()
        data = np.array(heap_.get_items()[0], copy=False).view(np.uint8)
        waits.append(now - int(data[-8:].view("<u8")[0]))
    waits = waits[len(waits) // 10 :]
    return {
        "heaps": len(waits),
        "latency_us": statistics.median(waits) / 1e3,
        "latency_p99_us": float(np.percentile(waits, 99)) / 1e3,
        **usage.read(),
    }


def memory(lib, *, payload: int, heap: int, count: int) -> dict:
    """Receive big heaps that lie in memory, each dropped at once."""
    buffer = traffic.heaps(count, heap, payload)
    stream = lib.receiver(None, heap, 4)
    usage = ready()
    lib.add_buffer(stream, buffer)
    heaps = sum(1 for _ in stream)
    return {"heaps": heaps, "bytes": heaps * heap, **usage.read()}


def _iterate(lib, stream) -> int:
    return sum(1 for _ in stream)


def _get(lib, stream) -> int:
    count = 0
    stopped = importlib.import_module(lib.NAME).Stopped
    try:
        while True:
            stream.get()
            count += 1
    except stopped:
        return count


def _get_many(lib, stream) -> int:
    count = 0
    stopped = importlib.import_module(lib.NAME).Stopped
    try:
        while True:
            count += len(lib.get_many(stream, 64)) if hasattr(lib, "get_many") else _one(stream)
    except stopped:
        return count


def _one(stream) -> int:
    stream.get()
    return 1


def _update(lib, stream) -> int:
    group = lib.item_group()
    count = 0
    for heap in stream:
        group.update(heap)
        count += 1
    return count


def _asyncio(lib, stream) -> int:
    async def consume() -> int:
        count = 0
        async for _ in stream:
            count += 1
        return count

    return asyncio.run(consume())


WAYS: dict[str, Callable] = {
    "iterate": _iterate,
    "get": _get,
    "get_many": _get_many,
    "update": _update,
    "asyncio": _asyncio,
}


def small(lib, *, way: str, heap: int = 1024, count: int = 200_000) -> dict:
    """Consume small heaps that lie in memory, in one of WAYS."""
    buffer = np.concatenate(
        [
            np.frombuffer(traffic.descriptor_heap(1, heap), np.uint8),
            traffic.heaps(count, heap, heap),
        ]
    )
    cls = {"cls": lib.async_class} if way == "asyncio" else {}
    stream = lib.receiver(None, heap, 64, **cls)
    usage = ready()
    lib.add_buffer(stream, buffer)
    heaps = WAYS[way](lib, stream)
    result = usage.read()
    return {"heaps": heaps, "heaps_per_second": heaps / result["wall"], **result}


def send(lib, *, port: int, packet: int, heap: int, heaps: int, batch: int = 1) -> dict:
    """Send big heaps as fast as it goes, each made of the same item; `batch` in each call."""
    stream, group = lib.sender(port, packet, heap)
    usage = ready()
    if batch == 1:
        for _ in range(heaps):
            stream.send_heap(group.get_heap(descriptors="none", data="all"))
    else:
        for _ in range(heaps // batch):
            made = [group.get_heap(descriptors="none", data="all") for _ in range(batch)]
            stream.send_heaps(made)
    result = usage.read()
    sent = heaps * heap
    return {"bytes": sent, "bytes_per_second": sent / result["wall"], **result}


def main() -> None:
    lib = importlib.import_module(f"with_{sys.argv[1]}")
    options: dict[str, object] = {}
    for pair in sys.argv[3:]:
        key, value = pair.split("=", 1)
        options[key] = int(value) if value.lstrip("-").isdigit() else value
    print(json.dumps(globals()[sys.argv[2]](lib, **options)), flush=True)
    # A library that waits at exit for what it sent would be timed by nobody.
    os._exit(0)


if __name__ == "__main__":
    main()
