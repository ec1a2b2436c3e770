# SPDX-License-Identifier: Apache-2.0
"""The numbers of the SpiNNaker Command Protocol, as SC&MP and BC&MP define them."""

from __future__ import annotations

from enum import IntEnum


class SCPCommand(IntEnum):
    """The command field of an SCP request (spinnaker_tools, ``spinnaker.h``, ``CMD_*``)."""

    CMD_VER = 0
    CMD_RUN = 1
    CMD_READ = 2
    CMD_WRITE = 3
    CMD_APLX = 4
    CMD_FILL = 5
    CMD_COUNT = 15
    CMD_REMAP = 16
    CMD_LINK_READ = 17
    CMD_LINK_WRITE = 18
    CMD_AR = 19
    CMD_NNP = 20
    CMD_APP_COPY_RUN = 21
    CMD_SIG = 22
    CMD_FFD = 23
    CMD_AS = 24
    CMD_LED = 25
    CMD_IPTAG = 26
    CMD_SROM = 27
    CMD_ALLOC = 28
    CMD_RTR = 29
    CMD_DPRI = 30
    CMD_INFO = 31
    CMD_SYNC = 32
    CMD_BMP_INFO = 48
    CMD_FLASH_COPY = 49
    CMD_FLASH_ERASE = 50
    CMD_FLASH_WRITE = 51
    CMD_BMP_SF = 53
    CMD_BMP_EE = 54
    CMD_RESET = 55
    CMD_XILINX = 56
    CMD_BMP_POWER = 57
    CMD_I2C = 61
    CMD_PWM = 62
    CMD_TUBE = 64


class SCPResult(IntEnum):
    """The result field of an SCP response (spinnaker_tools, ``spinnaker.h``, ``RC_*``)."""

    RC_OK = 0x80
    RC_LEN = 0x81
    RC_SUM = 0x82
    RC_CMD = 0x83
    RC_ARG = 0x84
    RC_PORT = 0x85
    RC_TIMEOUT = 0x86
    RC_ROUTE = 0x87
    RC_CPU = 0x88
    RC_DEAD = 0x89
    RC_BUF = 0x8A
    RC_P2P_NOREPLY = 0x8B
    RC_P2P_REJECT = 0x8C
    RC_P2P_BUSY = 0x8D
    RC_P2P_TIMEOUT = 0x8E
    RC_PKT_TX = 0x8F


_RESULTS: dict[int, SCPResult] = {result.value: result for result in SCPResult}


def scp_result(code: int) -> SCPResult | int:
    """Return the result that a code stands for, or the code itself when it has no name."""
    return _RESULTS.get(code, code)


class SignalType(IntEnum):
    """How a signal travels over the machine."""

    MULTICAST = 0
    POINT_TO_POINT = 1
    NEAREST_NEIGHBOUR = 2


class Signal(IntEnum):
    """A signal to the cores of an application."""

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

    @property
    def signal_type(self) -> SignalType:
        """How this signal is sent: the ones that end an application go chip by chip."""
        return SignalType.NEAREST_NEIGHBOUR if self <= Signal.STOP else SignalType.MULTICAST


class CPUState(IntEnum):
    """The state of a core, as SARK and SC&MP report it."""

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
    CPU_STATE_12 = 12
    CPU_STATE_13 = 13
    CPU_STATE_14 = 14
    IDLE = 15


class AllocFree(IntEnum):
    """The operation of CMD_ALLOC."""

    ALLOC_SDRAM = 0
    FREE_SDRAM_BY_POINTER = 1
    FREE_SDRAM_BY_APP_ID = 2
    ALLOC_ROUTING = 3
    FREE_ROUTING_BY_POINTER = 4
    FREE_ROUTING_BY_APP_ID = 5
    SDRAM_SPACE = 6
    TAG_TO_POINTER = 7


class IPTagCommand(IntEnum):
    """The operation of CMD_IPTAG."""

    NEW = 0
    SET = 1
    GET = 2
    CLR = 3
    TTO = 4


class RouterCommand(IntEnum):
    """The operation of CMD_RTR."""

    INIT = 0
    CLEAR = 1
    LOAD = 2
    FIXED_ROUTE = 3


class LEDAction(IntEnum):
    """What to do with one LED."""

    TOGGLE = 1
    OFF = 2
    ON = 3


class PowerCommand(IntEnum):
    """What a BMP does with the power of its boards."""

    POWER_OFF = 0
    POWER_ON = 1


class BMPInfo(IntEnum):
    """What CMD_BMP_INFO asks for."""

    SERIAL = 0
    CAN_STATUS = 2
    ADC = 3
    IP_ADDR = 4


class IPTagTimeOutWaitTime(IntEnum):
    """Codes of the transient-tag timeout: 10 ms * 2 ** (code - 1)."""

    TIMEOUT_10_ms = 1
    TIMEOUT_20_ms = 2
    TIMEOUT_40_ms = 3
    TIMEOUT_80_ms = 4
    TIMEOUT_160_ms = 5
    TIMEOUT_320_ms = 6
    TIMEOUT_640_ms = 7
    TIMEOUT_1280_ms = 8
    TIMEOUT_2560_ms = 9
