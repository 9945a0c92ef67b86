"""Whoever carries out the commands on data: a client for one command, or a shell's for all."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from flaredb.faces.aio_calls import AsyncCalls

Work = Callable[["AsyncCalls"], Coroutine[Any, Any, Any]]


class Caller(Protocol):
    """Carries out the work of a command with a client."""

    addresses: str
    """The cluster it belongs to, as Session has it."""

    def run(self, work: Work, is_bulk: bool) -> Any:
        """The result of ``work``. ``is_bulk``: it is worth while to load what makes many calls faster."""
