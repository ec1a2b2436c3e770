# SPDX-License-Identifier: Apache-2.0
"""One SCP measurement in a process of its own: `scp_job.py CONTENDER PORT REQUESTS`.

Prints one line of JSON: requests a second, CPU microseconds a request, and the counters.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

HOST = "127.0.0.1"
BASE = 0x60000000
SIZE = 256
MEMORY = 16 << 20


def timed(requests: int, work: Callable[[], dict[str, int]]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    counters = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"rate": requests / wall, "cpu_us": cpu / requests * 1e6, **counters}))


def known(length: int) -> bytes:
    """Return the first bytes of the server's memory."""
    import numpy as np

    index = np.arange(min(length, MEMORY), dtype=np.uint32)
    return ((index * np.uint32(2654435761)) >> np.uint32(24)).astype(np.uint8).tobytes()


def bulk(kind: str, channels: int | None, ports: list[int], requests: int) -> None:
    import numpy as np

    from pyspin.connections import BulkTransfer, SCAMPConnection

    each = requests // len(ports) * SIZE
    connections = [SCAMPConnection(0, 0, remote_host=HOST, remote_port=port) for port in ports]
    images = [np.empty(each, np.uint8) for _ in ports]
    transfer = BulkTransfer(n_channels=channels)

    def work() -> dict[str, int]:
        transfer.run()
        return transfer.statistics

    for connection, image in zip(connections, images, strict=True):
        for at in range(0, each, MEMORY):
            part = image[at : at + MEMORY]
            if kind == "read":
                transfer.read(connection, 0, 0, BASE, len(part), out=part)
            else:
                transfer.write(connection, 0, 0, BASE, part)
    timed(requests, work)
    if kind == "read":
        expected = known(each)
        assert all(image[: len(expected)].tobytes() == expected for image in images)
    for connection in connections:
        connection.close()


def pipeline(line: Any, connection: Any, read: Any, channels: int | None, requests: int) -> None:
    answered = 0
    failures: list[Any] = []

    def take(response: Any) -> None:
        nonlocal answered
        answered += 1

    def failed(*what: Any) -> None:
        failures.append(what)

    waits = None if channels is None else channels - 1
    pipe = line(connection, channels, waits)

    def work() -> dict[str, int]:
        send = pipe.send_request
        for number in range(requests):
            send(read((0, 0, 0), BASE + number % 65536 * SIZE, SIZE), take, failed)
        pipe.finish()
        return {"resent": pipe.n_resent, "timeouts": pipe.n_timeouts}

    timed(requests, work)
    assert answered == requests
    assert not failures
    connection.close()


def through_pipeline(contender: str, port: int, requests: int) -> None:
    from pyspin.connections import SCPRequestPipeLine

    connection: Any
    if "SpiNNMan" in contender:
        from spinnman.connections import SCPRequestPipeLine as TheirPipeLine
        from spinnman.connections.udp_packet_connections import SCAMPConnection as Theirs
        from spinnman.messages.scp.impl import ReadMemory as TheirRead

        connection = Theirs(0, 0, remote_host=HOST, remote_port=port)
        line = TheirPipeLine if contender == "SpiNNMan" else SCPRequestPipeLine
        pipeline(line, connection, TheirRead, 8, requests)
    else:
        from pyspin.connections import SCAMPConnection
        from pyspin.messages import ReadMemory

        connection = SCAMPConnection(0, 0, remote_host=HOST, remote_port=port)
        channels = None if "automatic" in contender else 8
        pipeline(SCPRequestPipeLine, connection, ReadMemory, channels, requests)


def main() -> None:
    contender, port, requests = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    words = contender.split()
    if words[0] == "boards":
        bulk("read", None, [port + i for i in range(24)], requests // 24 * 24)
    elif words[0] == "bulk":
        bulk(words[1], int(words[2]) if len(words) > 2 else None, [port], requests)
    else:
        through_pipeline(contender, port, requests)


if __name__ == "__main__":
    main()
