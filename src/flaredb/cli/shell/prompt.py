"""The shell on a terminal: prompt, history, completion, and how long each command took."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from flaredb.cli.exits import EXIT_DONE
from flaredb.cli.kv.progress import time_text
from flaredb.cli.shell.lines import COMMANDS, LEAVING, Leave, Lines

HISTORY_VARIABLE = "FLAREDB_SHELL_HISTORY"


def talk(lines: Lines, name: str) -> int:
    """Ask for lines and carry them out, until the user leaves."""
    session: PromptSession[str] = PromptSession(
        history=_history(),
        completer=ShellCompleter(lines),
        complete_while_typing=False,
        auto_suggest=AutoSuggestFromHistory(),
    )
    prompt = FormattedText([("ansicyan", "flaredb"), ("", f" {name}> ")])
    while True:
        try:
            line = session.prompt(prompt)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return EXIT_DONE
        began_s = time.monotonic()
        try:
            lines.run(line)
        except Leave:
            return EXIT_DONE
        except Exception as error:  # a fault of ours must not end the user's work
            click.echo(f"flaredb: unexpected {type(error).__name__}: {error}", err=True)
        if line.strip():
            click.secho(f"({time_text(time.monotonic() - began_s)})", dim=True)


class ShellCompleter(Completer):
    """Commands, then options of the command, then keys that were met lately."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def get_completions(self, document: Document, _event: CompleteEvent | None) -> Iterable[Completion]:
        """Completions of the word before the cursor."""
        before = document.text_before_cursor.lstrip()
        command, space, rest = before.partition(" ")
        if not space:
            yield from _starting(command, [(name, text) for name, (_, text) in COMMANDS.items()])
            yield from _starting(command, [("help", "what there is"), (LEAVING[0], "leave")])
            return
        word = rest.rpartition(" ")[2]
        if command == "help":
            yield from _starting(word, [(name, text) for name, (_, text) in COMMANDS.items()])
        elif word.startswith("-") and "=" not in word:
            yield from _starting(word, self._options(command))
        elif command in COMMANDS:
            start = word.partition("=")[2] if word.startswith("--") else word
            yield from _starting(start, [(key, "") for key in dict.fromkeys(reversed(self._lines.recent))])

    def _options(self, name: str) -> list[tuple[str, str]]:
        group = self._lines.commands
        command = group.get_command(click.Context(group), name)
        options = [param for param in command.params if isinstance(param, click.Option)] if command else []
        return [(option.opts[-1], option.help or "") for option in options if not option.hidden]


def _starting(start: str, words: Iterable[tuple[str, str]]) -> Iterable[Completion]:
    for word, meaning in words:
        if word.startswith(start):
            yield Completion(word, start_position=-len(start), display_meta=meaning)


def _history() -> History:
    """Of all shells of this user. Without a place to keep it: of this one only."""
    path = _history_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return _Discreet(str(path))


def _history_path() -> Path:
    named = os.environ.get(HISTORY_VARIABLE)
    if named:
        return Path(named)
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "flaredb" / "shell_history"


class _Discreet(FileHistory):
    """Keeps no line that begins with a space, as the shells of Unix do."""

    def store_string(self, string: str) -> Any:
        """Keep a line."""
        if not string.startswith(" "):
            super().store_string(string)
