# SPDX-License-Identifier: Apache-2.0
"""Runs a program whose serial line is this process's standard output, for as long as standard input is open.

Started as a file of its own, by ProcessTransport. Standard input is closed when whoever holds its other end closes it
or ends, by whatever signal: an emulated board has no power switch, and would run on for ever.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading


def _end_with_input(child: subprocess.Popen[bytes]) -> None:
    os.read(sys.stdin.fileno(), 1)
    child.kill()


def main() -> None:
    line = sys.stdout.fileno()
    child = subprocess.Popen(sys.argv[1:], stdin=line, stdout=line)
    threading.Thread(target=_end_with_input, args=(child,), daemon=True).start()
    code = child.wait()
    # Not sys.exit, which would wait for nobody knows what: the thread still reads.
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
