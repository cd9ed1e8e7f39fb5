# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""What the tests of control sockets in Python share."""
import os
import sys
import time

SKIPPED = 77
LIMIT_S = 300  # only a hang gets there


def wait_for(path, server):
    """Returns when the server, a subprocess.Popen, has made its socket."""
    until = time.monotonic() + LIMIT_S
    while not os.path.exists(path):
        if server.poll() is not None or time.monotonic() > until:
            sys.exit("the machine did not start")
        time.sleep(0.01)
