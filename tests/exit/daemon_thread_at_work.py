# SPDX-License-Identifier: Apache-2.0
"""Leave while daemon threads allocate and make pools."""

import threading

import pyspin

started = threading.Barrier(3)


def work():
    started.wait()
    while True:
        with pyspin.ThreadPool(1) as threads:
            pool = pyspin.MemoryPool(threads, 1, 100_000, 8, 4, 4)
            pool.warn_on_empty = False
            for _ in range(10):
                pool.allocate(100_000)


for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
started.wait()
print("done", flush=True)
