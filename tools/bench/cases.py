# SPDX-License-Identifier: Apache-2.0
"""What is measured: each case, its contenders and its goal.

A goal is (contender, against, figure, direction, bound): the median over the rounds of
`contender`'s figure divided by `against`'s in the same round.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MIB = 1 << 20


@dataclass(frozen=True)
class Goal:
    contender: str
    against: str
    bound: float
    at_most: bool

    def met(self, ratio: float) -> bool:
        return ratio <= self.bound if self.at_most else ratio >= self.bound


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    kind: str
    figure: str
    unit: str
    contenders: tuple[str, ...]
    options: dict[str, object] = field(default_factory=dict)
    goals: tuple[Goal, ...] = ()


def below(bound: float, against: str = "spead2", contender: str = "pyspin") -> Goal:
    return Goal(contender, against, bound, at_most=True)


def above(bound: float, against: str = "spead2", contender: str = "pyspin") -> Goal:
    return Goal(contender, against, bound, at_most=False)


RING = ("pyspin ring", "bare ring copy 4", "bare ring discard")


def _udp(payload: int, gso: int, rate: float, heaps: int, *goals: Goal, ring: bool = False) -> Case:
    contenders = ("pyspin", "spead2", "bare copy", "bare copy 4", "bare place 4", "bare discard")
    contenders += ("bare rest 4",)
    if gso and payload < 4096:
        contenders += ("bare land 4",)
    return Case(
        f"udp-{payload}-{'gso' if gso else 'plain'}",
        f"UDP, {payload}-byte payloads, sender {'with' if gso else 'without'} GSO",
        "udp",
        "cpu_per_gb",
        "CPU s/GB",
        contenders + (RING if ring else ()),
        {"payload": payload, "gso": gso, "rate": rate, "heaps": heaps, "heap": MIB},
        goals,
    )


RECEIVE = [
    _udp(8192, 1, 1.0e9, 1000, below(0.5), below(0.95, "bare copy")),
    _udp(1424, 1, 1.0e9, 1000, below(0.25), below(1.1, "bare copy")),
    _udp(8192, 0, 0.6e9, 700, below(0.65)),
    _udp(1424, 0, 0.2e9, 220, below(0.6), below(0.2, contender="pyspin ring"), ring=True),
]

MACHINE = [
    Case(
        "machine-1424-plain",
        "the whole machine's CPU, 1424-byte payloads, sender without GSO",
        "udp",
        "machine_per_gb",
        "CPU s/GB of the machine",
        ("pyspin", "spead2", *RING),
        {"payload": 1424, "gso": 0, "rate": 0.2e9, "heaps": 660, "heap": MIB},
        (below(0.9, contender="pyspin ring"),),
    )
]

DISTURBED = [
    Case(
        f"disturbed-{name}",
        f"UDP, 8192-byte payloads with GSO, {title}",
        "udp",
        "cpu_per_gb",
        "CPU s/GB",
        ("pyspin", "spead2", "pyspin in order"),
        {"payload": 8192, "gso": 1, "rate": 1.0e9, "heaps": 1000, "heap": MIB, **options},
        (below(1.3, "pyspin in order"),),
    )
    for name, title, options in [
        ("reorder", "packets reordered in windows of 4", {"reorder": 3}),
        ("loss", "1 % of the packets lost", {"loss": 0.01}),
    ]
]

# What a sender may do to have payloads placed wrongly. It should cost no more than if none
# were placed; the bound leaves room for noise.
HOSTILE = [
    Case(
        f"hostile-{name}",
        f"UDP, hostile sender: {title}",
        "udp",
        "cpu_per_gb",
        "CPU s/GB",
        ("pyspin", "pyspin scatter=False"),
        {"payload": 8960, "gso": 1, "rate": 0.6e9, "heaps": 600, "heap": MIB, **options},
        (below(1.05, "pyspin scatter=False"),),
    )
    for name, title, options in [
        ("size-each", "every packet of another size", {"split": 1}),
        ("size-some-gso", "one in 12 of another size", {"split": 12}),
        ("size-some-plain", "one in 12 of another size, without GSO", {"split": 12, "gso": 0}),
        ("lengths", "every second packet lies about HEAP_LEN", {"lie": 1}),
        ("backwards", "every heap from its end to its beginning", {"reorder": 120}),
        ("small-size", "one in 12 small ones of another size", {"split": 12, "payload": 1424}),
        ("small-backwards", "heaps of small ones backwards", {"reorder": 736, "payload": 1424}),
        ("small-interleaved", "4 heaps of small ones in turn", {"interleave": 4, "payload": 1424}),
        (
            "interleaved",
            "2000 heaps of 32 KiB interleaved",
            {"interleave": 2000, "payload": 8192, "heap": 32768, "heaps": 16000},
        ),
    ]
]

RATE = [
    Case(
        "rate-8192-gso",
        "highest rate without loss, 8192-byte payloads with GSO",
        "rate",
        "bytes_per_second",
        "B/s",
        ("pyspin", "spead2", "bare copy"),
        {"payload": 8192, "gso": 1, "heaps": 800, "heap": MIB},
        (above(1.5),),
    )
]

LATENCY = [
    Case(
        f"latency-{name}",
        f"latency from a heap's last packet to get, {title}",
        "latency",
        "latency_us",
        "us",
        ("pyspin", "spead2"),
        {"payload": 8192, "gso": gso, "heap": heap, "heaps": heaps, "rate": rate},
        (below(1.0),),
    )
    for name, title, heap, heaps, rate, gso in [
        ("8k", "8 KiB heaps, 1000 a second", 8192, 900, 8.192e6, 0),
        ("1m-plain", "1 MiB heaps, 100 a second, without GSO", MIB, 90, 100 * MIB, 0),
        ("1m-gso", "1 MiB heaps, 100 a second, with GSO", MIB, 90, 100 * MIB, 1),
    ]
]

# What coalescing costs where it may happen: many packets a second, one a message.
LATENCY += [
    Case(
        "latency-busy",
        "latency from a heap's last packet to get, 64 KiB heaps, 9000 a second, without GSO",
        "latency",
        "latency_us",
        "us",
        ("pyspin", "pyspin max_latency=0", "spead2"),
        {"payload": 8192, "gso": 0, "heap": 65536, "heaps": 9000, "rate": 9000 * 65536.0},
    )
]

MEMORY = [
    Case(
        f"memory-{payload}",
        f"1 MiB heaps from memory, {payload}-byte payloads",
        "memory",
        "bytes_per_second",
        "B/s",
        ("pyspin", "spead2", "bare copy 4"),
        {"payload": payload, "heap": MIB, "count": 384},
        (above(bound),),
    )
    for payload, bound in [(8192, 1.15), (1424, 1.4)]
]

SMALL = [
    Case(
        f"small-{way}",
        f"1 KiB heaps from memory, {title}",
        "small",
        "heaps_per_second",
        "heaps/s",
        ("pyspin", "spead2"),
        {"way": way, "count": count},
        (above(bound),),
    )
    for way, title, bound, count in [
        ("get", "get()", 1.0, 200_000),
        ("iterate", "for heap in stream", 1.5, 200_000),
        ("get_many", "get_many(64), against get()", 3.0, 300_000),
        ("asyncio", "async for", 2.0, 100_000),
        ("update", "ItemGroup.update", 2.0, 100_000),
    ]
]

SEND = [
    Case(
        f"send-{payload}",
        f"sending 1 MiB heaps, {payload}-byte packets, to a socket that nobody reads",
        "send",
        "bytes_per_second",
        "B/s",
        ("pyspin", "pyspin send_heaps", "spead2", "bare"),
        {"payload": payload, "heap": MIB, "heaps": heaps},
        (above(bound), above(0.9, "bare"), above(0.9, "bare", "pyspin send_heaps")),
    )
    for payload, bound, heaps in [(8192, 1.3, 1000), (1424, 3.0, 400)]
]

CASES = RECEIVE + MACHINE + DISTURBED + HOSTILE + RATE + LATENCY + MEMORY + SMALL + SEND
