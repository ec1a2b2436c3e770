# SPDX-License-Identifier: Apache-2.0
"""The demo's signal: a function of the sample number alone, so that both ends can make it.

A chirp that sweeps the whole band, a steady carrier, a pulsed tone and some noise, as int16.
Phases are integers that wrap at 2**32 turns' fractions, exact at any sample number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SWEEP = 1 << 26  # samples in which the chirp crosses the band
CARRIER = 0.31  # in cycles per sample
PULSED = 0.12
PULSE_PERIOD = 1 << 23
PULSE_WIDTH = 1 << 21

_SINE = np.round(np.sin(np.arange(4096) * (2 * np.pi / 4096)) * 32767).astype(np.int32)
_NOISE = np.random.default_rng(1).normal(0, 600, 65521).astype(np.int32)


def _tone(phase: npt.NDArray[np.uint64], amplitude: int) -> npt.NDArray[np.int32]:
    """Return a sine of the low 32 bits of `phase`."""
    index = ((phase >> np.uint64(20)) & np.uint64(0xFFF)).astype(np.intp)
    wave: npt.NDArray[np.int32] = (_SINE[index] * amplitude) >> 15
    return wave


def samples(start: int, count: int) -> npt.NDArray[np.int16]:
    """Return samples start..start+count-1 of the signal."""
    number = np.arange(start, start + count, dtype=np.uint64)
    swept = number % np.uint64(SWEEP)
    # Half a cycle per sample after SWEEP samples: phase = n**2 / (4 * SWEEP) cycles.
    chirp = (swept * swept) << np.uint64(32 - 28)
    carrier = number * np.uint64(round(CARRIER * 2**32))
    pulsed = number * np.uint64(round(PULSED * 2**32))
    total = _tone(chirp, 9000) + _tone(carrier, 3000)
    on = number % np.uint64(PULSE_PERIOD) < PULSE_WIDTH
    total += np.where(on, _tone(pulsed, 6000), 0)
    total += _NOISE[(number % np.uint64(len(_NOISE))).astype(np.intp)]
    return total.astype(np.int16)
