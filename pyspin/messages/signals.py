# SPDX-License-Identifier: Apache-2.0
"""Signals to an application, the count of its cores in a state, and clock synchronisation."""

from __future__ import annotations

from pyspin.arguments import member

from .enums import CPUState, SCPCommand, Signal
from .scp import AbstractSCPRequest, CheckOKResponse, PlainRequest, check_byte, read_word

# Every chip: the pair that stands for the chip at the end of the Ethernet.
_DEFAULT_CHIP = 255
# Applications are matched under this mask: one, exactly.
_APP_MASK = 0xFF
_ALL_CORES = 0xFFFF
# A flood packet of signal STOP that every chip passes on (``scamp-nn.c``, NN_CMD_SIG0).
_FORWARD = 0x3F
_NN_SIGNAL = 5 << 28
_NEW_ID = 1 << 31


class SendSignal(PlainRequest):
    """Send a signal to all cores of an application."""

    __slots__ = ()
    operation = "Send signal"

    def __init__(self, app_id: int, signal: Signal) -> None:
        signal = member("signal", signal, Signal)
        self._set(
            _DEFAULT_CHIP,
            _DEFAULT_CHIP,
            0,
            SCPCommand.CMD_SIG,
            signal.signal_type,
            signal << 16 | _APP_MASK << 8 | check_byte("app_id", app_id),
            _ALL_CORES,
        )


class AppStop(PlainRequest):
    """Stop an application everywhere, by a nearest-neighbour flood."""

    __slots__ = ()
    operation = "Stop application"

    def __init__(self, app_id: int) -> None:
        self._set(
            _DEFAULT_CHIP,
            _DEFAULT_CHIP,
            0,
            SCPCommand.CMD_NNP,
            _FORWARD << 16,
            _NN_SIGNAL | Signal.STOP << 16 | _APP_MASK << 8 | check_byte("app_id", app_id),
            _NEW_ID | _FORWARD << 8,
        )


class CountStateResponse(CheckOKResponse):
    """How many cores were in the state, in `count`."""

    __slots__ = ("count",)

    count: int

    def __init__(self) -> None:
        super().__init__("Count state", SCPCommand.CMD_COUNT)

    def _read_payload(self, data: bytes, offset: int) -> None:
        self.count = read_word("reply to a state count", data, offset)


class CountState(AbstractSCPRequest[CountStateResponse]):
    """Count the cores of an application that are in a state, on the board of chip (x, y).

    SC&MP answers RC_P2P_BUSY while another count runs.
    """

    __slots__ = ()

    def __init__(self, x: int, y: int, app_id: int, state: CPUState) -> None:
        code = int(member("state", state, CPUState))
        self._set(x, y, 0, SCPCommand.CMD_COUNT, check_byte("app_id", app_id), code)

    def get_scp_response(self) -> CountStateResponse:
        return CountStateResponse()


class DoSync(PlainRequest):
    """Turn the synchronisation of the chips' clocks on or off."""

    __slots__ = ()
    operation = "Synchronise"

    def __init__(self, do_sync: bool) -> None:
        self._set(_DEFAULT_CHIP, _DEFAULT_CHIP, 0, SCPCommand.CMD_SYNC, int(bool(do_sync)))
