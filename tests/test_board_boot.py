# SPDX-License-Identifier: Apache-2.0
"""The boot ROM of the virtual board, byte by byte."""

from __future__ import annotations

import struct

import pytest

from pyspin.board.boot_rom import BootRom

START, BLOCK, CONTROL, HELLO = 1, 3, 5, 65


def message(opcode: int, *operands: int, data: bytes = b"", version: int = 1) -> bytes:
    """Build a boot message: version, opcode, three operands, all big-endian."""
    return struct.pack(">HI3I", version, opcode, *(*operands, 0, 0, 0)[:3]) + data


def block(number: int, size: int = 1024) -> bytes:
    return message(BLOCK, (size // 4 - 1) << 8 | number, data=bytes([number]) * size)


def test_an_image_in_any_order_starts() -> None:
    rom = BootRom()
    for datagram in (message(START, 0, 0, 2), block(2, 64), block(0), block(1), block(0)):
        assert not rom.receive(datagram)
    assert rom.receive(message(CONTROL, 1))
    assert rom.image == bytes(1024) + b"\1" * 1024 + b"\2" * 64
    assert rom.refused == 0


def test_a_missing_block_does_not_start() -> None:
    rom = BootRom()
    for datagram in (message(START, 0, 0, 2), block(0), block(2), message(CONTROL, 1)):
        assert not rom.receive(datagram)
    assert rom.refused == 1


def test_a_start_forgets_what_came() -> None:
    rom = BootRom()
    for datagram in (message(START, 0, 0, 0), block(0), message(START, 0, 0, 0)):
        rom.receive(datagram)
    assert not rom.receive(message(CONTROL, 1))


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        message(HELLO)[:17],
        message(99),
        message(START, version=2),
        message(START, 0, 0, 32),
        block(0),
        message(CONTROL, 1),
        message(BLOCK, data=bytes(1025)),
    ],
)
def test_what_makes_no_sense_is_counted(datagram: bytes) -> None:
    rom = BootRom()
    assert not rom.receive(datagram)
    assert rom.refused == 1


def test_hello_is_let_pass() -> None:
    rom = BootRom()
    assert not rom.receive(message(HELLO))
    assert rom.refused == 0
