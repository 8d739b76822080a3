"""What this version of Moil is called."""

from __future__ import annotations

__version__ = "0.1.0"
