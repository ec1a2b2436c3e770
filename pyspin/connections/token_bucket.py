# SPDX-License-Identifier: Apache-2.0
"""A token bucket: so much at once, and so much a second."""

from __future__ import annotations

import asyncio
import time
from time import monotonic

from pyspin.arguments import number

# A sleep ends late, by 60 to 80 us on an idle machine, by milliseconds on a busy one. What flowed
# in meanwhile is kept even beyond the capacity, or a bucket that holds one helping could never
# reach its rate; but not more than this many seconds of it, and no longer than that, so that a
# process that was stopped does not burst when it goes on.
_LATE_MAX = 0.05
# During that time the caller may also be late by so much with its next call: the scheduler's
# turn of somebody else.
_TURN = 0.005
# Longer than this some systems cannot sleep.
_SLEEP_MAX = 1e9


class TokenBucket:
    """A bucket of tokens that fills at a constant rate.

    >>> bucket = TokenBucket(80, 0.5)
    >>> bucket.consume(10)
    True

    It starts full. The clock is monotonic. Not thread safe.
    """

    __slots__ = ("_balance", "_capacity", "_limit", "_rate", "_stamp", "_until")

    def __init__(self, tokens: float, fill_rate: float) -> None:
        """Make a full bucket that holds `tokens` and gains `fill_rate` tokens a second.

        A bucket whose rate is zero or below never gains any. ValueError if `tokens` is
        negative or either is not finite, TypeError if either is no number.
        """
        self._capacity = number("tokens", tokens)
        if self._capacity < 0:
            raise ValueError(f"tokens must be at least 0, not {tokens!r}")
        self._rate = max(number("fill_rate", fill_rate), 0.0)
        self._balance = self._capacity
        self._stamp = monotonic()
        # After a wait the bucket may hold more than its capacity, up to this limit until then.
        self._limit = self._capacity
        self._until = self._stamp

    @property
    def tokens(self) -> float:
        """The tokens in the bucket now, at most its capacity."""
        return min(self._refill(), self._capacity)

    def consume(self, tokens: float, block: bool = True) -> bool:
        """Take `tokens` out; return whether there were enough.

        If there are not, wait until there are when `block` is true, and take nothing when it
        is false. A bucket that never gains tokens does not wait either: it returns False.
        ValueError if `tokens` is negative or more than the bucket can hold, TypeError if it is
        no number.
        """
        now = monotonic()
        capacity = self._capacity
        balance = self._balance + (now - self._stamp) * self._rate
        if balance > capacity:
            balance = capacity if now > self._until else min(balance, self._limit)
        self._stamp = now
        try:
            if 0 <= tokens <= balance and tokens <= capacity:
                self._balance = balance - tokens
                return True
        except (TypeError, ValueError):
            pass  # no number, or of a kind that floats do not mix with
        self._balance = balance
        tokens = self._checked(tokens)
        if tokens > balance and not (block and self._rate):
            return False
        while (wait := self._take_or_wait(tokens)) > 0:
            time.sleep(min(wait, _SLEEP_MAX))
        return True

    async def consume_async(self, tokens: float) -> bool:
        """Take `tokens` out, as `consume` does, while the event loop of asyncio goes on."""
        tokens = self._checked(tokens)
        self._refill()
        if tokens > self._balance and not self._rate:
            return False
        while (wait := self._take_or_wait(tokens)) > 0:
            await asyncio.sleep(min(wait, _SLEEP_MAX))
        return True

    def _checked(self, tokens: float) -> float:
        amount = number("tokens", tokens)
        if not 0 <= amount <= self._capacity:
            raise ValueError(f"tokens must be in 0..{self._capacity:g}, not {tokens!r}")
        return amount

    def _refill(self) -> float:
        now = monotonic()
        limit = self._capacity if now > self._until else self._limit
        self._balance = min(self._balance + (now - self._stamp) * self._rate, limit)
        self._stamp = now
        return self._balance

    def _take_or_wait(self, tokens: float) -> float:
        """Take `tokens` and return 0, or return the seconds until they will be there.

        Called for the first time just after a refill, and then after each sleep, so what has
        flowed in since the last call is kept.
        """
        now = monotonic()
        most = self._capacity + _LATE_MAX * self._rate
        balance = min(self._balance + (now - self._stamp) * self._rate, most)
        self._stamp = now
        self._balance = balance
        if tokens > balance:
            return (tokens - balance) / self._rate
        self._balance = balance - tokens
        self._limit = max(self._balance, self._capacity) + _TURN * self._rate
        self._until = now + _LATE_MAX
        return 0.0
