# SPDX-License-Identifier: Apache-2.0
"""Leave with everything in a reference cycle of the module's globals."""

import gc

import pyspin


class Knot:
    pass


gc.disable()
knot = Knot()
knot.self = knot
knot.threads = pyspin.ThreadPool(2, [0])
knot.pool = pyspin.MemoryPool(knot.threads, 1, 10_000, 20, 10, 10)
knot.array = knot.pool.allocate(10_000)[5:]
knot.pools = [pyspin.MemoryPool(1, 100, 4, 2, knot.pool) for _ in range(3)]
print("done")
