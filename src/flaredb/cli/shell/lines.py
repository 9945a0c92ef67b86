"""One line of a shell: parsed by click, carried out, told as a process of its own would tell it."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable
from typing import Any

import click

from flaredb.cli.exits import EXIT_DONE, EXIT_FAILURE, EXIT_NO
from flaredb.cli.grammar import Session
from flaredb.cli.guard import guarded
from flaredb.cli.kv.command import COMMANDS as KV_COMMANDS
from flaredb.cli.lazy import LazyCommands, Places
from flaredb.cli.shell.caller import ShellCaller
from flaredb.cli.shell.words import word_of, words_of

RECENT_MAX = 1_000

_TOPOLOGY = "flaredb.cli.shell.topology"
COMMANDS: Places = {
    **KV_COMMANDS,
    "where": (f"{_TOPOLOGY}:where", "the region, leader and stores of a key"),
    "regions": (f"{_TOPOLOGY}:regions", "the regions, in key order"),
    "stores": (f"{_TOPOLOGY}:stores", "the stores"),
}
LEAVING = ("exit", "quit", "\\q")
INTRODUCTION = """\
Keys and values: text, b'a\\x00', hex:6100, b64:YQA=; quotes hold words with spaces together.
"help get" tells more of a command; Ctrl-C ends one, Ctrl-D or exit leaves.
"""


class Leave(Exception):
    """The user wants to leave."""


class Lines:
    """Carries out lines with one connection. ``recent``: keys that were met, the latest last, as words."""

    def __init__(self, session: Session, caller: ShellCaller) -> None:
        self._session = session
        self.recent: deque[str] = deque(maxlen=RECENT_MAX)
        session.caller = caller
        session.on_key = self._met
        self.commands = LazyCommands(
            "", places=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}, add_help_option=False
        )

    def run(self, line: str, place: str = "") -> int:
        """The exit status of a line; 0 for an empty one or a comment. Errors: Leave."""
        line = line.strip()
        if not line or line.startswith("#"):
            return EXIT_DONE
        if line.rstrip(";") in LEAVING:
            raise Leave
        return guarded(lambda: self._run(line), place)

    def _run(self, line: str) -> Any:
        try:
            words = words_of(line)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        if words[0] in ("help", "?"):
            return self._help(words[1:])
        # Options of one line, such as -o, end with it.
        session = dataclasses.replace(self._session)
        return self.commands.main(words, prog_name="", standalone_mode=False, obj=session)

    def _help(self, words: list[str]) -> Any:
        if words:
            return self.commands.main([words[0], "--help"], prog_name="", standalone_mode=False)
        width = max(map(len, COMMANDS))
        for name, (_, text) in COMMANDS.items():
            click.echo(f"  {name:<{width}}  {text}")
        click.echo(f"\n{INTRODUCTION}", nl=False)
        return EXIT_DONE

    def _met(self, key: bytes) -> None:
        word = word_of(key)
        if self.recent and self.recent[-1] == word:
            return
        self.recent.append(word)


def run_all(lines: Lines, texts: Iterable[str], stop_on_error: bool) -> int:
    """Carry out lines where nobody watches; the exit status: 0 only if none has failed.

    That a key has no value, or not the one expected, is an answer and no failure. ``stop_on_error``: the first line
    that fails is the last, and has its status.
    """
    status = EXIT_DONE
    for number, text in enumerate(texts, 1):
        try:
            ended = lines.run(text, f"line {number}: ")
        except Leave:
            break
        if ended not in (EXIT_DONE, EXIT_NO):
            if stop_on_error:
                return ended
            status = EXIT_FAILURE
    return status
