# SPDX-License-Identifier: Apache-2.0
"""The interpreter ends cleanly whatever a stream is doing; each in a child process."""

from __future__ import annotations

import textwrap

import pytest
from ending import assert_ctrl_c_ends, assert_ends_cleanly
from forking import forking

PROLOGUE = """
import packets, receiving
import pyspin, pyspin.recv
from receiving import bind, send, small_heaps, wait_until

pool = pyspin.ThreadPool()

def busy(stream):
    "Keep a UDP reader at work, from a thread, for as long as the process lives."
    port = bind(stream)
    heap = packets.heap_packets(1, bytes(64000), size=8000)
    def run():
        while True:
            send(heap, port)
    threading.Thread(target=run, daemon=True).start()
    stream.get()

def endless():
    "Return a stream whose memory reader is far from its end, with a full ring."
    stream = pyspin.recv.Stream(pool)
    stream.add_buffer_reader(b"".join(small_heaps(5000)))
    wait_until(lambda: stream.stats.worker_blocked > 0)
    return stream
"""

SCRIPTS = {
    "idle stream": "stream = pyspin.recv.Stream(pool)",
    "idle UDP reader": "stream = pyspin.recv.Stream(pool); bind(stream)",
    "full ring": "stream = endless()",
    "reader busy": "stream = pyspin.recv.Stream(pool, ring_heaps=64); busy(stream)",
    "reader busy, ring full": """
        stream = pyspin.recv.Stream(pool)
        busy(stream)
        wait_until(lambda: stream.stats.worker_blocked > 0)
    """,
    "partial heaps": """
        stream = pyspin.recv.Stream(pool)
        send([packets.data_packet(1, b"ab", 0, 4)], bind(stream))
        wait_until(lambda: stream.stats.packets == 1)
    """,
    "daemon thread blocked in get": """
        stream = pyspin.recv.Stream(pool)
        threading.Thread(target=next, args=(stream, None), daemon=True).start()
        time.sleep(0.05)
    """,
    "daemon threads taking": """
        stream = pyspin.recv.Stream(pool, ring_heaps=64)
        def take():
            for heap in stream: pass
        for _ in range(3): threading.Thread(target=take, daemon=True).start()
        busy(stream)
        time.sleep(0.05)
    """,
    "thread blocked in get that stop releases": """
        stream = pyspin.recv.Stream(pool)
        def take():
            try: stream.get()
            except pyspin.Stopped: pass
        threading.Thread(target=take).start()
        stream.stop()
    """,
    "stream in a cycle": """
        class Node: pass
        node = Node(); node.self = node; node.stream = endless()
    """,
    "stream collected while its reader is busy": """
        stream = pyspin.recv.Stream(pool, ring_heaps=64)
        busy(stream)
        node = [stream]; node.append(node)
        del stream, node
        gc.collect()
    """,
    "stream collected in another thread": """
        node = [endless()]; node.append(node); del node
        thread = threading.Thread(target=gc.collect); thread.start(); thread.join()
    """,
    "pool dropped before its stream": "stream = endless(); del pool",
    "pool stopped under a blocked get": """
        stream = pyspin.recv.Stream(pool)
        bind(stream)
        getting = receiving.InThread(stream.get)
        pool.stop()
        try: getting.result()
        except pyspin.Stopped: pass
        else: sys.exit("not stopped")
    """,
    "pool stopped with a full ring": """
        stream = endless()
        pool.stop()
        heaps = list(stream)
        assert len(heaps) == 4, heaps
    """,
    "heap and views outlive everything": """
        stream = pyspin.recv.Stream(pool)
        stream.add_buffer_reader(packets.heap_packets(1, b"abc", [packets.addressed(4096, 0)])[0])
        view = memoryview(stream.get().get_items()[0])
        del stream, pool
        gc.collect()
        assert bytes(view) == b"abc"
    """,
    "buffer goes before its stream": """
        data = bytearray(b"".join(small_heaps(100000)))
        stream = pyspin.recv.Stream(pool, ring_heaps=1000)
        stream.add_buffer_reader(data)
        node = [data, stream]; node.append(node)
        del data, stream, node
        gc.collect()
    """,
    "asyncio stream with a waiter": """
        import asyncio
        from pyspin.recv.asyncio import Stream
        async def main():
            stream = Stream(pool)
            bind(stream)
            asyncio.ensure_future(stream.get())
            await asyncio.sleep(0.01)
        asyncio.run(main())
    """,
    "forked child": """
        stream = endless()
        child = os.fork()
        if child == 0:
            try: pyspin.recv.Stream(pool)
            except pyspin.ForkedError: pass
            else: sys.exit("a stream without threads")
            stream.stop()
            del stream
            gc.collect()
            sys.exit(7)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7, status
        assert stream.get().cnt == 1
    """,
    "a child that asks for its parent's heaps": """
        import select
        stream = endless()
        select.select([stream], [], [])
        child = os.fork()
        if child == 0:
            for call in (stream.get, stream.get_nowait, lambda: stream.get_many_nowait(9)):
                try: call()
                except pyspin.errors.ForkedError: continue
                sys.exit("a heap of the parent's")
            stream.stats
            sys.exit(7)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7, status
        assert select.select([stream], [], [], 0)[0], "the child took the parent's event"
        assert stream.get_nowait().cnt == 1
    """,
    "stream made again in a forked child": """
        import warnings
        child = os.fork()
        if child == 0:
            stream = pyspin.recv.Stream(pyspin.ThreadPool())
            stream.add_buffer_reader(small_heaps(1)[0])
            sys.exit(stream.get().cnt)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 1, status
    """,
    "stop from a signal handler in a blocked get": """
        stream = pyspin.recv.Stream(pool)
        signal.signal(signal.SIGALRM, lambda number, frame: stream.stop())
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        try: stream.get()
        except pyspin.Stopped: pass
        else: sys.exit("not stopped")
    """,
}


def with_prologue(script: str) -> str:
    return PROLOGUE + textwrap.dedent(script)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=forking if "forked" in name else ()) for name in SCRIPTS],
)
def test_exit_is_clean_with(name: str) -> None:
    assert_ends_cleanly(with_prologue(SCRIPTS[name]))


@pytest.mark.parametrize(
    "wait", ["stream.get()", "list(stream)", "stream.get_many(4)", "stream.get(timeout=1000)"]
)
def test_ctrl_c_ends_a_blocked_wait(wait: str) -> None:
    script = f"""
        stream = pyspin.recv.Stream(pool)
        bind(stream)
        print("waiting", flush=True)
        {wait}
    """
    assert_ctrl_c_ends(with_prologue(script))
