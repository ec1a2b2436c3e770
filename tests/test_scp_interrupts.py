# SPDX-License-Identifier: Apache-2.0
"""An exception of a signal handler may come after any call; it must not lose a request."""

from __future__ import annotations

import contextlib
import dis
import sys
from types import CodeType, FrameType
from typing import Any

import pytest
from scp_peer import Peer

from pyspin.connections import SCAMPConnection, SCPRequestPipeLine
from pyspin.messages import SendSignal, Signal

TRACED = ("method_driver.py", "link_driver.py", "outcomes.py")
# After these CPython handles signals: a function's beginning, a call, a loop's end.
CHECKED = ("RESUME", "CALL", "JUMP_BACKWARD", "JUMP_ABSOLUTE")


class Duck:
    """A connection that has the documented methods and nothing else of pyspin's."""

    def __init__(self, connection: SCAMPConnection) -> None:
        self.get_scp_data = connection.get_scp_data
        self.receive_scp_response = connection.receive_scp_response
        self.send = connection.send


class Interrupt:
    """Raises KeyboardInterrupt at the n-th place in a driver where a signal may be handled."""

    def __init__(self, number: int) -> None:
        self._left = number
        self._names: dict[CodeType, dict[int, str]] = {}
        self._last: dict[FrameType, str] = {}

    @property
    def has_come(self) -> bool:
        return self._left <= 0

    def __enter__(self) -> Interrupt:
        self._tracer = sys.gettrace()
        sys.settrace(self._begin)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._tracer)
        self._last.clear()

    def _begin(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.endswith(TRACED):
            return None
        frame.f_trace_opcodes = True
        self._last[frame] = "RESUME"
        return self._step

    def _step(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode":
            last = self._last[frame]
            self._last[frame] = self._name(frame.f_code, frame.f_lasti)
            if last.startswith(CHECKED):
                self._left -= 1
                if self._left == 0:
                    raise KeyboardInterrupt
        return self._step

    def _name(self, code: CodeType, at: int) -> str:
        if code not in self._names:
            self._names[code] = {it.offset: it.opname for it in dis.get_instructions(code)}
        return self._names[code][at]


def interrupt(number: int, kind: str, peer: Peer) -> bool:
    """Send and finish, interrupted at the place of this number; whether there is one."""
    with SCAMPConnection(0, 0, remote_host="127.0.0.1", remote_port=peer.port) as connection:
        over: Any = connection if kind == "link" else Duck(connection)
        pipeline = SCPRequestPipeLine(over, 2, 1, packet_timeout=0.02)
        sent: set[int] = set()
        ended: list[int] = []

        def send(which: int) -> None:
            def end(*_: Any) -> None:
                ended.append(which)

            pipeline.send_request(SendSignal(30, Signal.SYNC0), end, end)
            sent.add(which)

        with Interrupt(number) as it, contextlib.suppress(KeyboardInterrupt):
            for which in range(4):
                send(which)
            pipeline.finish()
        pipeline.finish()
        assert len(set(ended)) == len(ended), number
        assert sent <= set(ended), number
        assert pipeline.statistics["in_progress"] == 0, number
        return it.has_come


@pytest.mark.parametrize("kind", ["link", "methods"])
def test_no_interrupt_loses_a_request(kind: str) -> None:
    number = 1
    with Peer() as peer:
        while interrupt(number, kind, peer):
            number += 1
    assert number > 20
