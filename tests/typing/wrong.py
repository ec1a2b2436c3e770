# SPDX-License-Identifier: Apache-2.0
"""Mistakes that the types must catch; read by test_typing.py, never run."""

import pyspin
import pyspin.recv
import pyspin.send

threads = pyspin.ThreadPool("two")  # error: arg-type
stream = pyspin.recv.Stream()  # error: call-arg
heap = pyspin.recv.Stream(threads).get()
heap.cnt = 3  # error: misc
pyspin.MmapAllocator(prefer_hugee=True)  # error: call-arg
pyspin.send.StreamConfig(rate="fast")  # error: arg-type
