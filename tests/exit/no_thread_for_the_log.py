# SPDX-License-Identifier: Apache-2.0
"""There is no thread for the log at first, and then there is; or there never is."""

import os
import threading

import pyspin


class NoThread(threading.Thread):
    def start(self) -> None:
        raise RuntimeError("can't start new thread")


def refused() -> bool:
    try:
        pyspin.ThreadPool()
    except BlockingIOError as error:
        return "log" in str(error)
    return False


thread = threading.Thread
threading.Thread = NoThread  # type: ignore[misc]
assert refused()
assert refused()
if os.fork() == 0:
    raise SystemExit
status = os.wait()[1]
threading.Thread = thread  # type: ignore[misc]
pyspin.ThreadPool()
assert "pyspin-log" in [each.name for each in threading.enumerate()]
print("done" if status == 0 else status)
