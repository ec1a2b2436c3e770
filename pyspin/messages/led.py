# SPDX-License-Identifier: Apache-2.0
"""CMD_LED: the lights of a board."""

from __future__ import annotations

from collections.abc import Mapping

from pyspin.arguments import instance, integer, member

from .enums import LEDAction, SCPCommand
from .scp import PlainRequest

_MAX_LED = 7


class SetLED(PlainRequest):
    """Switch LEDs on, off or over; `led_states` maps a number of 0..7 to an action."""

    __slots__ = ()
    operation = "Set LEDs"

    def __init__(self, x: int, y: int, cpu: int, led_states: Mapping[int, LEDAction]) -> None:
        instance("led_states", led_states, Mapping)
        word = 0
        for led, action in led_states.items():
            shift = 2 * integer("led_states", led, 0, _MAX_LED)
            word |= member("led_states", action, LEDAction) << shift
        self._set(x, y, cpu, SCPCommand.CMD_LED, word)
