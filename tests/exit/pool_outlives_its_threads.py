# SPDX-License-Identifier: Apache-2.0
"""Drop the thread pool from a handler's view last: the refill holds the only reference."""

import pyspin

for _ in range(30):
    pool = pyspin.MemoryPool(pyspin.ThreadPool(1), 1, 1 << 20, 8, 4, 4)
    pool.warn_on_empty = False
    array = pool.allocate(1 << 20)
    del pool
print("done")
