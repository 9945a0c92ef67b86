"""The grammar of all commands that ask a cluster: options valid at every place, ids, words that stand alone.

``-u/--pd/--url`` and ``-o`` may stand anywhere, as pd-ctl's do. A group may be followed by an id: ``store 4``.
A command that belongs to no group is a :class:`RootCommand`; those in groups get theirs from the group's class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import click

from flaredb.cli.lazy import HintingGroup, LazyCommands
from flaredb.cli.output import FORMS, Facts, Table, show

if TYPE_CHECKING:
    from flaredb.cli.ctl.http import Pd
    from flaredb.cli.kv.caller import Caller

ENVIRONMENT = ("FLAREDB_URL", "FLAREDB_PD")
"""Where the cluster is, if no option says so; the first that is set counts."""

DEFAULT_PD = "127.0.0.1:2379"


@dataclass(slots=True)
class Session:
    """What the common options say, and the PD they name."""

    urls: str = ""
    """As given: host:port, several with commas between, or a URL; "" for the usual place."""

    form: str = ""
    """Of cli/output.py; "" chooses by where the output goes."""

    caller: Caller | None = None
    """Carries out commands on data; None: a client of its own for each."""

    on_key: Callable[[bytes], None] | None = None
    """Told of keys that commands on data have met; the shell completes them."""

    _pd: Pd | None = field(default=None)

    @property
    def addresses(self) -> str:
        """Where PD is: what was given, or the usual place. As ``flaredb.connect`` takes it."""
        return self.urls or DEFAULT_PD

    @property
    def pd(self) -> Pd:
        """PD's HTTP API at these addresses. Errors: ConfigError for what is no address."""
        if self._pd is None:
            from flaredb.cli.ctl.http import Pd

            self._pd = Pd(self.addresses)
        return self._pd

    def met(self, key: bytes) -> None:
        """A command has met a key."""
        if self.on_key is not None:
            self.on_key(key)

    def show(self, raw: Any, view: Table | Facts | str) -> None:
        """Print an answer in the form asked for."""
        show(self.form, raw, view)

    def say(self, answer: Any) -> None:
        """Print PD's sentence after an order; stock PD says nothing after some."""
        sentence = answer if isinstance(answer, str) else "Done."
        self.show(answer if answer is not None else sentence, sentence)


pass_session = click.make_pass_decorator(Session, ensure=True)


def _set_urls(context: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value:
        context.ensure_object(Session).urls = value


def _set_form(context: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value:
        context.ensure_object(Session).form = value


_OPTIONS_WITH_VALUE = ("-u", "--pd", "--url", "-o", "--output")


def _url_option(is_root: bool) -> click.Option:
    return click.Option(
        ["-u", "--pd", "--url"],
        metavar="URL",
        envvar=ENVIRONMENT if is_root else None,
        expose_value=False,
        callback=_set_urls,
        hidden=not is_root,
        help=f"PD's address, several with commas between; also {ENVIRONMENT[0]}  [default: {DEFAULT_PD}]",
    )


def _form_option(is_root: bool) -> click.Option:
    return click.Option(
        ["-o", "--output"],
        type=click.Choice(FORMS),
        expose_value=False,
        callback=_set_form,
        hidden=not is_root,
        help="form of the answer  [default: table on a terminal, else tsv]",
    )


def _common_options(is_root: bool) -> list[click.Option]:
    return [_url_option(is_root), _form_option(is_root)]


class IdType(click.ParamType):  # type: ignore[type-arg]
    """The id of a store or region."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        """The number."""
        if isinstance(value, int):
            return value
        if not (value.isascii() and value.isdigit() and int(value)):
            self.fail(f'"{value}" is no id: write a whole number, such as 4', param, context)
        return int(value)


ID = IdType()


class CommonCommand(click.Command):
    """A command of a group; it takes the common options too."""

    is_root = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common_options(self.is_root)


class RootCommand(CommonCommand):
    """A command directly below ``flaredb`` with the common options."""

    is_root = True


class PrintingCommand(click.Command):
    """A command that asks no cluster, and prints in the form asked for by -o."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(_form_option(is_root=True))


class CommonGroup(HintingGroup):
    """A group that takes the common options too. With a command called ``show``: a group alone, or followed by a
    number, means it."""

    is_root = False
    command_class: ClassVar[type[click.Command]] = CommonCommand  # type: ignore[misc]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common_options(self.is_root)

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """As click does; a group alone is its ``show``, or else its help."""
        if not _words(args) and not {"-h", "--help"} & set(args):
            args = [*args, "show" if "show" in self.list_commands(context) else "--help"]
        return super().parse_args(context, args)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As HintingGroup does; a number is an argument of ``show``."""
        if args[0].isdigit() and "show" in self.list_commands(context):
            return "show", self.get_command(context, "show"), args
        return super().resolve_command(context, args)

    def _known(self, context: click.Context, known: list[str]) -> str:
        show = self.get_command(context, "show")
        takes_id = show is not None and any(param.type is ID for param in show.params)
        return super()._known(context, known) + (", or an id" if takes_id else "")


def _words(args: list[str]) -> list[str]:
    """What is left of the arguments of a group without the common options before the first word."""
    rest = list(args)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in _OPTIONS_WITH_VALUE and rest:
            rest.pop(0)
    return rest


class LazyGroup(CommonGroup, LazyCommands):
    """A group directly below ``flaredb`` with the common options, whose commands are loaded when they are called."""

    is_root = True
