"""Starts children that sleep, ignores the request to end as they do, and hangs.

Everything here ends by itself after two minutes, should nobody kill it.
"""

import os
import signal
import subprocess
import sys
import time

CHILDREN = 3
SLEEP = "import time; time.sleep(120)"

# The children inherit this: only force ends the family.
signal.signal(signal.SIGTERM, signal.SIG_IGN)

print(f"pid {os.getpid()}")
for _ in range(CHILDREN):
    child = subprocess.Popen([sys.executable, "-c", SLEEP])
    print(f"pid {child.pid}")
print(f"waiting for {CHILDREN} children")
time.sleep(120)
