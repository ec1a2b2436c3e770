# SPDX-License-Identifier: Apache-2.0
"""Use and stop pools in handlers that run at exit, before and after pyspin's own."""

import atexit


def last():
    pool.allocate(5000)
    threads.stop()
    print("done")


atexit.register(last)  # runs after those of pyspin

import pyspin  # noqa: E402

threads = pyspin.ThreadPool(2)
pool = pyspin.MemoryPool(threads, 1, 5000, 20, 10, 10)


@atexit.register  # runs before those of pyspin
def first():
    pool.allocate(5000)
    pyspin.ThreadPool(1)
