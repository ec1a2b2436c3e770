# SPDX-License-Identifier: Apache-2.0
"""Log in a forked child through the pool of its parent."""

import logging
import os
import sys

import pyspin

logging.basicConfig(stream=sys.stderr, format="%(message)s")
pool = pyspin.MemoryPool(1, 1000, 0, 0)
child = os.fork()
if child == 0:
    sys.stderr = sys.stdout
    logging.getLogger().handlers[0].setStream(sys.stdout)
    pyspin.MemoryPool(1, 1000, 0, 0)
    pool.allocate(654)
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
print("done")
