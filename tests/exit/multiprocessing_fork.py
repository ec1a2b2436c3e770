# SPDX-License-Identifier: Apache-2.0
"""Use pools in the workers of multiprocessing, forked from a process with threads."""

import multiprocessing

import pyspin

threads = pyspin.ThreadPool(2)
pool = pyspin.MemoryPool(threads, 1, 100_000, 20, 10, 10)


def work(number):
    pool.warn_on_empty = False
    with pyspin.ThreadPool(1) as mine:
        own = pyspin.MemoryPool(mine, 1, 1000, 4, 2, 1)
        return pool.allocate(100_000).size + own.allocate(number).size


if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as processes:
        assert processes.map(work, range(1, 9)) == [100_000 + n for n in range(1, 9)]
        processes.close()
        processes.join()
    print("done")
