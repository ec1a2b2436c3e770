# SPDX-License-Identifier: Apache-2.0
"""The address space of one core: sparse pages, shared with its chip where the chip shares.

Regions are those of the SpiNNaker datasheet, chapter "Memory map". The
buffered and unbuffered addresses of a region are the same memory. Nothing is
stored for a page that nobody has written.
"""

from __future__ import annotations

__all__ = ["DataAbort", "Memory"]

PAGE_BITS = 16
PAGE = 1 << PAGE_BITS


class DataAbort(Exception):
    """The address is in no region: a real core takes a data abort and says nothing."""


SDRAM_BYTES = 128 << 20
ITCM_END = 0x00008000
DTCM, DTCM_END = 0x00400000, 0x00410000

_SHARED: dict[int, tuple[int, int]] = {}
"""Top byte of an address -> (what to subtract to reach the canonical alias, end)."""

for _top in range(8):
    _SHARED[0x60 + _top] = (0, 0x60000000 + SDRAM_BYTES)
    _SHARED[0x70 + _top] = (0x10000000, 0x60000000 + SDRAM_BYTES)
for _top, _end in (
    (0xE0, 0xE0100000),  # SDRAM controller
    (0xE1, 0xE1018000),  # router: registers, tables, P2P table
    (0xE2, 0xE2001000),  # system controller
    (0xE3, 0xE3001000),  # watchdog
    (0xE4, 0xE4010000),  # Ethernet controller
    (0xE5, 0xE5008000),  # system RAM
    (0xE6, 0xE6008000),  # system ROM
):
    _SHARED[_top] = (0, _end)
    _SHARED[_top + 0x10] = (0x10000000, _end)
_SHARED[0xFF] = (0x19000000, 0xE6008000)  # the ROM again, at the reset vectors


class Memory:
    """What one core sees. Not thread-safe: the board's lock covers it."""

    __slots__ = ("local", "pages")

    def __init__(self, pages: dict[int, bytearray] | None = None) -> None:
        self.pages: dict[int, bytearray] = {} if pages is None else pages
        self.local: dict[int, bytearray] = {}

    def read(self, address: int, length: int) -> bytes:
        """Return `length` bytes; memory never written reads as zeros."""
        pages, address = self._locate(address, length)
        start = address & (PAGE - 1)
        if start + length <= PAGE:
            page = pages.get(address >> PAGE_BITS)
            return bytes(length) if page is None else bytes(page[start : start + length])
        first = PAGE - start
        return b"".join(
            [self.read(address, first)]
            + [self.read(address + at, min(PAGE, length - at)) for at in range(first, length, PAGE)]
        )

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Store `data` at an address."""
        pages, address = self._locate(address, len(data))
        at = 0
        while at < len(data):
            start = address & (PAGE - 1)
            part = data[at : at + PAGE - start]
            page = pages.get(address >> PAGE_BITS)
            if page is None:
                page = pages[address >> PAGE_BITS] = bytearray(PAGE)
            page[start : start + len(part)] = part
            at += len(part)
            address += len(part)

    def fill(self, address: int, pattern: bytes, length: int) -> None:
        """Store a pattern over and over; `length` is a multiple of its own."""
        self._locate(address, length)
        chunk = pattern * (PAGE // len(pattern))
        for at in range(0, length, PAGE):
            self.write(address + at, chunk[: length - at])

    def word(self, address: int) -> int:
        """Return the 32-bit little-endian word at an address."""
        return int.from_bytes(self.read(address, 4), "little")

    def put(self, address: int, value: int, size: int = 4) -> None:
        """Store a little-endian number of `size` bytes."""
        self.write(address, value.to_bytes(size, "little"))

    def _locate(self, address: int, length: int) -> tuple[dict[int, bytearray], int]:
        alias = _SHARED.get(address >> 24)
        if alias is not None:
            address -= alias[0]
            if address + length <= alias[1]:
                return self.pages, address
        elif address + length <= ITCM_END or DTCM <= address <= DTCM_END - length:
            return self.local, address
        raise DataAbort(f"nothing at {address:#010x} for {length} bytes")
