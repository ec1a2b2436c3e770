# SPDX-License-Identifier: Apache-2.0
"""The demo's signal: a function of the sample number alone, so that both ends can make it.

A chirp that sweeps the whole band, a steady carrier, a pulsed tone and some noise, as int16.
Phases are integers of 32 bits, 2**32 to a turn, whose overflow is the wrap that is wanted.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SWEEP = 1 << 26  # samples in which the chirp crosses the band
CARRIER = 0.31  # in cycles per sample
PULSED = 0.12
PULSE_PERIOD = 1 << 23
PULSE_WIDTH = 1 << 21

_TURN = np.arange(4096) * (2 * np.pi / 4096)


def _sine(amplitude: int) -> npt.NDArray[np.int16]:
    wave: npt.NDArray[np.int16] = np.round(np.sin(_TURN) * amplitude).astype(np.int16)
    return wave


_CHIRP = _sine(9000)
_CARRIER = _sine(3000)
_PULSE = _sine(6000)
_NOISE = np.random.default_rng(1).normal(0, 600, 1 << 16).astype(np.int16)


def _wave(table: npt.NDArray[np.int16], phase: npt.NDArray[np.uint32]) -> npt.NDArray[np.int16]:
    wave: npt.NDArray[np.int16] = table[phase >> np.uint32(20)]
    return wave


def _phase(number: npt.NDArray[np.uint32], frequency: float) -> npt.NDArray[np.uint32]:
    phase: npt.NDArray[np.uint32] = number * np.uint32(round(frequency * 2**32))
    return phase


def samples(start: int, count: int) -> npt.NDArray[np.int16]:
    """Return samples start..start+count-1 of the signal; it repeats after 2**32 samples."""
    number = np.arange(count, dtype=np.uint32) + np.uint32(start % 2**32)
    swept = number & np.uint32(SWEEP - 1)
    # Half a cycle per sample after SWEEP samples: the phase is n**2 / (4 * SWEEP) cycles.
    total: npt.NDArray[np.int16] = _wave(_CHIRP, (swept * swept) << np.uint32(32 - 28))
    total += _wave(_CARRIER, _phase(number, CARRIER))
    on = (number & np.uint32(PULSE_PERIOD - 1)) < PULSE_WIDTH
    total += _wave(_PULSE, _phase(number, PULSED)) * on
    total += _NOISE[number & np.uint32(0xFFFF)]
    return total
