# SPDX-License-Identifier: Apache-2.0
"""Wrong arguments of messages are refused by their name and value, whatever their type."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pyspin import messages
from pyspin.messages import (
    AbstractSCPRequest,
    BMPInfo,
    CPUState,
    EIEIOType,
    IPTagTimeOutWaitTime,
    LEDAction,
    PowerCommand,
    SDPHeader,
    Signal,
    SpinnakerBootOpCode,
)

PLACE = {"x": 1, "y": 2}
MEMORY = {"base_address": 0x60000000, "cpu": 3}
RUN = {"app_id": 30, "processors": [1], "wait": False}
FLOOD = {"nearest_neighbour_id": 1}

#: For each class of request, arguments that are right.
REQUESTS: dict[str, dict[str, Any]] = {
    "GetVersion": {**PLACE, "p": 3},
    "ReadMemory": {**PLACE, **MEMORY, "size": 4},
    "WriteMemory": {**PLACE, **MEMORY, "data": b"abcd"},
    "ReadLink": {**PLACE, **MEMORY, "link": 1, "size": 4},
    "WriteLink": {**PLACE, **MEMORY, "link": 1, "data": b"abcd"},
    "FillRequest": {**PLACE, "base_address": 0x60000000, "data": 5, "size": 8},
    "ApplicationRun": {**PLACE, **RUN},
    "ApplicationStart": {**PLACE, **RUN, "address": 4},
    "AppCopyRun": {**PLACE, **RUN, "link": 1, "size": 4, "checksum": 9},
    "AppStop": {"app_id": 30},
    "SendSignal": {"app_id": 30, "signal": Signal.START},
    "CountState": {**PLACE, "app_id": 30, "state": CPUState.READY},
    "DoSync": {"do_sync": True},
    "SetLED": {**PLACE, "cpu": 0, "led_states": {1: LEDAction.ON}},
    "IPTagSet": {**PLACE, "host": "10.0.0.1", "port": 5, "tag": 1, "strip": 1, "use_sender": 0},
    "ReverseIPTagSet": {
        **PLACE,
        "destination_x": 1,
        "destination_y": 2,
        "destination_p": 3,
        "port": 5,
        "tag": 1,
        "sdp_port": 4,
    },
    "IPTagClear": {**PLACE, "tag": 1},
    "IPTagGet": {**PLACE, "tag": 1},
    "IPTagGetInfo": PLACE,
    "IPTagSetTTO": {**PLACE, "tag_timeout": IPTagTimeOutWaitTime.TIMEOUT_10_ms},
    "SDRAMAlloc": {**PLACE, "app_id": 30, "size": 8, "tag": 2, "retry_tag": True},
    "SDRAMDeAlloc": {**PLACE, "app_id": 30},
    "RouterAlloc": {**PLACE, "app_id": 30, "n_entries": 4},
    "RouterInit": {**PLACE, "app_id": 30, "n_entries": 4, "table_address": 0, "base_address": 1},
    "RouterClear": PLACE,
    "FixedRouteInit": {**PLACE, "app_id": 30, "entry": 7},
    "FixedRouteRead": {**PLACE, "app_id": 30},
    "GetChipInfo": {**PLACE, "with_size": False},
    "FloodFillStart": {**FLOOD, **PLACE, "n_blocks": 3},
    "FloodFillCoreSelect": {**PLACE, "processors": [1]},
    "FloodFillData": {**FLOOD, "block_no": 1, "base_address": 4, "data": b"abcd", "offset": 0},
    "FloodFillEnd": {**FLOOD, **RUN},
    "BMPGetVersion": {"board": 1},
    "SetPower": {"power_command": PowerCommand.POWER_ON, "boards": [1], "delay": 0.5},
    "GetBMPInfo": {"board": 1, "info": BMPInfo.ADC},
    "ReadFPGARegister": {"fpga_num": 1, "register": 4, "board": 1},
    "WriteFPGARegister": {"fpga_num": 1, "address": 4, "value": 5, "board": 1},
}

#: Whatever is true or false will do for these.
FLAGS = {"wait", "do_sync", "strip", "use_sender", "with_size", "retry_tag"}
#: And None for these.
OPTIONAL = {
    *(("SDRAMAlloc", name) for name in ("tag",)),
    *(("FloodFillStart", name) for name in ("x", "y")),
    *(("FloodFillCoreSelect", name) for name in ("x", "y", "processors")),
    *((name, "processors") for name in ("ApplicationRun", "ApplicationStart", "AppCopyRun")),
    ("FloodFillEnd", "processors"),
    ("SDRAMDeAlloc", "app_id"),
}

NO_NUMBERS = [None, "x", 1.5, -1, 2**70, float("nan"), object()]
NO_BYTES = [None, "x", 1.5, 5, object()]
NO_LISTS = [1.5, "x", object(), [None], [-1], [2**70], ["x"]]
NO_SECONDS = [None, "x", -1, 2**70, float("nan"), object()]


def wrong(name: str, argument: str) -> list[Any]:
    """Return values that an argument must not have."""
    if argument == "data" and name != "FillRequest":
        return NO_BYTES
    if argument in ("processors", "boards"):
        return [*NO_LISTS, None]
    if argument == "led_states":
        return [None, 5, [1], {8: LEDAction.ON}, {"x": LEDAction.ON}, {1: "x"}]
    if argument == "host":
        return [None, 5, 2**70, "nowhere", b"123", [1, 2, 3, 256], [1.5] * 4]
    if argument == "checksum":
        return [it for it in NO_NUMBERS if not isinstance(it, int)]
    if argument == "delay":
        return NO_SECONDS
    return NO_NUMBERS


CASES = [
    (name, argument)
    for name, arguments in REQUESTS.items()
    for argument in arguments
    if argument not in FLAGS
]


def assert_named(argument: str, value: Any, call: Callable[[], object]) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"^{argument}\b") as caught:
        call()
    assert type(caught.value) in (TypeError, ValueError)
    shown = str(caught.value)
    shows = repr(value), str(value), f"{value:#x}" if isinstance(value, int) else repr(value)
    assert any(text in shown for text in shows) or isinstance(value, (list, dict, bytes))


def test_there_are_arguments_for_every_request() -> None:
    made = {
        name
        for name in messages.__all__
        # An alias such as tuple[int, int] calls itself a type in Python 3.10.
        if isinstance(kind := getattr(messages, name), type)
        and typing.get_origin(kind) is None
        and issubclass(kind, AbstractSCPRequest)
        and not getattr(kind, "__abstractmethods__", None)
    }
    assert made == set(REQUESTS)


@pytest.mark.parametrize(("name", "argument"), CASES)
def test_a_wrong_argument_of_a_request_is_named(name: str, argument: str) -> None:
    for value in wrong(name, argument):
        arguments = {**REQUESTS[name], argument: value}
        if value is not None or (name, argument) not in OPTIONAL:
            assert_named(argument, value, lambda it=arguments: getattr(messages, name)(**it))


@pytest.mark.parametrize("name", REQUESTS)
def test_flags_are_whatever_is_true(name: str) -> None:
    for flag in FLAGS & REQUESTS[name].keys():
        for value, truth in ((None, False), ("x", True), (5, True), (2**70, True), ([], False)):
            odd, plain = (
                getattr(messages, name)(**{**REQUESTS[name], flag: it}) for it in (value, truth)
            )
            assert odd.datagram() == plain.datagram()


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.uint32])
@pytest.mark.parametrize("name", REQUESTS)
def test_numbers_of_numpy_are_numbers(name: str, kind: type[Any]) -> None:
    plain = getattr(messages, name)(**REQUESTS[name]).datagram()
    arguments = {
        argument: kind(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 256
        else value
        for argument, value in REQUESTS[name].items()
    }
    assert getattr(messages, name)(**arguments).datagram() == plain


@pytest.mark.parametrize("value", [None, 5, (1, 2), (1, 2, 3, 4), "abc", (1, 2, "x")])
@pytest.mark.parametrize("name", ["ReadMemory", "WriteMemory", "ReadLink", "WriteLink"])
def test_a_place_that_is_none_is_named(name: str, value: Any) -> None:
    arguments = {k: v for k, v in REQUESTS[name].items() if k not in ("x", "y", "cpu")}
    with pytest.raises((TypeError, ValueError), match=r"^(coordinates|x|y|cpu)\b"):
        getattr(messages, name)(coordinates=value, **arguments)


@pytest.mark.parametrize("field", SDPHeader.__slots__)
def test_a_field_of_an_sdp_header_that_does_not_fit_is_named(field: str) -> None:
    for value in ("x", 1.5, -1, 256, 2**70):
        header = SDPHeader(**{field: value})
        assert_named(field, value, lambda it=header: it.bytestring)


OTHERS: list[tuple[str, list[Any], Callable[[Any], object]]] = [
    (
        "sequence",
        ["x", 1.5, -1, 65536],
        lambda it: messages.SCPRequestHeader(0, it).bytestring,
    ),
    ("command", ["x", 1.5, -1, 65536], lambda it: messages.SCPRequestHeader(it).bytestring),
    ("command", NO_NUMBERS, messages.EIEIOCommandHeader),
    ("eieio_type", ["x", None, 4], messages.EIEIODataHeader),
    ("tag", NO_NUMBERS, lambda it: messages.EIEIODataHeader(EIEIOType.KEY_16_BIT, it)),
    ("prefix", NO_NUMBERS[1:], lambda it: data_header(prefix=it)),
    ("prefix_type", ["x", None, 2], lambda it: data_header(prefix_type=it)),
    ("payload_base", NO_NUMBERS[1:], lambda it: data_header(payload_base=it)),
    ("count", NO_NUMBERS, lambda it: data_header(count=it)),
    ("key", NO_NUMBERS, lambda it: data_message().add_key(it)),
    ("x", NO_NUMBERS, lambda it: messages.SpinnakerRequestBuffers(it, 0, 0, 0, 0, 0)),
    ("y", NO_NUMBERS, lambda it: messages.SpinnakerRequestBuffers(0, it, 0, 0, 0, 0)),
    ("p", NO_NUMBERS, lambda it: messages.SpinnakerRequestBuffers(0, 0, it, 0, 0, 0)),
    ("region_id", NO_NUMBERS, lambda it: messages.SpinnakerRequestBuffers(0, 0, 0, it, 0, 0)),
    ("sequence_no", NO_NUMBERS, lambda it: messages.SpinnakerRequestBuffers(0, 0, 0, 0, it, 0)),
    ("space_available", NO_NUMBERS, lambda it: messages.SpinnakerRequestBuffers(0, 0, 0, 0, 0, it)),
    ("region_id", NO_NUMBERS, lambda it: messages.HostSendSequencedData(it, 0, data_message())),
    ("sequence_no", NO_NUMBERS, lambda it: messages.HostSendSequencedData(0, it, data_message())),
    ("eieio_data_message", [None, b"x"], lambda it: messages.HostSendSequencedData(0, 0, it)),
    ("sequence_no", NO_NUMBERS, messages.HostDataReadAck),
    ("n_requests", NO_NUMBERS, lambda it: messages.HostDataRead(it, 0, 0, 0, 0)),
    ("sequence_no", NO_NUMBERS, lambda it: messages.HostDataRead(1, it, 0, 0, 0)),
    ("channel", NO_NUMBERS, lambda it: messages.HostDataRead(1, 0, it, 0, 0)),
    ("region_id", NO_NUMBERS, lambda it: messages.HostDataRead(1, 0, 0, [it], 0)),
    ("space_read", [*NO_NUMBERS, []], lambda it: messages.HostDataRead(1, 0, 0, 0, it)),
    ("x", NO_NUMBERS, lambda it: read_data(x=it)),
    ("y", NO_NUMBERS, lambda it: read_data(y=it)),
    ("p", [*NO_NUMBERS, 32], lambda it: read_data(p=it)),
    ("n_requests", [*NO_NUMBERS, 8], lambda it: read_data(n_requests=it)),
    ("sequence_no", NO_NUMBERS, lambda it: read_data(sequence_no=it)),
    ("start_address", [*NO_NUMBERS, [1, 2]], lambda it: read_data(start_address=it)),
    ("space_to_be_read", NO_NUMBERS, lambda it: read_data(space_to_be_read=it)),
    ("database_path", [5, b"x"], messages.NotificationProtocolDatabaseLocation),
    ("opcode", NO_NUMBERS, lambda it: messages.SpinnakerBootMessage(it, 0, 0, 0)),
    ("operand_1", NO_NUMBERS, lambda it: boot(operand_1=it)),
    ("operand_2", NO_NUMBERS, lambda it: boot(operand_2=it)),
    ("operand_3", NO_NUMBERS, lambda it: boot(operand_3=it)),
    ("data", ["x", 5, 1.5, bytes(1025)], lambda it: boot(data=it)),
]


def data_header(**fields: Any) -> messages.EIEIODataHeader:
    return messages.EIEIODataHeader(EIEIOType.KEY_16_BIT, **fields)


def data_message() -> messages.EIEIODataMessage:
    return messages.EIEIODataMessage.create(EIEIOType.KEY_16_BIT)


def read_data(**fields: Any) -> messages.SpinnakerRequestReadData:
    right = {
        "x": 1,
        "y": 2,
        "p": 3,
        "region_id": 4,
        "sequence_no": 5,
        "n_requests": 1,
        "channel": 6,
        "start_address": 7,
        "space_to_be_read": 8,
    }
    return messages.SpinnakerRequestReadData(**{**right, **fields})


def boot(**fields: Any) -> messages.SpinnakerBootMessage:
    right = {"operand_1": 1, "operand_2": 2, "operand_3": 3, **fields}
    return messages.SpinnakerBootMessage(SpinnakerBootOpCode.HELLO, **right)


@pytest.mark.parametrize(("argument", "values", "call"), OTHERS)
def test_a_wrong_argument_of_a_message_is_named(
    argument: str, values: list[Any], call: Callable[[Any], object]
) -> None:
    for value in values:
        assert_named(argument, value, lambda it=value: call(it))
