# SPDX-License-Identifier: Apache-2.0
"""Leave by an exception whose traceback keeps everything alive."""

import sys

import pyspin


def fail():
    threads = pyspin.ThreadPool(2)
    pool = pyspin.MemoryPool(threads, 1, 100_000, 20, 10, 10)
    array = pool.allocate(100_000)
    raise LookupError(array.size)


def report(kind, value, trace):
    print("done")


sys.excepthook = report
try:
    fail()
except LookupError as error:
    kept = error
fail()
