# SPDX-License-Identifier: Apache-2.0
"""Which processors and which memory node are near a network interface."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from .arguments import instance
from .threads import parse_range_list

__all__ = ["numa_node_near", "processors_near"]

_INTERFACES = Path("/sys/class/net")


def processors_near(interface: str) -> list[int]:
    """Return the processors near an interface, of those that the process may use, in order.

    What is near is what the system says of the interface's device (``local_cpulist``); for a VLAN,
    bond, bridge or the like it is what is near the interfaces below it. Where the system does not
    say, as for ``lo``, it is every processor that the process may use.

    OSError if there is no such interface. Any thread may call.
    """
    instance("interface", interface, str)
    allowed = os.sched_getaffinity(0)
    near = {
        processor
        for device in _devices(interface)
        for processor in parse_range_list(_read(device, "local_cpulist"))
    }
    return sorted(near & allowed or allowed)


def numa_node_near(interface: str) -> int | None:
    """Return the memory node of an interface's device, for `MmapAllocator`.

    None where the system does not say, and for interfaces over devices on several nodes.
    OSError if there is no such interface. Any thread may call.
    """
    instance("interface", interface, str)
    nodes = {_read(device, "numa_node") for device in _devices(interface)}
    node = nodes.pop() if len(nodes) == 1 else ""
    return int(node) if node.isdigit() else None  # -1: unknown


def interface_index(interface: str) -> int:
    """Return the number of an interface; OSError if there is none of this name."""
    try:
        return socket.if_nametoindex(interface)
    except (OSError, ValueError) as error:  # a NUL or a surrogate is a ValueError
        raise OSError(errno.ENODEV, f"no interface {interface!r}") from error


def _devices(interface: str) -> Iterator[Path]:
    """Find the devices of the interface, or of those below it, that the system knows places of."""
    interface_index(interface)
    here = _INTERFACES / interface
    # A virtio network device is a child of the PCI device, which is what has a place.
    device = (here / "device").resolve()
    for path in (device, *device.parents) if device.exists() else ():
        if (path / "local_cpulist").exists():
            yield path
            return
    for below in here.glob("lower_*"):
        yield from _devices(below.name.removeprefix("lower_"))


def _read(device: Path, name: str) -> str:
    try:
        return (device / name).read_text().strip()
    except OSError:
        return ""
