# SPDX-License-Identifier: Apache-2.0
"""The cores of a chip: their states, and the vcpu blocks in which SC&MP keeps them.

Layout of a vcpu block and the numbers of the states: SARK header file
(`vcpu_t`, `cpu_state_e`) and `sark.struct` of the low-level tools.
"""

from __future__ import annotations

import enum
import struct

from .memory import Memory

__all__ = ["Core", "CoreState", "Signal"]

VCPU_BYTES = 128
IOBUF_BYTES = 16384
VCPU_STATE = struct.Struct("<4B")  # at 0x2c: RTE code, physical core, state, application
VCPU_NAME = struct.Struct("<I16sII")  # at 0x44: load time, name, IOBUF, software version
IOBUF_HEAD = struct.Struct("<4I")  # next, Unix time, milliseconds, length


class CoreState(enum.IntEnum):
    """States of a core, as COUNT and the vcpu block give them."""

    DEAD = 0
    POWERED_DOWN = 1
    RUN_TIME_EXCEPTION = 2
    WATCHDOG = 3
    INITIALISING = 4
    READY = 5
    C_MAIN = 6
    RUNNING = 7
    SYNC0 = 8
    SYNC1 = 9
    PAUSED = 10
    FINISHED = 11
    IDLE = 15


class Signal(enum.IntEnum):
    """Signals to applications."""

    INITIALISE = 0
    POWER_DOWN = 1
    STOP = 2
    START = 3
    SYNC0 = 4
    SYNC1 = 5
    PAUSE = 6
    CONTINUE = 7
    EXIT = 8
    TIMER = 9
    USER_0 = 10
    USER_1 = 11
    USER_2 = 12
    USER_3 = 13


REACTIONS: dict[tuple[Signal, CoreState], CoreState] = {
    (Signal.START, CoreState.READY): CoreState.RUNNING,
    (Signal.SYNC0, CoreState.SYNC0): CoreState.RUNNING,
    (Signal.SYNC1, CoreState.SYNC1): CoreState.RUNNING,
    (Signal.PAUSE, CoreState.RUNNING): CoreState.PAUSED,
    (Signal.CONTINUE, CoreState.PAUSED): CoreState.RUNNING,
}
"""What a running application does at a signal; other pairs change nothing."""

ENDINGS = {
    Signal.INITIALISE: CoreState.IDLE,
    Signal.STOP: CoreState.IDLE,
    Signal.POWER_DOWN: CoreState.POWERED_DOWN,
    Signal.EXIT: CoreState.FINISHED,
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
        self._state = CoreState.IDLE
        self._app = 0
        self._store()

    @property
    def state(self) -> CoreState:
        """The core's state."""
        return self._state

    @property
    def app(self) -> int:
        """The identifier of the application on the core, 0 for none."""
        return self._app

    def become(self, state: CoreState, app: int | None = None, rte: int = 0) -> None:
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
        self.become(CoreState.READY if wait else CoreState.RUNNING, app)

    def signal(self, signal: Signal) -> None:
        """Do what an application does at a signal."""
        ending = ENDINGS.get(signal)
        if ending is not None:
            self.become(ending, 0 if ending is CoreState.IDLE else None)
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
