# SPDX-License-Identifier: Apache-2.0
"""TokenBucket: bursts, rates and refusals, on an invented clock."""

from __future__ import annotations

import asyncio
import math
import random
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pyspin.connections import TokenBucket, token_bucket


class Clock:
    """A clock that only moves when it is told to, and in sleeps, which may end late."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.late = 0.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.sleeps.append(seconds)
        self.now += max(seconds, 1e-9) + self.late  # time passes, however short the sleep

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    it = Clock()
    monkeypatch.setattr(token_bucket, "monotonic", it.monotonic)
    # Not time.sleep itself: other threads sleep too.
    monkeypatch.setattr(token_bucket, "time", SimpleNamespace(sleep=it.sleep))
    monkeypatch.setattr(token_bucket, "asyncio", SimpleNamespace(sleep=it.asleep))
    return it


def test_it_starts_full_and_empties(clock: Clock) -> None:
    bucket = TokenBucket(80, 0.5)
    assert bucket.tokens == 80
    assert bucket.consume(10) is True
    assert bucket.tokens == 70
    assert bucket.consume(70) is True
    assert bucket.consume(1, block=False) is False
    assert bucket.consume(0, block=False) is True
    assert clock.sleeps == []


def test_it_fills_at_its_rate_up_to_its_capacity(clock: Clock) -> None:
    bucket = TokenBucket(80, 0.5)
    bucket.consume(80)
    clock.now += 10
    assert bucket.tokens == 5
    assert bucket.consume(6, False) is False
    assert bucket.consume(5, False) is True
    clock.now += 1e6
    assert bucket.tokens == 80


def test_an_idle_bucket_gives_no_more_than_it_holds(clock: Clock) -> None:
    bucket = TokenBucket(100, 10)
    clock.now += 1000
    assert bucket.consume(100, False) is True
    assert bucket.consume(100, False) is False
    assert bucket.consume(1, False) is False


def test_blocking_waits_as_long_as_needed(clock: Clock) -> None:
    bucket = TokenBucket(10, 2)
    bucket.consume(10)
    assert bucket.consume(4) is True
    assert sum(clock.sleeps) == pytest.approx(2)


@pytest.mark.parametrize(
    ("capacity", "rate", "helping"), [(284, 4.375e6, 284), (1, 1e3, 1), (1, 1e4, 1), (100, 1e4, 7)]
)
def test_late_awakenings_do_not_lower_the_rate(
    clock: Clock, capacity: float, rate: float, helping: float
) -> None:
    lateness = random.Random(1)
    bucket = TokenBucket(capacity, rate)
    bucket.consume(capacity)
    began, taken = clock.now, 0.0
    while clock.now - began < 1:
        clock.late = lateness.expovariate(1 / 70e-6)
        clock.now += 7e-6
        assert bucket.consume(helping)
        taken += helping
        # Never ahead of the rate by more than the helping that was waited for.
        assert taken <= (clock.now - began) * rate * (1 + 1e-9) + 1e-6
    assert taken / (clock.now - began) == pytest.approx(rate, rel=0.0005)


def grants(bucket: TokenBucket) -> int:
    """Return how many single tokens can be taken now."""
    taken = 0
    while bucket.consume(1, block=False):
        taken += 1
    return taken


def test_who_has_waited_may_be_late_with_the_next_call(clock: Clock) -> None:
    bucket = TokenBucket(1, 1e4)
    bucket.consume(1)
    bucket.consume(1)
    clock.now += 0.004
    assert grants(bucket) in (39, 40)
    clock.now += 0.004
    bucket.consume(1)
    clock.now += 0.03
    assert grants(bucket) <= 1 + 50  # 5 ms' worth


def test_who_has_not_waited_gets_no_more_than_the_bucket_holds(clock: Clock) -> None:
    bucket = TokenBucket(1, 1e4)
    bucket.consume(1)
    clock.now += 0.004
    assert grants(bucket) == 1
    bucket.consume(1)
    clock.now += 0.051  # since the wait
    assert grants(bucket) == 1


def test_a_long_stop_is_not_made_up_for(clock: Clock) -> None:
    clock.late = 5
    bucket = TokenBucket(10, 1000)
    bucket.consume(10)
    bucket.consume(10)
    clock.late = 0
    taken = 0
    while bucket.consume(10, block=False):
        taken += 10
    assert taken <= 60
    clock.now += 100
    assert bucket.tokens == 10


def test_what_was_made_up_for_does_not_keep(clock: Clock) -> None:
    clock.late = 0.03
    bucket = TokenBucket(10, 1000)
    bucket.consume(10)
    bucket.consume(10)
    clock.now += 10
    assert grants(bucket) == 10


def test_what_was_made_up_for_does_not_come_back(clock: Clock) -> None:
    clock.late = 0.03
    bucket = TokenBucket(10, 1000)
    bucket.consume(10)
    bucket.consume(10)
    for _ in range(1000):  # used less than it gains, but often
        clock.now += 0.02
        bucket.consume(1, block=False)
    assert grants(bucket) <= 10


def test_a_very_slow_bucket_can_be_waited_for(clock: Clock) -> None:
    bucket = TokenBucket(10, 1e-11)
    bucket.consume(10)
    assert bucket.consume(1)
    assert max(clock.sleeps) <= 1e9  # as much as time.sleep takes
    assert clock.now >= 0.999e11


@pytest.mark.parametrize("block", [True, False])
@pytest.mark.parametrize("tokens", [81, 1e9, math.inf, math.nan, -1])
def test_what_it_cannot_hold_is_an_error(clock: Clock, tokens: float, block: bool) -> None:
    bucket = TokenBucket(80, 0.5)
    with pytest.raises(ValueError, match=r"tokens must be (in|finite)"):
        bucket.consume(tokens, block)
    assert bucket.tokens == 80


@pytest.mark.parametrize("rate", [0, -5])
def test_a_bucket_that_never_fills_does_not_wait(clock: Clock, rate: float) -> None:
    bucket = TokenBucket(10, rate)
    assert bucket.consume(10) is True
    clock.now += 1000
    assert bucket.consume(1) is False
    assert asyncio.run(bucket.consume_async(1)) is False
    assert bucket.tokens == 0
    assert clock.sleeps == []


@pytest.mark.parametrize(
    ("tokens", "rate"), [(-1, 1), (math.nan, 1), (1, math.nan), (math.inf, 1), (1, math.inf)]
)
def test_bad_buckets_are_refused(tokens: float, rate: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        TokenBucket(tokens, rate)


@pytest.mark.parametrize("bad", ["1", None, [1]])
def test_what_is_no_number_is_named(bad: Any) -> None:
    with pytest.raises(TypeError, match="tokens must be a number, not"):
        TokenBucket(bad, 1)
    with pytest.raises(TypeError, match="fill_rate must be a number, not"):
        TokenBucket(1, bad)
    bucket = TokenBucket(10, 1)
    with pytest.raises(TypeError, match="tokens must be a number, not"):
        bucket.consume(bad)
    with pytest.raises(TypeError, match="tokens must be a number, not"):
        asyncio.run(bucket.consume_async(bad))
    assert bucket.tokens == 10


def test_tasks_wait_without_blocking() -> None:
    async def work() -> list[str]:
        order: list[str] = []
        bucket = TokenBucket(1, 2)

        async def consumer() -> None:
            for _ in range(2):
                assert await bucket.consume_async(1)
                order.append("consumed")

        async def other() -> None:
            order.append("other")

        await asyncio.gather(consumer(), other())
        return order

    assert asyncio.run(work()) == ["consumed", "other", "consumed"]


def test_too_much_is_an_error_for_tasks_too() -> None:
    with pytest.raises(ValueError, match="tokens must be in"):
        asyncio.run(TokenBucket(1, 1).consume_async(2))


@pytest.mark.parametrize("kind", [Decimal, Fraction, np.float32, np.int64])
def test_any_kind_of_number_will_do(clock: Clock, kind: Any) -> None:
    bucket = TokenBucket(kind(8), kind(4))
    assert bucket.consume(kind(8), block=False)
    assert not bucket.consume(kind(8), block=False)
    assert bucket.consume(kind(2))
    assert clock.sleeps == [0.5]
    clock.now += 1
    assert asyncio.run(bucket.consume_async(kind(4)))
    assert bucket.tokens == 0


def test_an_array_is_no_number() -> None:
    amounts: Any = np.array([1, 2])
    with pytest.raises(TypeError, match="tokens must be a number, not"):
        TokenBucket(5, 1).consume(amounts)
    with pytest.raises(TypeError, match="tokens must be a number, not"):
        asyncio.run(TokenBucket(5, 1).consume_async(amounts))
