# SPDX-License-Identifier: Apache-2.0
"""Numbers of the SPEAD protocol (SPEAD Protocol Document, Rev 1, 2012).

Item identifiers are those of its table of reserved items; stream control
values those of its section on stream control.
"""

from __future__ import annotations

MAGIC = 0x53
VERSION = 4
ITEM_POINTER_BITS = 64

NULL_ID = 0x00
HEAP_CNT_ID = 0x01
HEAP_LENGTH_ID = 0x02
PAYLOAD_OFFSET_ID = 0x03
PAYLOAD_LENGTH_ID = 0x04
DESCRIPTOR_ID = 0x05
STREAM_CTRL_ID = 0x06

DESCRIPTOR_NAME_ID = 0x10
DESCRIPTOR_DESCRIPTION_ID = 0x11
DESCRIPTOR_SHAPE_ID = 0x12
DESCRIPTOR_FORMAT_ID = 0x13
DESCRIPTOR_ID_ID = 0x14
DESCRIPTOR_DTYPE_ID = 0x15

CTRL_STREAM_START = 0
CTRL_DESCRIPTOR_REISSUE = 1
CTRL_STREAM_STOP = 2
CTRL_DESCRIPTOR_UPDATE = 3

FIRST_FREE_ID = 0x1000
"""The first identifier that `ItemGroup.add_item` gives by itself."""
