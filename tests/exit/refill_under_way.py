# SPDX-License-Identifier: Apache-2.0
"""Leave while a pool is being filled with buffers that take long to make."""

import pyspin

threads = pyspin.ThreadPool(2)
pool = pyspin.MemoryPool(threads, 1, 16 << 20, 40, 2, 2, pyspin.MmapAllocator())
pool.warn_on_empty = False
arrays = [pool.allocate(16 << 20) for _ in range(4)]
print("done")
