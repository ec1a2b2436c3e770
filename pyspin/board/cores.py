# SPDX-License-Identifier: Apache-2.0
"""The cores of a chip: their states, and the vcpu blocks in which SC&MP keeps them.

Layout of a vcpu block: SARK header file (`vcpu_t`) and `sark.struct` of the low-level tools.
"""

from __future__ import annotations

import struct

from ..messages import CPUState, Signal
from .memory import Memory

__all__ = ["Core"]

VCPU_BYTES = 128
IOBUF_BYTES = 16384
VCPU_STATE = struct.Struct("<4B")  # at 0x2c: RTE code, physical core, state, application
VCPU_NAME = struct.Struct("<I16sII")  # at 0x44: load time, name, IOBUF, software version
IOBUF_HEAD = struct.Struct("<4I")  # next, Unix time, milliseconds, length


REACTIONS: dict[tuple[Signal, CPUState], CPUState] = {
    (Signal.START, CPUState.READY): CPUState.RUNNING,
    (Signal.SYNC0, CPUState.SYNC0): CPUState.RUNNING,
    (Signal.SYNC1, CPUState.SYNC1): CPUState.RUNNING,
    (Signal.PAUSE, CPUState.RUNNING): CPUState.PAUSED,
    (Signal.CONTINUE, CPUState.PAUSED): CPUState.RUNNING,
}
"""What a running application does at a signal; other pairs change nothing."""

ENDINGS = {
    Signal.INITIALISE: CPUState.IDLE,
    Signal.STOP: CPUState.IDLE,
    Signal.POWER_DOWN: CPUState.POWERED_DOWN,
    Signal.EXIT: CPUState.FINISHED,
}
"""What any application becomes at a signal."""


class Core:
    """One core, numbered virtually. Not thread-safe: the board's lock covers it."""

    __slots__ = ("_app", "_state", "iobuf", "memory", "number", "vcpu")

    def __init__(self, number: int, memory: Memory, vcpu: int, iobuf: int) -> None:
        self.number = number
        self.memory = memory
        self.vcpu = vcpu + VCPU_BYTES * number
        self.iobuf = iobuf
        self._state = CPUState.IDLE
        self._app = 0
        self._store()

    @property
    def state(self) -> CPUState:
        """The core's state."""
        return self._state

    @property
    def app(self) -> int:
        """The identifier of the application on the core, 0 for none."""
        return self._app

    def become(self, state: CPUState, app: int | None = None, rte: int = 0) -> None:
        """Change the state, and the application where one is named."""
        self._state = state
        if app is not None:
            self._app = app
        self._store(rte)

    def start(self, app: int, wait: bool, name: bytes, unix_time: int) -> None:
        """Begin an application: ready for a START signal if it is to wait, else running."""
        self.memory.write(self.vcpu + 0x30, bytes(VCPU_BYTES - 0x30))
        self.memory.write(self.vcpu + 0x44, VCPU_NAME.pack(unix_time, name, self.iobuf, 0))
        self.memory.write(self.iobuf, IOBUF_HEAD.pack(0, unix_time, 0, 0))
        self.become(CPUState.READY if wait else CPUState.RUNNING, app)

    def signal(self, signal: Signal) -> None:
        """Do what an application does at a signal."""
        ending = ENDINGS.get(signal)
        if ending is not None:
            self.become(ending, 0 if ending is CPUState.IDLE else None)
            return
        after = REACTIONS.get((signal, self._state))
        if after is not None:
            self.become(after)

    def print(self, text: bytes) -> None:
        """Append to the core's IO buffer as the application's printing does."""
        following, unix_time, ms, used = IOBUF_HEAD.unpack(
            self.memory.read(self.iobuf, IOBUF_HEAD.size)
        )
        text = text[: max(0, IOBUF_BYTES - IOBUF_HEAD.size - used)]
        self.memory.write(self.iobuf + IOBUF_HEAD.size + used, text)
        head = IOBUF_HEAD.pack(following, unix_time, ms, used + len(text))
        self.memory.write(self.iobuf, head)

    def _store(self, rte: int = 0) -> None:
        block = VCPU_STATE.pack(rte, self.number, self._state, self._app)
        self.memory.write(self.vcpu + 0x2C, block)
