# SPDX-License-Identifier: Apache-2.0
"""The interpreter ends, Ctrl-C ends a wait, and a fork harms nobody; each in a child process."""

from __future__ import annotations

import textwrap

import pytest
from ending import assert_ctrl_c_ends, assert_ends_cleanly
from forking import forking

PROLOGUE = """
import socket
from patience import PATIENCE
from scp_peer import Peer
from pyspin.board import VirtualBoard
from pyspin.connections import *
from pyspin.errors import ForkedError
from pyspin.messages import *

silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(("127.0.0.1", 0))

def connect(port=silent.getsockname()[1]):
    return SCAMPConnection(0, 0, remote_host="127.0.0.1", remote_port=port)

class Duck:
    def __init__(self, connection):
        self.get_scp_data = connection.get_scp_data
        self.send = connection.send
        self.receive_scp_response = connection.receive_scp_response

def fill(pipeline):
    for _ in range(4):
        pipeline.send_request(ReadMemory((0, 0, 0), 0x60000000, 4), None, print)
    return pipeline

def background(function):
    threading.Thread(target=function, daemon=True).start()
    time.sleep(0.02)

def in_child(function):
    "Call it in a forked child; it must return."
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(PATIENCE / 2, exit=True)
        try:
            function()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(3)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

def wait_until(condition):
    while not condition():
        time.sleep(0.001)
"""

SCRIPTS = {
    "a pipeline in progress": "pipeline = fill(SCPRequestPipeLine(connect(), 8))",
    "a pipeline in progress, by methods": "it = fill(SCPRequestPipeLine(Duck(connect()), 8))",
    "a pipeline in a cycle": """
        pipeline = fill(SCPRequestPipeLine(connect(), 8))
        node = [pipeline]; node.append(node)
        del pipeline, node
    """,
    "a thread in finish": """
        pipeline = fill(SCPRequestPipeLine(connect(), 8))
        background(pipeline.finish)
    """,
    "a thread in finish, by methods": """
        pipeline = fill(SCPRequestPipeLine(Duck(connect()), 8))
        background(pipeline.finish)
    """,
    "a thread in a bulk read": """
        connection = connect()
        background(lambda: connection.read_memory(0, 0, 0x60000000, 1 << 20))
    """,
    "a bulk transfer that was not run": """
        bulk = BulkTransfer()
        data = bulk.read(connect(), 0, 0, 0x60000000, 1000)
    """,
    "a thread in receive": "connection = connect(); background(connection.receive)",
    "a thread in a token bucket": """
        bucket = TokenBucket(10, 1e-3)
        bucket.consume(10)
        background(lambda: bucket.consume(10))
    """,
    "a listener under traffic": """
        here = UDPConnection("127.0.0.1")
        listener = ConnectionListener(here)
        heard = []
        listener.add_callback(heard.append)
        listener.start()
        def send():
            while True: silent.sendto(b"x", ("127.0.0.1", here.local_port))
        background(send)
        wait_until(lambda: heard)
    """,
    "a board that serves": """
        board = VirtualBoard(3)
        board.start()
        connection = connect(board.port)
        assert connection.read_memory(0, 0, 0x60000000, 1000) == bytes(1000)
    """,
    "a forked child that closes": """
        with Peer(memory=bytes(4096)) as peer:
            connection = connect(peer.port)
            assert len(connection.read_memory(0, 0, 0x60000000, 4096)) == 4096
            in_child(connection.close)
            assert len(connection.read_memory(0, 0, 0x60000000, 4096)) == 4096
            with SCPRequestPipeLine(connection, 8) as pipeline:
                fill(pipeline)
                in_child(connection.close)
    """,
    "a forked child that uses a connection of its parent's": """
        connection = connect()
        pipeline = fill(SCPRequestPipeLine(connection, 8))
        other = Duck(connection)
        by_methods = fill(SCPRequestPipeLine(other, 8))
        bulk = BulkTransfer()
        bulk.read(connection, 0, 0, 0x60000000, 4)
        def refused():
            for call in (
                pipeline.finish,
                lambda: fill(pipeline),
                by_methods.finish,
                lambda: fill(by_methods),
                lambda: SCPRequestPipeLine(connection),
                lambda: SCPRequestPipeLine(other),
                bulk.run,
                lambda: bulk.read(connection, 0, 0, 0x60000000, 4),
                lambda: connection.read_memory(0, 0, 0x60000000, 4),
            ):
                try:
                    call()
                except ForkedError:
                    continue
                raise AssertionError("it went through")
            assert pipeline.statistics["requests"] == 4
            assert by_methods.statistics["requests"] == 4
        in_child(refused)
    """,
    "a forked child that takes no reply of its parent's": """
        with Peer() as peer:
            for call in (lambda: pipeline.finish(), lambda: fill(pipeline)):
                connection = connect(peer.port)
                pipeline = fill(SCPRequestPipeLine(Duck(connection), 4, packet_timeout=100))
                wait_until(lambda: len(peer.requests) in (4, 8))
                def refused():
                    try: call()
                    except ForkedError: return
                    raise AssertionError("it went through")
                in_child(refused)
                pipeline.finish()
                assert pipeline.n_resent == 0
    """,
    "forked children of a busy parent": """
        stopped = threading.Event()
        with Peer(memory=bytes(4096)) as peer:
            connection = connect(peer.port)
            pipeline = SCPRequestPipeLine(connection, 8)
            def work():
                while not stopped.is_set(): connection.read_memory(0, 0, 0x60000000, 4096)
            thread = threading.Thread(target=work)
            thread.start()
            def end():
                global connection, pipeline
                pipeline.statistics
                try: fill(pipeline)
                except ForkedError: pass
                connection.close()
                del connection, pipeline
                gc.collect()
            for _ in range(12): in_child(end)  # each takes longer: the peer keeps requests
            stopped.set()
            thread.join()
    """,
    "a forked child that connects anew": """
        with Peer(memory=bytes(4096)) as peer:
            first = connect(peer.port)
            first.read_memory(0, 0, 0x60000000, 4)
            def read():
                with connect(peer.port) as second:
                    assert len(second.read_memory(0, 0, 0x60000000, 4096)) == 4096
            in_child(read)
    """,
    "a forked child of a listener": """
        here = UDPConnection("127.0.0.1")
        listener = ConnectionListener(here)
        heard = []
        listener.add_callback(heard.append)
        listener.start()
        stopped = threading.Event()
        def send():
            while not stopped.is_set(): silent.sendto(b"x", ("127.0.0.1", here.local_port))
        thread = threading.Thread(target=send)
        thread.start()
        def end():
            listener.close()
            here.close()
        for _ in range(30): in_child(end)
        stopped.set()
        thread.join()
        heard.clear()
        silent.sendto(b"x", ("127.0.0.1", here.local_port))
        wait_until(lambda: heard)
        listener.close()
    """,
    "a forked child of a board": """
        with VirtualBoard(3) as board:
            connection = connect(board.port)
            for _ in range(10):
                connection.read_memory(0, 0, 0x60000000, 4096)
                in_child(board.close)
            connection.read_memory(0, 0, 0x60000000, 4096)
    """,
}

WAITS = {
    "finish": "fill(SCPRequestPipeLine(connect(), 8, packet_timeout=1000)).finish()",
    "finish, by methods": "fill(SCPRequestPipeLine(Duck(connect()), 8)).finish()",
    "send_request": "fill(SCPRequestPipeLine(connect(), 1, packet_timeout=1000))",
    "read_memory": "connect().read_memory(0, 0, 0x60000000, 1000)",
    "receive": "connect().receive()",
    "receive_scp_response": "connect().receive_scp_response(1000)",
    "is_ready_to_receive": "connect().is_ready_to_receive(1000)",
    "consume": "bucket = TokenBucket(1, 1e-3); bucket.consume(1); bucket.consume(1)",
}


def with_prologue(script: str) -> str:
    return PROLOGUE + textwrap.dedent(script)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=forking if "forked" in name else ()) for name in SCRIPTS],
)
def test_exit_is_clean_with(name: str) -> None:
    assert_ends_cleanly(with_prologue(SCRIPTS[name]))


@pytest.mark.parametrize("wait", WAITS)
def test_ctrl_c_ends_a_blocked_wait(wait: str) -> None:
    assert_ctrl_c_ends(with_prologue(f'print("waiting", flush=True)\n{WAITS[wait]}'))
