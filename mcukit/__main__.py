# SPDX-License-Identifier: Apache-2.0
"""`python -m mcukit` is `mcukit`."""

from __future__ import annotations

from mcukit.cli.main import main

if __name__ == "__main__":
    main()
