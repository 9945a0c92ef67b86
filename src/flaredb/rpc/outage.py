"""Log lines for something that may stay broken for long: one when it breaks, one when it works again."""

from __future__ import annotations

import logging

from flaredb.rpc.log_event import log_event


class Outage:
    """Whether one thing works, told to the log only when that changes."""

    __slots__ = ("_is_out", "_log", "_what")

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log = log
        self._what = what
        self._is_out = False

    def failed(self, reason: object) -> None:
        """It does not work. Further failures are silent until ``recovered``."""
        if not self._is_out:
            self._is_out = True
            log_event(
                self._log, logging.WARNING, f"{self._what} failed, trying again until it works", error=str(reason)
            )

    def recovered(self) -> None:
        """It works."""
        if self._is_out:
            self._is_out = False
            log_event(self._log, logging.INFO, f"{self._what} works again")
