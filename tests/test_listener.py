# SPDX-License-Identifier: Apache-2.0
"""The listener: order, faults, closing in every state, foreign connections, bursts."""

import logging
import subprocess
import sys
import threading
import time

import pytest
import spinnman.connections as peer
import spinnman.connections.udp_packet_connections as peer_connections
from patience import PATIENCE
from receiving import free_port

from pyspin.connections import (
    ConnectionListener,
    EIEIOConnection,
    SDPConnection,
    UDPConnection,
)
from pyspin.connections.source import InboxSource
from pyspin.messages import (
    ConnectionClosedError,
    EventStopRequest,
    SDPFlag,
    SDPHeader,
    SDPMessage,
)


def until(condition):
    """Wait for a condition that another thread will make true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.001)


@pytest.fixture
def here():
    with UDPConnection("127.0.0.1") as connection:
        yield connection


@pytest.fixture
def sender(here):
    with UDPConnection(remote_host="127.0.0.1", remote_port=here.local_port) as connection:
        yield connection


@pytest.fixture
def listener(here):
    with ConnectionListener(here, timeout=PATIENCE) as listener:
        yield listener


class Foreign:
    """A connection of somebody else: the two methods, around one of ours."""

    def __init__(self, connection):
        self.connection = connection

    def get_receive_method(self):
        return lambda: self.connection.receive(PATIENCE)

    def is_ready_to_receive(self, timeout=0):
        return self.connection.is_ready_to_receive(timeout)


@pytest.fixture(params=["ours", "foreign"])
def any_listener(request, here):
    """Return a listener to `here`, through C and through the two methods alone."""
    connection = here if request.param == "ours" else Foreign(here)
    # A foreign connection is asked again after the timeout only.
    timeout = PATIENCE if request.param == "ours" else 0.1
    with ConnectionListener(connection, timeout=timeout) as listener:
        yield listener


def test_it_is_a_daemon_that_does_not_start_itself(listener):
    assert isinstance(listener, threading.Thread)
    assert listener.daemon
    assert not listener.is_alive()
    listener.start()
    assert listener.is_alive()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_callback_that_exits_ends_nothing(here, sender, kind):
    got = []

    def take(message):
        if message == b"exit":
            raise kind
        got.append(message)

    with ConnectionListener(here, n_processes=1) as listener:
        listener.add_callback(take)
        listener.start()
        for message in (b"one", b"exit", b"two"):
            sender.send_to(message, ("127.0.0.1", here.local_port))
        until(lambda: got == [b"one", b"two"])
        assert listener.n_callback_errors == 1


def test_every_callback_gets_every_message_in_order(any_listener, sender):
    first, second = [], []
    any_listener.add_callback(first.append)
    any_listener.add_callback(second.append)
    any_listener.start()
    sent = [b"%d" % index for index in range(500)]
    for data in sent:
        sender.send(data)
    until(lambda: len(first) == len(second) == 500)
    assert first == second == sent
    assert any_listener.n_messages == 500
    assert any_listener.n_kernel_drops == 0


def test_the_same_callback_may_be_added_twice(listener, sender):
    got = []
    listener.add_callback(got.append)
    listener.add_callback(got.append)
    listener.start()
    sender.send(b"x")
    until(lambda: len(got) == 2)


def test_callbacks_can_be_added_while_it_runs(any_listener, sender):
    got, late = [], []
    any_listener.add_callback(got.append)
    any_listener.start()
    for index in range(50):
        sender.send(b"%d" % index)
        any_listener.add_callback(lambda data: late.append(data))
    until(lambda: len(got) == 50)
    before = len(late)
    sender.send(b"last")
    until(lambda: late.count(b"last") == 50)
    assert len(late) >= before + 1
    assert any_listener.n_callback_errors == 0


def test_callbacks_are_called_on_other_threads(listener, sender):
    names = []
    listener.add_callback(lambda data: names.append(threading.current_thread()))
    listener.start()
    sender.send(b"x")
    until(lambda: names)
    assert names[0] not in (listener, threading.main_thread())


def test_one_callback_does_not_wait_for_another(listener, sender):
    let_go, got = threading.Event(), []
    listener.add_callback(lambda data: let_go.wait(PATIENCE))
    listener.add_callback(got.append)
    listener.start()
    for _ in range(10):
        sender.send(b"x")
    until(lambda: len(got) == 10)
    let_go.set()


def test_out_of_order_one_callback_runs_on_several_threads(here, sender):
    barrier = threading.Barrier(3)
    met = []
    with ConnectionListener(here, 3, PATIENCE, ordered=False) as listener:
        listener.add_callback(lambda data: met.append(barrier.wait(PATIENCE)))
        listener.start()
        for _ in range(3):
            sender.send(b"x")
        until(lambda: len(met) == 3)
    assert listener.n_callback_errors == 0


def test_in_order_a_callback_runs_on_one_thread_at_a_time(listener, sender):
    inside, seen = [], []

    def callback(data):
        inside.append(1)
        seen.append(len(inside))
        time.sleep(0)
        inside.pop()

    listener.add_callback(callback)
    listener.start()
    for _ in range(200):
        sender.send(b"x")
    until(lambda: len(seen) == 200)
    assert set(seen) == {1}


def test_out_of_order_nothing_is_lost(here, sender):
    got = []
    with ConnectionListener(here, 3, PATIENCE, ordered=False) as listener:
        listener.add_callback(got.append)
        listener.start()
        sent = [b"%d" % index for index in range(500)]
        for data in sent:
            sender.send(data)
        until(lambda: len(got) == 500)
    assert sorted(got) == sorted(sent)


def test_a_callback_that_raises_is_logged_and_counted(any_listener, sender, caplog):
    got = []

    def callback(data):
        got.append(data)
        raise RuntimeError(f"cannot take {data!r}")

    any_listener.add_callback(callback)
    any_listener.start()
    with caplog.at_level(logging.ERROR, "pyspin.connections"):
        for index in range(10):
            sender.send(b"%d" % index)
        until(lambda: any_listener.n_callback_errors == 10)
    assert len(got) == 10
    # The first, second, fourth and eighth.
    assert len(caplog.records) == 4
    assert "cannot take b'0'" in caplog.text


class Wrapped(Foreign):
    """The same, with the receive method of the connection inside."""

    def get_receive_method(self):
        return self.connection.get_receive_method()


@pytest.mark.parametrize("wrap", [lambda c: c, Wrapped], ids=["ours", "foreign"])
def test_malformed_messages_are_logged_and_counted(wrap, caplog):
    got = []
    with (
        SDPConnection(local_host="127.0.0.1") as sdp,
        ConnectionListener(wrap(sdp), timeout=0.5) as listener,
        UDPConnection("127.0.0.1") as stranger,
    ):
        listener.add_callback(got.append)
        listener.start()
        for data in (b"", bytes(9), bytes(10), b"x", bytes(12)):
            stranger.send_to(data, ("127.0.0.1", sdp.local_port))
        until(lambda: len(got) == 2 and listener.n_malformed == 3)
        assert listener.is_alive()
        assert [message.payload for message in got] == [b"", b"\0\0"]
    assert "malformed" in caplog.text


def test_a_method_of_your_own_is_called_for_every_message():
    class Shouting(UDPConnection):
        def receive(self, timeout=None):
            return super().receive(timeout).upper()

    got = []
    with (
        Shouting("127.0.0.1") as loud,
        ConnectionListener(loud, timeout=0.1) as listener,
    ):
        listener.add_callback(got.append)
        listener.start()
        with UDPConnection("127.0.0.1") as other:
            other.send_to(b"hello", ("127.0.0.1", loud.local_port))
            until(lambda: got)
    assert got == [b"HELLO"]


def test_eieio_and_sdp_messages_arrive_as_such():
    with (
        EIEIOConnection("127.0.0.1") as eieio,
        SDPConnection(local_host="127.0.0.1") as sdp,
        UDPConnection("127.0.0.1") as sender,
    ):
        got = []
        listeners = [ConnectionListener(connection) for connection in (eieio, sdp)]
        for listener in listeners:
            listener.add_callback(got.append)
            listener.start()
        sender.send_to(EventStopRequest().bytestring, ("127.0.0.1", eieio.local_port))
        until(lambda: len(got) == 1)
        message = SDPMessage(SDPHeader(SDPFlag.REPLY_NOT_EXPECTED), b"data")
        sender.send_to(b"\0\0" + message.bytestring, ("127.0.0.1", sdp.local_port))
        until(lambda: len(got) == 2)
        assert isinstance(got[0], EventStopRequest)
        assert (got[1].sdp_header, got[1].payload) == (message.sdp_header, b"data")
        for listener in listeners:
            listener.close()


# ---- closing


def test_close_returns_although_nothing_came(any_listener):
    any_listener.start()
    any_listener.close()
    until(lambda: not any_listener.is_alive())
    assert any_listener.failure is None


def test_close_before_start_and_start_after_close(any_listener):
    any_listener.close()
    any_listener.close()
    any_listener.start()
    any_listener.join(PATIENCE)
    assert not any_listener.is_alive()


def test_close_from_a_callback_does_not_wait_for_itself(any_listener, sender):
    closed = []

    def callback(data):
        any_listener.close()
        closed.append(data)

    any_listener.add_callback(callback)
    any_listener.start()
    sender.send(b"x")
    until(lambda: closed)
    any_listener.join(PATIENCE)
    assert not any_listener.is_alive()


def test_close_delivers_what_has_arrived(listener, sender):
    got, let_go = [], threading.Event()

    def callback(data):
        let_go.wait(PATIENCE)
        got.append(data)

    listener.add_callback(callback)
    listener.start()
    for index in range(100):
        sender.send(b"%d" % index)
    until(lambda: listener.n_messages == 100)
    closer = threading.Thread(target=listener.close)
    closer.start()
    let_go.set()
    closer.join(PATIENCE)
    assert len(got) == 100
    assert listener.n_undelivered == 0


def test_what_cannot_be_listened_to_is_named() -> None:
    with pytest.raises(TypeError, match="connection must have get_receive_method, not be 5"):
        ConnectionListener(5)


def test_close_does_not_wait_for_a_callback_that_hangs(here, sender):
    let_go, entered = threading.Event(), threading.Event()

    def callback(data):
        entered.set()
        let_go.wait(PATIENCE)

    listener = ConnectionListener(here, timeout=0.05)
    listener.add_callback(callback)
    listener.start()
    for _ in range(10):
        sender.send(b"x")
    assert entered.wait(PATIENCE)
    until(lambda: listener.n_messages == 10)
    listener.close()
    assert listener.n_undelivered == 9  # all but the one that it was called with
    let_go.set()


def test_close_does_not_wait_for_a_receive_method_that_hangs():
    let_go, entered = threading.Event(), threading.Event()

    class Hanging:
        def get_receive_method(self):
            return self.receive

        def receive(self):
            entered.set()
            let_go.wait(PATIENCE)

        def is_ready_to_receive(self, timeout=0):
            return True

    listener = ConnectionListener(Hanging(), timeout=0.05)
    listener.start()
    assert entered.wait(PATIENCE)
    listener.close()
    assert listener.is_alive()
    let_go.set()
    listener.join(PATIENCE)
    assert not listener.is_alive()


def test_the_connection_stays_open_and_usable(here, sender, listener):
    listener.start()
    listener.close()
    sender.send(b"after")
    assert here.receive(PATIENCE) == b"after"


@pytest.mark.parametrize("foreign", [False, True])
def test_closing_the_connection_ends_the_listener(foreign, caplog):
    got = []
    connection = UDPConnection("127.0.0.1")
    with ConnectionListener(Wrapped(connection) if foreign else connection, timeout=1) as listener:
        listener.add_callback(got.append)
        listener.start()
        with UDPConnection("127.0.0.1") as sender:
            sender.send_to(b"before", ("127.0.0.1", connection.local_port))
            until(lambda: got)
        connection.close()
        listener.join(PATIENCE)
        assert not listener.is_alive()
        assert isinstance(listener.failure, ConnectionClosedError)
    assert "ends: the connection is closed" in caplog.text


def test_closing_the_connection_loses_nothing_that_had_arrived(sender, here):
    got = []
    with ConnectionListener(here, timeout=PATIENCE) as listener:
        listener.add_callback(got.append)
        listener.start()
        for index in range(300):
            sender.send(b"%d" % index)
        here.close()
        until(lambda: len(got) == 300)
    assert got == [b"%d" % index for index in range(300)]


def test_a_connection_closed_before_the_start_is_a_failure():
    connection = UDPConnection("127.0.0.1")
    connection.close()
    with ConnectionListener(connection, timeout=1) as listener:
        listener.start()
        listener.join(PATIENCE)
    assert isinstance(listener.failure, ConnectionClosedError)


def test_an_error_of_the_socket_does_not_end_it():
    got = []
    port = free_port()
    with (
        UDPConnection("127.0.0.1", remote_host="127.0.0.1", remote_port=port) as connection,
        ConnectionListener(connection) as listener,
    ):
        listener.add_callback(got.append)
        listener.start()
        connection.send(b"nobody hears this")
        with UDPConnection("127.0.0.1", port) as back:
            back.send_to(b"x", ("127.0.0.1", connection.local_port))
            until(lambda: got)


# ---- bounds


def test_a_callback_that_is_behind_holds_up_and_loses_nothing(here, sender):
    got, let_go = [], threading.Event()

    def callback(data):
        let_go.wait(PATIENCE)
        got.append(data)

    with ConnectionListener(here, timeout=PATIENCE, max_backlog=10) as listener:
        listener.add_callback(callback)
        listener.start()
        for index in range(300):
            sender.send(b"%d" % index)
            if index == 50:
                until(lambda: listener.backlog > 10)
        let_go.set()
        until(lambda: len(got) == 300)
    assert got == [b"%d" % index for index in range(300)]


def test_drops_of_the_system_are_told():
    with (
        UDPConnection("127.0.0.1", receive_buffer_size=4096) as here,
        UDPConnection(remote_host="127.0.0.1", remote_port=here.local_port) as sender,
    ):
        listener = ConnectionListener(here)
        for _ in range(200):
            sender.send(bytes(100))
        assert listener.n_kernel_drops == here.kernel_drops > 0


def test_what_a_burst_loses_is_counted(listener, here, sender):
    got = []
    listener.add_callback(got.append)
    listener.start()
    for index in range(5000):
        sender.send(b"%d" % index)
    until(lambda: len(got) + listener.n_kernel_drops == 5000)
    assert [int(data) for data in got] == sorted(int(data) for data in got)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"n_processes": 0}, "n_processes"),
        ({"timeout": -1}, "timeout"),
        ({"max_backlog": 0}, "max_backlog"),
        ({"buffer_size": 1000}, "buffer_size"),
    ],
)
def test_settings_out_of_range_are_refused(here, settings, name):
    with pytest.raises(ValueError, match=name):
        ConnectionListener(here, **settings)


@pytest.mark.parametrize("timeout", [0, 1e12, float("inf")])
def test_a_timeout_may_be_nothing_or_for_ever(here, sender, timeout):
    got = []
    with ConnectionListener(here, timeout=timeout) as listener:
        listener.add_callback(got.append)
        listener.start()
        sender.send_to(b"one", ("127.0.0.1", here.local_port))
        until(lambda: got == [b"one"])
        assert listener.failure is None


def test_a_timeout_of_nothing_keeps_no_thread_busy(here, sender, monkeypatch):
    takes = []
    take = InboxSource.take

    def counted(source, timeout):
        takes.append(timeout)
        return take(source, timeout)

    monkeypatch.setattr(InboxSource, "take", counted)
    got = []
    with ConnectionListener(here, timeout=0) as listener:
        listener.add_callback(got.append)
        listener.start()
        for number in range(20):
            sender.send_to(b"one", ("127.0.0.1", here.local_port))
            until(lambda number=number: len(got) > number)
    assert len(takes) <= 22


def test_what_cannot_be_called_is_refused(listener):
    with pytest.raises(TypeError, match="callback"):
        listener.add_callback(None)


# ---- SpiNNMan


def test_it_listens_to_connections_of_spinnman():
    theirs = peer_connections.EIEIOConnection(local_host="127.0.0.1")
    got = []
    try:
        with (
            ConnectionListener(theirs, timeout=0.5) as listener,
            UDPConnection("127.0.0.1") as sender,
        ):
            listener.add_callback(got.append)
            listener.start()
            for _ in range(100):
                sender.send_to(b"\3\x40", ("127.0.0.1", theirs.local_port))
            until(lambda: len(got) == 100)
    finally:
        theirs.close()
    assert type(got[0]).__module__.startswith("spinnman")


def test_a_connection_of_spinnman_that_closes_ends_it():
    theirs = peer_connections.UDPConnection(local_host="127.0.0.1")
    with ConnectionListener(theirs, timeout=0.05) as listener:
        listener.start()
        until(lambda: listener._source is not None)
        theirs.close()
        listener.join(PATIENCE)
        assert not listener.is_alive()


def test_the_listener_of_spinnman_hears_our_connections(sender, here):
    got = []
    listener = peer.ConnectionListener(here, timeout=0.1)
    listener.add_callback(got.append)
    listener.start()
    try:
        sender.send(b"hello")
        until(lambda: got)
    finally:
        listener.close()
    assert got == [b"hello"]


# ---- the interpreter


EXIT = """
import threading
from pyspin.connections import ConnectionListener, UDPConnection
here = UDPConnection("127.0.0.1")
listener = ConnectionListener(here, timeout=1000)
entered = threading.Event()
def callback(data):
    entered.set()
    threading.Event().wait()
listener.add_callback(callback)
listener.start()
here.send_to(b"x", ("127.0.0.1", here.local_port))
entered.wait()
"""


def test_a_running_listener_does_not_keep_the_interpreter():
    subprocess.run([sys.executable, "-W", "ignore", "-c", EXIT], check=True, timeout=PATIENCE)
