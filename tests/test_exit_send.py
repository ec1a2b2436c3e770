# SPDX-License-Identifier: Apache-2.0
"""The interpreter ends cleanly whatever a sender is doing; each in a child process."""

from __future__ import annotations

import signal
import textwrap

import pytest
from ending import start
from patience import PATIENCE

PROLOGUE = """
import asyncio
import pyspin, pyspin.send.asyncio
from pyspin.send import StreamConfig, UdpStream
from sending import make_heap
from pyspin.threads import ThreadPool

pool = ThreadPool()
SLOW = StreamConfig(rate=100.0, burst_size=4000, max_heaps=2)

def wait_until(condition):
    while not condition():
        time.sleep(0.001)

def send_until_stopped(stream, heap):
    try:
        while True:
            stream.send_heap(heap)
    except pyspin.errors.Stopped:
        pass

def in_flight(stream):
    "Have a thread wait in send_heap for ever."
    threading.Thread(target=send_until_stopped, args=(stream, make_heap()), daemon=True).start()
    wait_until(lambda: stream.stats.packets)
"""

SCRIPTS = {
    "idle": "stream = UdpStream(pool, '127.0.0.1', 9)",
    "stopped": "stream = UdpStream(pool, '127.0.0.1', 9); stream.stop()",
    "waiting for the rate": "stream = UdpStream(pool, '127.0.0.1', 9, SLOW); in_flight(stream)",
    "busy": """
        stream = UdpStream(pool, "127.0.0.1", 9)
        heap = make_heap(1 << 20)
        threading.Thread(target=send_until_stopped, args=(stream, heap), daemon=True).start()
        wait_until(lambda: stream.stats.heaps > 3)
    """,
    "asyncio with heaps in flight": """
        async def main():
            stream = pyspin.send.asyncio.UdpStream(pool, "127.0.0.1", 9, SLOW)
            stream.async_send_heap(make_heap(100000))
            return stream
        stream = asyncio.run(main())
    """,
    "global in a cycle": """
        class Owner:
            pass
        owner = Owner()
        owner.itself = owner
        owner.stream = UdpStream(pool, "127.0.0.1", 9, SLOW)
        in_flight(owner.stream)
    """,
    "pool dropped first": """
        stream = UdpStream(pool, "127.0.0.1", 9, SLOW)
        in_flight(stream)
        del pool
    """,
    "stopped at exit": """
        import atexit
        stream = UdpStream(pool, "127.0.0.1", 9, SLOW)
        in_flight(stream)
        atexit.register(stream.stop)
    """,
    "dropped in another thread": """
        async def main():
            stream = pyspin.send.asyncio.UdpStream(pool, "127.0.0.1", 9, SLOW)
            stream.async_send_heap(make_heap(100000))
            return [stream]
        streams = asyncio.run(main())
        thread = threading.Thread(target=streams.clear)
        thread.start()
        thread.join()
    """,
    "forked": """
        stream = UdpStream(pool, "127.0.0.1", 9)
        stream.send_heap(make_heap())
        child = os.fork()
        if child == 0:
            for call in (lambda: stream.send_heap(make_heap()), stream.flush):
                try:
                    call()
                except pyspin.errors.ForkedError:
                    pass
                else:
                    os._exit(3)
            stream.stop()
            del stream
            gc.collect()
            sys.exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        stream.send_heap(make_heap())
    """,
}


def script(body: str) -> str:
    return PROLOGUE + textwrap.dedent(body).strip() + "\nprint('ready', flush=True)\n"


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_interpreter_ends(name: str) -> None:
    with start(script(SCRIPTS[name])) as child:
        try:
            output, errors = child.communicate(timeout=PATIENCE)
        except BaseException:
            child.kill()
            raise
    assert child.returncode == 0, errors
    assert output == "ready\n"
    assert "Traceback" not in errors, errors


def test_ctrl_c_ends_a_blocked_send() -> None:
    body = """
        stream = UdpStream(pool, "127.0.0.1", 9, SLOW)
        heap = make_heap()
        try:
            print("waiting", flush=True)
            stream.send_heap(heap)
        except KeyboardInterrupt:
            pass
    """
    with start(script(body)) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "waiting\n"
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, errors
    assert output == "ready\n"
