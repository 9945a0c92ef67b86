"""The grammar that all of ``flaredb ctl`` shares: options valid at every place, ids and keys, words that stand alone.

``-u/--pd`` and ``-o`` may stand anywhere, as pd-ctl's do. A group may be followed by an id: ``store 4``.
"""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import click

from flaredb.cli.ctl.output import FORMS, Facts, Table, show
from flaredb.model.keys import parse_key, parse_key_list

if TYPE_CHECKING:
    from flaredb.cli.ctl.http import Pd

ENVIRONMENT = "FLAREDB_PD"
DEFAULT_PD = "http://127.0.0.1:2379"


@dataclass(slots=True)
class Session:
    """What the options say, and the PD they name."""

    urls: str = ""
    form: str = ""
    _pd: Pd | None = field(default=None)

    @property
    def pd(self) -> Pd:
        """The PD named, or the usual one."""
        if self._pd is None:
            from flaredb.cli.ctl.http import Pd

            self._pd = Pd(self.urls or DEFAULT_PD)
        return self._pd

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


def _common_options(is_root: bool) -> list[click.Option]:
    return [
        click.Option(
            ["-u", "--pd"],
            metavar="URL",
            envvar=ENVIRONMENT if is_root else None,
            expose_value=False,
            callback=_set_urls,
            hidden=not is_root,
            help=f"address of PD, several with commas between; also {ENVIRONMENT}  [default: {DEFAULT_PD}]",
        ),
        click.Option(
            ["-o", "--output"],
            type=click.Choice(FORMS),
            expose_value=False,
            callback=_set_form,
            hidden=not is_root,
            help="form of the answer  [default: table on a terminal, else tsv]",
        ),
    ]


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


class CtlCommand(click.Command):
    """A command that takes the common options too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common_options(is_root=False)


class CtlGroup(click.Group):
    """A group that takes the common options too, and names the nearest word for one it does not know.

    With a command called ``show``: a group alone, or followed by a number, means it.
    """

    is_root = False
    command_class: ClassVar[type[click.Command]] = CtlCommand  # type: ignore[misc]

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
        """As click does; a number is an argument of ``show``."""
        if args[0].isdigit() and "show" in self.list_commands(context):
            return "show", self.get_command(context, "show"), args
        if self.get_command(context, args[0]) is None and not args[0].startswith("-"):
            known = self.list_commands(context)
            near = difflib.get_close_matches(args[0], known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            if not near and self._takes_id(context):
                hint += ", or an id"
            context.fail(f'"{args[0]}" is not known here: {hint}')
        return super().resolve_command(context, args)

    def _takes_id(self, context: click.Context) -> bool:
        show = self.get_command(context, "show")
        return show is not None and any(param.type is ID for param in show.params)


def _words(args: list[str]) -> list[str]:
    """What is left of the arguments of a group without the common options before the first word."""
    rest = list(args)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in ("-u", "--pd", "-o", "--output") and rest:
            rest.pop(0)
    return rest


class LazyGroup(CtlGroup):
    """A group whose commands are loaded when they are called: ``places`` maps a word to "module:name"."""

    is_root = True

    def __init__(self, *args: Any, places: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = places
        """word -> (module:name, short help)."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """The words, in the order given."""
        return list(self._places)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Load a command."""
        if name not in self._places:
            return None
        module, _, attribute = self._places[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """The words and what they are for, without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._places.items()])


class KeyType(click.ParamType):  # type: ignore[type-arg]
    """A key in any notation (model/keys.py); with ``many``, several with commas between."""

    name = "key"

    def __init__(self, many: bool = False) -> None:
        self._many = many

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        """The bytes."""
        if not isinstance(value, str):
            return value
        try:
            return parse_key_list(value) if self._many else parse_key(value)
        except ValueError as error:
            self.fail(str(error), param, context)


KEY = KeyType()
KEYS = KeyType(many=True)
