# SPDX-License-Identifier: Apache-2.0
"""Fork while a refill is under way; both sides go on with the pool, then leave."""

import logging
import os
import sys

import pyspin

logging.basicConfig(stream=sys.stdout, format="%(message)s")
threads = pyspin.ThreadPool(2)
pool = pyspin.MemoryPool(threads, 1, 1 << 20, 100, 50, 50, pyspin.MmapAllocator())
pool.warn_on_empty = False
for _ in range(10):
    array = pool.allocate(1 << 20)
    child = os.fork()
    if child == 0:
        array[:] = 1
        more = [pool.allocate(1 << 20) for _ in range(60)]
        threads.stop()
        del array, more
        fresh = pyspin.ThreadPool(1)
        own = pyspin.MemoryPool(fresh, 1, 1000, 4, 2, 1)
        own.allocate(1000)
        del threads, pool
        sys.exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    del array
assert pool.stats.outstanding == 0
print("done")
