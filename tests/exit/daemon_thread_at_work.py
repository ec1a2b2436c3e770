# SPDX-License-Identifier: Apache-2.0
"""Leave while daemon threads allocate and make pools."""

import contextlib
import threading

import pyspin

started = threading.Barrier(3)


def work():
    started.wait()
    while True:
        with contextlib.suppress(pyspin.Stopped), pyspin.ThreadPool(1) as threads:
            # At exit all threads are stopped, these too.
            pool = pyspin.MemoryPool(threads, 1, 100_000, 8, 4, 4)
            pool.warn_on_empty = False
            for _ in range(10):
                pool.allocate(100_000)


for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
started.wait()
print("done", flush=True)
