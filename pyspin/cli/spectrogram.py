# SPDX-License-Identifier: Apache-2.0
"""Spectra of pieces of a signal, and the picture of what was sent beside what came."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt

SEGMENT = 1024
SEGMENTS = 4
LENGTH = SEGMENT * SEGMENTS  # samples that one spectrum takes

_WINDOW = np.hanning(SEGMENT).astype(np.float32)


def require_matplotlib() -> None:
    """Raise ModuleNotFoundError now, rather than when the picture is to be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ModuleNotFoundError("matplotlib is missing", name="matplotlib")


def spectrum(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """Return the power of SEGMENT // 2 bands, in decibels, of the first LENGTH samples."""
    pieces = samples[:LENGTH].reshape(SEGMENTS, SEGMENT) * _WINDOW
    power = np.square(np.abs(np.fft.rfft(pieces, axis=1)[:, 1:])).mean(axis=0)
    decibels: npt.NDArray[np.float32] = (10 * np.log10(power + 1)).astype(np.float32)
    return decibels


def save(
    path: Path,
    sent: npt.NDArray[np.float32],
    received: npt.NDArray[np.float32],
    seconds: float,
    title: str,
) -> None:
    """Draw both spectrograms, time upward; shapes (heaps, bands), NaN where a heap is lost.

    The picture is a PNG, whatever the name. `OSError` if it cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 6), sharey=True, layout="constrained")
    low, high = np.nanpercentile(sent, 5), np.nanpercentile(sent, 99.9)
    for axis, rows, name in zip(axes, (sent, received), ("sent", "received"), strict=True):
        image = axis.imshow(
            rows,
            aspect="auto",
            origin="lower",
            extent=(0, 0.5, 0, seconds),
            vmin=low,
            vmax=high,
            cmap="viridis",
            interpolation="antialiased",  # or narrow lines would depend on the pixels' places
        )
        axis.set_title(name)
        axis.set_xlabel("frequency (cycles per sample)")
    axes[0].set_ylabel("time (s)")
    figure.colorbar(image, ax=axes, label="power (dB)", shrink=0.8)
    figure.suptitle(title)
    figure.savefig(path, dpi=110, format="png")
    plt.close(figure)
