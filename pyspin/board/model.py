# SPDX-License-Identifier: Apache-2.0
"""A board without a network: datagrams in, datagrams out, and the time passed in.

What SC&MP drops without a word is dropped here and counted: a datagram with over
256 bytes of data, or too short for an SDP header; a request for which no transient
tag is free; one that reaches for memory that is not there; everything before the
machine is booted. A request too short for its arguments is refused with RC_LEN.
"""

from __future__ import annotations

import ipaddress
import random
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from ..messages import SCPResult
from .geometry import Place
from .intake import Intake
from .machine import Machine
from .memory import DataAbort
from .scamp import CORE_COMMANDS, MONITOR_COMMANDS
from .tags import TagTable
from .wire import (
    ANY_TAG,
    MAX_DATAGRAM,
    REPLY_WANTED,
    REQUEST_BYTES,
    SCP,
    SDP,
    SDP_BYTES,
    Refusal,
    Request,
)

__all__ = ["Address", "Board", "Message", "Outgoing"]

ANY_CHIP = 0xFFFF
CLOCKS = 0x5007F
"""Address of the system variables, clocks among them, without the top four bits or
the low eight."""
OK = SCPResult.RC_OK.to_bytes(2, "little")

Address = tuple[str, int]


class Message(NamedTuple):
    """An SDP message that reached an application core."""

    x: int
    y: int
    core: int
    port: int
    data: bytes
    sender: Address


class Outgoing(NamedTuple):
    """A datagram that leaves the board."""

    due: float
    to: Address
    data: bytes


class Board:
    """The Ethernet chip of one board: what comes to it, goes to any chip. Not thread-safe."""

    def __init__(
        self,
        machine: Machine,
        ethernet: Place = (0, 0),
        *,
        busy: float = 0.0,
        tags: int = 8,
        service_time: float = 0.0,
        seed: int | str = 0,
    ) -> None:
        self.machine = machine
        self.ethernet = ethernet
        self.intake = Intake(tags, service_time)
        self.results: Counter[str] = Counter()
        self.commands: Counter[int] = Counter()
        self.dropped: Counter[str] = Counter()
        self.messages = 0
        self.deliver: Callable[[Message], None] | None = None
        self._own = ethernet[0] << 8 | ethernet[1]
        self._busy = busy
        self._random = random.Random(seed)

    @property
    def tags(self) -> TagTable:
        """The IP tags of the board."""
        return self.machine.chip(self.ethernet).tags

    def receive(self, datagram: bytes, sender: Address, now: float) -> Outgoing | None:
        """Do what a datagram to port 17893 asks; return what leaves the board, and when.

        `now` is the time since boot in seconds; the reply is due at or after it.
        """
        if not SDP_BYTES <= len(datagram) <= MAX_DATAGRAM:
            self._drop("runt" if len(datagram) < SDP_BYTES else "oversize")
            return None
        if not self.machine.booted:
            self._drop("not_booted")
            return None
        flags, tag, target, source, place, _ = SDP.unpack_from(datagram)
        if target >> 5:
            self._to_application(datagram, target, place, sender)
            return None
        wanted = bool(flags & REPLY_WANTED)
        slot = self.intake.admit(now, wanted and tag == ANY_TAG)
        if slot is None:
            self._drop("no_tag")
            return None
        self.machine.elapsed = now
        payload = self._answer(datagram, target, place, sender)
        if payload is None or not wanted:
            return None
        to: Address | None = sender
        if tag == ANY_TAG:
            tag = slot.tag
        else:
            to = self._tag_address(tag)
        if to is None:
            self._drop("tag")
            return None
        head = SDP.pack(flags & 0x7F, tag, source, target, self._own, self._number(place))
        return Outgoing(slot.finish, to, head + payload)

    def receive_reverse(self, tag: int, data: bytes, sender: Address) -> None:
        """Deliver a datagram that came to the port of a reverse IP tag."""
        entry = self.tags.tags[tag]
        if not entry.reverse:
            self._drop("tag")
            return
        entry.count += 1
        self._deliver(Message(entry.x, entry.y, entry.target & 31, entry.target >> 5, data, sender))

    def send(self, tag: int, message: bytes, source: tuple[int, int, int, int]) -> Outgoing | None:
        """Send an application's message through an IP tag, as a core does.

        `source` is x, y, core and SDP port. None if the tag is not set.
        """
        to = self._tag_address(tag)
        if to is None:
            self._drop("tag")
            return None
        entry = self.tags.tags[tag]
        entry.count += 1
        if entry.strip:
            return Outgoing(self.machine.elapsed, to, message)
        x, y, core, port = source
        head = SDP.pack(0x07, tag, 0xFF, port << 5 | core, self._own, x << 8 | y)
        return Outgoing(self.machine.elapsed, to, head + message)

    def _answer(self, datagram: bytes, target: int, place: int, sender: Address) -> bytes | None:
        """Return result code, sequence and payload, or None if the core would crash."""
        sequence = datagram[SDP_BYTES + 2 : SDP_BYTES + 4].ljust(2, b"\0")
        try:
            payload = self._execute(datagram, target, place, sender)
        except Refusal as refusal:
            self.results[refusal.result.name] += 1
            return refusal.result.to_bytes(2, "little") + sequence
        except DataAbort:
            self._drop("abort")
            return None
        self.results["RC_OK"] += 1
        return OK + sequence + payload

    def _execute(self, datagram: bytes, target: int, place: int, sender: Address) -> bytes:
        if len(datagram) < REQUEST_BYTES:
            raise Refusal(SCPResult.RC_LEN)
        if self._busy and self._random.random() < self._busy:
            raise Refusal(SCPResult.RC_P2P_BUSY)
        number = self._number(place)
        here = (number >> 8, number & 0xFF)
        if here not in self.machine.geometry.chips:
            raise Refusal(SCPResult.RC_ROUTE)
        chip = self.machine.chip(here)
        if target >= len(chip.cores):
            raise Refusal(SCPResult.RC_CPU)
        command, sequence, arg1, arg2, arg3 = SCP.unpack_from(datagram, SDP_BYTES)
        data = datagram[REQUEST_BYTES:]
        request = Request(command, sequence, arg1, arg2, arg3, data, sender)
        self.commands[command] += 1
        handler = (CORE_COMMANDS if target else MONITOR_COMMANDS).get(command)
        if handler is None:
            raise Refusal(SCPResult.RC_CMD)
        if arg1 >> 8 & 0x0FFFFF == CLOCKS:
            chip.tick(self.machine.elapsed)
        return handler(self.machine, chip, chip.cores[target], request)

    def _to_application(self, datagram: bytes, target: int, place: int, sender: Address) -> None:
        number = self._number(place)
        data = datagram[SDP_BYTES:]
        self._deliver(Message(number >> 8, number & 0xFF, target & 31, target >> 5, data, sender))

    def _deliver(self, message: Message) -> None:
        place = (message.x, message.y)
        if place not in self.machine.geometry.chips:
            self._drop("no_chip")
            return
        cores = self.machine.chip(place).cores
        if not 0 < message.core < len(cores) or not cores[message.core].app:
            self._drop("no_application")
            return
        self.messages += 1
        if self.deliver is not None:
            self.deliver(message)

    def _tag_address(self, tag: int) -> Address | None:
        entry = self.tags.tags[tag] if tag < len(self.tags.tags) else None
        if entry is None or not entry.in_use or entry.reverse:
            return None
        return str(ipaddress.IPv4Address(entry.address)), entry.port

    def _number(self, place: int) -> int:
        """Return x << 8 | y of a destination; 255, 255 is the board's Ethernet chip."""
        return self._own if place == ANY_CHIP else place

    def _drop(self, reason: str) -> None:
        self.dropped[reason] += 1
