"""``python -m moil`` is the `moil` command."""

from __future__ import annotations

import sys

from moil.cli import main

sys.exit(main())
