# SPDX-License-Identifier: Apache-2.0
"""UDP connections: whole datagrams, exact deadlines, errors, and closing under a waiter."""

import errno
import gc
import os
import resource
import selectors
import socket
import threading
import time

import pytest
from patience import PATIENCE
from receiving import NO_HOST, free_port
from spinnman.connections.udp_packet_connections import UDPConnection as PeerConnection

from pyspin.connections import Connection, Listenable, SCAMPConnection, UDPConnection
from pyspin.messages import (
    ConnectionClosedError,
    NobodyListensError,
    SpinnakerIOError,
    SpinnakerTimeoutError,
)


@pytest.fixture
def pair():
    """Return (one that receives from anybody, one connected to it)."""
    with (
        UDPConnection("127.0.0.1") as here,
        UDPConnection(remote_host="127.0.0.1", remote_port=here.local_port) as there,
    ):
        yield here, there


@pytest.mark.parametrize("size", [0, 1, 300, 301, 9000, 65507])
def test_datagrams_of_every_size_come_whole(pair, size):
    here, there = pair
    data = os.urandom(size)
    there.send(data)
    assert here.receive(PATIENCE) == data
    there.send(data)
    received, address = here.receive_with_address(PATIENCE)
    assert (received, address) == (data, ("127.0.0.1", there.local_port))


def test_addresses(pair):
    here, there = pair
    assert (here.local_ip_address, here.remote_ip_address, here.remote_port) == (
        "127.0.0.1",
        None,
        None,
    )
    assert (there.remote_ip_address, there.remote_port) == ("127.0.0.1", here.local_port)
    assert there.local_ip_address == "127.0.0.1"
    assert (here.is_connected(), there.is_connected()) == (False, True)
    assert str(here.local_port) in repr(there)
    assert isinstance(here, Connection)
    assert isinstance(here, Listenable)


def test_names_are_looked_up():
    with UDPConnection("localhost", remote_host="localhost", remote_port=9) as connection:
        assert connection.remote_ip_address == "127.0.0.1"
    with pytest.raises(SpinnakerIOError, match="look up"):
        UDPConnection(remote_host=NO_HOST, remote_port=9)


def test_ipv6():
    try:
        here = UDPConnection("::1")
    except SpinnakerIOError:
        pytest.skip("no IPv6 on this machine")
    with here, UDPConnection(remote_host="::1", remote_port=here.local_port) as there:
        there.send(b"six")
        assert here.receive_with_address(PATIENCE) == (b"six", ("::1", there.local_port))


def test_it_talks_with_spinnman(pair):
    here, _ = pair
    theirs = PeerConnection(remote_host="127.0.0.1", remote_port=here.local_port)
    try:
        theirs.send(b"hello")
        data, address = here.receive_with_address(PATIENCE)
        assert data == b"hello"
        here.send_to(b"back", address)
        assert theirs.receive(PATIENCE) == b"back"
    finally:
        theirs.close()


def test_nothing_within_the_time_is_a_timeout(pair):
    here, _ = pair
    for timeout in (0, 0.001):
        with pytest.raises(SpinnakerTimeoutError) as caught:
            here.receive(timeout)
        assert caught.value.timeout == timeout
        with pytest.raises(TimeoutError):
            here.receive_with_address(timeout)
        assert not here.is_ready_to_receive(timeout)


def test_a_negative_timeout_is_refused(pair):
    for timeout in (-1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            pair[0].receive(timeout)


def test_each_call_has_its_own_timeout(pair):
    here, there = pair
    got = []
    patient = threading.Thread(target=lambda: got.append(here.receive(PATIENCE)))
    patient.start()
    with pytest.raises(SpinnakerTimeoutError):
        here.receive(0.01)
    there.send(b"late")
    patient.join(PATIENCE)
    assert got == [b"late"]


def test_ready_says_whether_something_is_there(pair):
    here, there = pair
    there.send(b"x")
    assert here.is_ready_to_receive(PATIENCE)
    assert here.receive(0) == b"x"
    assert not here.is_ready_to_receive()


def test_nobody_listening_is_reported_as_such():
    with UDPConnection(remote_host="127.0.0.1", remote_port=free_port()) as connection:
        connection.send(b"x")
        with pytest.raises(NobodyListensError) as caught:
            connection.receive(PATIENCE)
        assert isinstance(caught.value, ConnectionRefusedError)
        assert caught.value.errno == errno.ECONNREFUSED
        with pytest.raises(SpinnakerTimeoutError):
            connection.receive(0)


def test_sending_without_a_remote_address_is_refused(pair):
    with pytest.raises(SpinnakerIOError, match="send_to"):
        pair[0].send(b"x")


def test_a_datagram_too_large_is_an_error_of_the_system(pair):
    with pytest.raises(SpinnakerIOError) as caught:
        pair[1].send(bytes(70000))
    assert caught.value.errno == errno.EMSGSIZE


def test_a_port_in_use_is_an_error_of_the_system(pair):
    with pytest.raises(SpinnakerIOError) as caught:
        UDPConnection("127.0.0.1", pair[0].local_port)
    assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("wait", ["receive", "receive_with_address"])
def test_closing_wakes_a_waiter(wait):
    here = UDPConnection("127.0.0.1")
    caught = []

    def receive():
        try:
            getattr(here, wait)()
        except ConnectionClosedError as error:
            caught.append(error)

    threads = [threading.Thread(target=receive) for _ in range(3)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE
    while here._waiters < 3 and time.monotonic() < deadline:
        time.sleep(0)
    here.close()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(caught) == 3
    assert here.fileno() == -1


def test_a_closed_connection_says_so_to_every_call():
    here = UDPConnection("127.0.0.1", remote_host="127.0.0.1", remote_port=9)
    here.close()
    here.close()
    assert here.is_closed
    assert not here.is_connected()
    assert here.is_ready_to_receive(PATIENCE)
    for call in (
        here.receive,
        here.receive_with_address,
        lambda: here.send(b"x"),
        lambda: here.send_to(b"x", ("127.0.0.1", 9)),
    ):
        with pytest.raises(ConnectionClosedError):
            call()
    assert here.kernel_drops == 0
    assert "closed" in repr(here)


def test_drops_of_the_system_are_counted():
    with (
        UDPConnection("127.0.0.1", receive_buffer_size=4096) as here,
        UDPConnection(remote_host="127.0.0.1", remote_port=here.local_port) as there,
    ):
        for _ in range(200):
            there.send(bytes(100))
        received = 0
        while here.is_ready_to_receive():
            here.receive(0)
            received += 1
        drops = here.kernel_drops
        assert drops > 0
        assert drops + received == 200
    assert here.kernel_drops == drops


def test_it_works_in_a_selector(pair):
    here, there = pair
    with selectors.DefaultSelector() as selector:
        selector.register(here, selectors.EVENT_READ)
        assert selector.select(0) == []
        there.send(b"x")
        assert [key.fileobj for key, _ in selector.select(PATIENCE)] == [here]


def test_descriptors_beyond_those_of_select_work():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1200:
        pytest.skip("too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        with (
            UDPConnection("127.0.0.1") as here,
            UDPConnection(remote_host="127.0.0.1", remote_port=here.local_port) as there,
        ):
            assert here.fileno() >= 1024
            there.send(b"high")
            assert here.is_ready_to_receive(PATIENCE)
            assert here.receive(PATIENCE) == b"high"
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_socket_of_the_system_hears_it(pair):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.bind(("127.0.0.1", 0))
        plain.settimeout(PATIENCE)
        pair[0].send_to(b"plain", plain.getsockname())
        assert plain.recvfrom(100) == (b"plain", ("127.0.0.1", pair[0].local_port))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"local_port": 65536}, "local_port"),
        ({"local_port": -1}, "local_port"),
        ({"remote_host": "127.0.0.1", "remote_port": 65536 + 17893}, "remote_port"),
        ({"receive_buffer_size": 0}, "receive_buffer_size"),
        ({"receive_buffer_size": 2**40}, "receive_buffer_size"),
    ],
)
def test_settings_out_of_range_are_refused(settings, name):
    with pytest.raises(ValueError, match=name):
        UDPConnection(**settings)


def test_a_connection_that_cannot_be_made_leaves_no_socket():
    with pytest.raises(TypeError):
        UDPConnection(local_port=1.5)
    gc.collect()  # a socket left over would be a ResourceWarning


def test_a_name_that_cannot_be_one_is_not_found():
    with pytest.raises(SpinnakerIOError):
        UDPConnection(remote_host="x" * 100, remote_port=1)


def test_a_timeout_may_be_for_ever(pair):
    pair[0].send_to(b"first", ("127.0.0.1", pair[1].local_port))
    assert pair[1].is_ready_to_receive(float("inf"))
    assert pair[1].receive(float("inf")) == b"first"


def test_too_few_descriptors_are_an_error_of_the_system():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with SCAMPConnection(remote_host="127.0.0.1", remote_port=9) as connection:
        next_one = os.dup(connection.fileno())
        os.close(next_one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, hard))
        try:
            for attempt in (UDPConnection, lambda: connection.read_memory(0, 0, 0, 4)):
                with pytest.raises(SpinnakerIOError) as caught:
                    attempt()
                assert caught.value.errno == errno.EMFILE
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
