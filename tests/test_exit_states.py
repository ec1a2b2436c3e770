# SPDX-License-Identifier: Apache-2.0
"""Every way to end in every state of receiving; each pair in a child process."""

from __future__ import annotations

import textwrap

import pytest
from ending import assert_ends_cleanly

PROLOGUE = """
import packets, pyspin, pyspin.recv
from receiving import bind, send, small_heaps, wait_until

pool = pyspin.ThreadPool(2)
"""

# Each leaves `state`, which holds all there is, and may leave `wait`, for the main thread.
STATES = {
    "blocked get": """
        stream = pyspin.recv.Stream(pool)
        bind(stream)
        def take(stream):
            try: stream.get()
            except pyspin.Stopped: pass
        threading.Thread(target=take, args=(stream,), daemon=True).start()
        state, wait = [stream], stream.get
        del stream
    """,
    "full ring": """
        stream = pyspin.recv.Stream(pool)
        stream.add_buffer_reader(b"".join(small_heaps(5000)))
        wait_until(lambda: stream.stats.worker_blocked > 0)
        state = [stream]
        del stream
    """,
    "refill under way": """
        memory = pyspin.MemoryPool(pool, 1, 16 << 20, 40, 20, 20, pyspin.MmapAllocator())
        stream = pyspin.recv.Stream(pool, allocator=memory)
        state = [stream, memory, [memory.allocate(16 << 20) for _ in range(10)]]
        del stream, memory
    """,
    "reader busy": """
        stream = pyspin.recv.Stream(pool, ring_heaps=64)
        port = bind(stream)
        heap = packets.heap_packets(1, bytes(64000), size=8000)
        def keep_sending():
            while True: send(heap, port)
        threading.Thread(target=keep_sending, daemon=True).start()
        stream.get()
        state = [stream]
        del stream
    """,
}

ENDS = {
    "stop": """
        state[0].stop()
        pool.stop()
    """,
    "collection": """
        state.append(state)
        del state, pool
        wait = None
        gc.collect()
    """,
    "signal": """
        try:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            wait()
        except KeyboardInterrupt: pass
        else: sys.exit("not interrupted")
    """,
    "exit": "",
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("state", STATES)
def test_it_ends_cleanly(state: str, end: str) -> None:
    idle = "wait = threading.Event().wait\n"
    assert_ends_cleanly(
        PROLOGUE + idle + textwrap.dedent(STATES[state]) + textwrap.dedent(ENDS[end])
    )
