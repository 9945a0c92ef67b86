"""What all commands on data share: their options, and the client they are carried out with."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from flaredb.cli.flags import SECONDS
from flaredb.cli.grammar import ENVIRONMENT, CommonCommand, Session, pass_session
from flaredb.cli.kv.caller import Caller, Work
from flaredb.cli.startup import loading
from flaredb.model.errors import FlareDBError

if TYPE_CHECKING:
    from flaredb.faces.aio_calls import AsyncCalls

FAMILIES = ("default", "lock", "write")


@dataclass(slots=True)
class Call:
    """One command on data, while it runs."""

    db: AsyncCalls
    session: Session
    cf: str | None
    timeout_s: float | None

    @property
    def options(self) -> dict[str, Any]:
        """What every call of the client is given."""
        return {"cf": self.cf, "timeout": self.timeout_s}


DataCommand = Callable[..., Coroutine[Any, Any, int | None]]


class Unreachable(FlareDBError):
    """Nobody answers at the cluster's addresses. Nothing was written."""

    retryable = True


class OneCall:
    """A client for one command: opened, used, closed."""

    def __init__(self, addresses: str) -> None:
        self.addresses = addresses

    def run(self, work: Work, is_bulk: bool) -> Any:
        """The result of ``work``. Errors: its own; ConfigError for what is no address."""

        db = open_client(self.addresses)

        async def opened() -> Any:
            async with db:
                return await work(db)

        return _runner(is_bulk)(opened())


def open_client(addresses: str) -> Any:
    """A client, not connected yet."""
    with loading():
        from flaredb.faces.aio_client import connect
    return connect(addresses)


def _runner(is_bulk: bool) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """uvloop takes longer to load than a few calls take."""
    if is_bulk:
        try:
            import uvloop
        except ImportError:
            pass
        else:
            run: Callable[[Coroutine[Any, Any, Any]], Any] = uvloop.run
            return run
    import asyncio

    return asyncio.run


def data_command(name: str, *, is_bulk: bool = False, help: str = "") -> Callable[[DataCommand], click.Command]:
    """Make a command of an async function of a Call and the command's own parameters, which returns the exit status.

    Errors: what cannot be right, whatever the cluster says, is a UsageError.
    """

    def decorate(work: DataCommand) -> click.Command:
        @click.option("--timeout", "timeout_s", type=SECONDS, help="deadline of each call  [default: 5s]")
        @click.option("--cf", type=click.Choice(FAMILIES), help="column family  [default: default]")
        @pass_session
        @functools.wraps(work)
        def run(session: Session, /, timeout_s: float | None, cf: str | None, **parameters: Any) -> int | None:
            caller: Caller = session.caller or OneCall(session.addresses)
            if caller.addresses != session.addresses:
                raise click.UsageError(f"this shell stays with its cluster at {caller.addresses}: leave --pd out")

            async def working(db: AsyncCalls) -> int | None:
                return await work(Call(db, session, cf, timeout_s), **parameters)

            try:
                status: int | None = caller.run(working, is_bulk)
            except ConnectionError as error:
                if not isinstance(error, FlareDBError):
                    raise  # such as a broken pipe
                raise Unreachable(f"{caller.addresses}: {error}; --pd or {ENVIRONMENT[0]} names another") from error
            except ValueError as error:
                if isinstance(error, FlareDBError):
                    raise
                raise click.UsageError(str(error)) from error
            return status

        return click.command(name, cls=CommonCommand, help=help or work.__doc__)(run)

    return decorate


def range_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--prefix, or --start and --end."""
    from flaredb.cli.notation import KEY

    for option in (
        click.option("--end", type=KEY, metavar="KEY", help="up to this key, exclusive"),
        click.option("--start", type=KEY, metavar="KEY", help="from this key on, inclusive"),
        click.option("--prefix", type=KEY, metavar="KEY", help="the keys that start with this"),
    ):
        function = option(function)
    return function


def check_range(prefix: bytes | None, start: bytes | None, end: bytes | None) -> None:
    """Errors: UsageError for a range and a prefix, or a range that is upside down."""
    if prefix is not None and (start is not None or end is not None):
        raise click.UsageError("write --prefix, or --start and --end, not both")
    if start and end and start > end:
        raise click.UsageError("--start is above --end: nothing lies between them; exchange them")


def check_may_read_stdin(session: Session) -> None:
    """Errors: UsageError in a shell, whose own lines would be read."""
    if session.caller is not None:
        raise click.UsageError("a shell reads its lines from standard input: \"-\" cannot be it here; b'-' is a dash")
