"""Where the leader's log goes: standard error, and a file if one is named. What is in it: `moil.event_log`.

Only the logger ``moil`` is used, and it is set up only where Moil owns the program (`moil.main`, the ``moil`` command):
a library does not touch the handlers of the program it is in.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TextIO

from moil.engine_settings import EngineSettings
from moil.errors import UsageError
from moil.event_log import NAME

OFF = logging.CRITICAL + 1


def set_up(settings: EngineSettings) -> None:
    """Send the log to standard error, and to a file if one is named. Raises UsageError."""
    level = OFF if settings.log_level == "off" else logging.getLevelName(settings.log_level.upper())
    shown = _StandardError()
    shown.setLevel(max(level, logging.WARNING) if settings.log_level == "info" else level)
    shown.setFormatter(logging.Formatter("moil: %(message)s"))
    handlers: list[logging.Handler] = [shown]
    if settings.log_file is not None:
        handlers.append(_file(settings.log_file, level))
    logger = logging.getLogger(NAME)
    for old in logger.handlers[:]:
        logger.removeHandler(old)
        old.close()
    for new in handlers:
        logger.addHandler(new)
    logger.setLevel(level)
    logger.propagate = False


class _StandardError(logging.StreamHandler[TextIO]):
    """Asks for standard error each time: a live display puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _file(path: Path, level: int) -> logging.Handler:
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"log file {path}: {error.strerror}; choose another with --log-file") from error
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return handler
