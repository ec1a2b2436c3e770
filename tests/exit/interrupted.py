# SPDX-License-Identifier: Apache-2.0
"""Leave by Ctrl-C in the middle of work."""

import os
import signal
import sys
import threading

import pyspin

signal.signal(signal.SIGINT, signal.default_int_handler)
threads = pyspin.ThreadPool(2)
pool = pyspin.MemoryPool(threads, 1, 1 << 20, 20, 10, 10)
pool.warn_on_empty = False
try:
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    while True:
        pool.allocate(1 << 20)
except KeyboardInterrupt:
    print("done")
    sys.exit(0)
