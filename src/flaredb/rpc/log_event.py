"""Log lines with fields. The spelling of fields is one table in server/logs.py, which also sets the handlers up."""

from __future__ import annotations

import logging
from typing import Any


def log_event(logger: logging.Logger, level: int, message: str, **fields: Any) -> None:
    """One line: what happened (constant text, so that it can be searched for) and its fields."""
    if logger.isEnabledFor(level):
        logger.log(level, "%s", message, extra={"fields": fields}, stacklevel=2)
