# SPDX-License-Identifier: Apache-2.0
"""A refilled pool cannot be made on threads that stayed in the parent."""

import os

import pyspin

threads = pyspin.ThreadPool(1)
child = os.fork()
if child == 0:
    try:
        pyspin.MemoryPool(threads, 1, 100, 2, 2, 1)
    except pyspin.ForkedError:
        os._exit(0)
    os._exit(1)
_, status = os.waitpid(child, 0)
assert status == 0, status
print("done")
