# SPDX-License-Identifier: Apache-2.0
"""mcukit brings a trained CNN onto a microcontroller."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
