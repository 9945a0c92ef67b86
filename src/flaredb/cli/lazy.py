"""Groups of commands that are loaded when they are called, so that a small command starts fast."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Places = dict[str, tuple[str, str]]
"""word -> ("module:name", what it is for, in a few words)."""


class HintingGroup(click.Group):
    """A group that names the nearest word for one it does not know."""

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does. Errors: UsageError with the nearest word, or all of them."""
        if self.get_command(context, args[0]) is None and not args[0].startswith("-"):
            import difflib

            known = self.list_commands(context)
            near = difflib.get_close_matches(args[0], known, 1)
            hint = f"did you mean {near[0]}?" if near else self._known(context, known)
            context.fail(f'"{args[0]}" is not known here: {hint}')
        return super().resolve_command(context, args)

    def _known(self, _context: click.Context, known: list[str]) -> str:
        return f"known are {', '.join(known)}"


class LazyCommands(HintingGroup):
    """A group that knows its commands by ``places`` only, until one of them is called."""

    def __init__(self, *args: Any, places: Places, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = places

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

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        """The words and options that begin so, without loading any command."""
        from click.shell_completion import CompletionItem

        words = [
            CompletionItem(name, help=text)
            for name, (_, text) in self._places.items()
            if name.startswith(incomplete) and not incomplete.startswith("-")
        ]
        return words + click.Command.shell_complete(self, context, incomplete)
