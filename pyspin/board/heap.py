# SPDX-License-Identifier: Apache-2.0
"""The SDRAM heap of a chip, with its headers in the chip's memory where readers look.

A heap starts with four words (free list, first block, last block, free bytes);
a block with two: the next block, and either the next free block or, in use,
0xFFFF0000 with the application in bits 8-15 and the tag in bits 0-7 (SARK
header file, `heap_t` and `block_t`).
"""

from __future__ import annotations

import struct

from .memory import Memory

__all__ = ["Heap"]

HEAD = struct.Struct("<4I")
BLOCK = struct.Struct("<2I")
IN_USE = 0xFFFF0000


class Block:
    """A stretch of the heap from its header to the next header."""

    __slots__ = ("address", "end", "owner")

    def __init__(self, address: int, end: int, owner: int | None) -> None:
        self.address = address
        self.end = end
        self.owner = owner

    @property
    def size(self) -> int:
        """Bytes that a user can have."""
        return self.end - self.address - BLOCK.size


class Heap:
    """First fit over a list of blocks in address order."""

    def __init__(self, memory: Memory, base: int, end: int, tag_table: int) -> None:
        self.memory = memory
        self.base = base
        self.tag_table = tag_table
        self.last = end - BLOCK.size
        self.blocks = [Block(base + HEAD.size, self.last, None)]
        self.tags: dict[int, int] = {}
        memory.write(self.last, BLOCK.pack(0, 0))
        self._store(0)

    def alloc(self, size: int, app: int, tag: int, retry: bool = False) -> int:
        """Return the address of a new block, or 0.

        A tag names one block of its application. Asking for a tag in use fails,
        unless `retry` says that this may be the same request again: then the
        block it got the first time is the answer.
        """
        owner = (app & 0xFF) << 8 | (tag & 0xFF)
        if tag and owner in self.tags:
            return self.tags[owner] if retry else 0
        size = (size + 3) & ~3
        for i, block in enumerate(self.blocks):
            if block.owner is None and size and block.size >= size:
                self._take(i, size, owner)
                pointer = block.address + BLOCK.size
                if tag:
                    self._tag(owner, pointer)
                return pointer
        return 0

    def free(self, pointer: int) -> bool:
        """Free a block by its address; False if no block in use starts there."""
        for i, block in enumerate(self.blocks):
            if block.address + BLOCK.size == pointer and block.owner is not None:
                self._release(i)
                return True
        return False

    def free_app(self, app: int) -> int:
        """Free every block of an application and return how many there were."""
        mine = [b.address for b in self.blocks if b.owner is not None and b.owner >> 8 == app]
        for address in mine:
            self.free(address + BLOCK.size)
        return len(mine)

    def space(self) -> tuple[int, int]:
        """Return the free bytes and the size of the largest free block."""
        sizes = [block.size for block in self.blocks if block.owner is None]
        return sum(sizes), max(sizes, default=0)

    def _take(self, i: int, size: int, owner: int) -> None:
        block = self.blocks[i]
        end = block.address + BLOCK.size + size
        if block.end - end > BLOCK.size:
            self.blocks.insert(i + 1, Block(end, block.end, None))
            block.end = end
            self._store(i + 1)
        block.owner = owner
        self._store(i)

    def _release(self, i: int) -> None:
        block = self.blocks[i]
        if self.tags.pop(block.owner or 0, None):
            self.memory.put(self.tag_table + 4 * (block.owner or 0), 0)
        block.owner = None
        if i + 1 < len(self.blocks) and self.blocks[i + 1].owner is None:
            block.end = self.blocks.pop(i + 1).end
        if i and self.blocks[i - 1].owner is None:
            self.blocks[i - 1].end = self.blocks.pop(i).end
            i -= 1
        self._store(i)

    def _tag(self, owner: int, pointer: int) -> None:
        self.tags[owner] = pointer
        self.memory.put(self.tag_table + 4 * owner, pointer)

    def _store(self, i: int) -> None:
        """Write a block's header, that of the free block before it, and the heap's own."""
        self._store_block(i)
        for before in range(i - 1, -1, -1):
            if self.blocks[before].owner is None:
                self._store_block(before)
                break
        head = HEAD.pack(self._next_free(0), self.blocks[0].address, self.last, self.space()[0])
        self.memory.write(self.base, head)

    def _store_block(self, i: int) -> None:
        block = self.blocks[i]
        state = self._next_free(i + 1) if block.owner is None else IN_USE | block.owner
        self.memory.write(block.address, BLOCK.pack(block.end, state))

    def _next_free(self, i: int) -> int:
        return next((b.address for b in self.blocks[i:] if b.owner is None), 0)
