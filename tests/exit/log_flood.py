# SPDX-License-Identifier: Apache-2.0
"""Leave while warnings come faster than they can be told, and a thread makes more."""

import logging
import sys
import threading

import pyspin

logging.basicConfig(stream=sys.stdout, format="%(name)s %(levelname)s %(message)s")
pool = pyspin.MemoryPool(1, 1000, 0, 0)


def warn():
    size = 0
    while True:
        size = size % 1000 + 1
        pool.allocate(size)


for _ in range(2):
    threading.Thread(target=warn, daemon=True).start()
for size in range(1, 1000):
    pool.allocate(size)
print("done", flush=True)
