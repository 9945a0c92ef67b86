"""Fenced blocks of documents, and what a comment before a block says about running it.

<!-- run: stays -->            the command goes on serving (flaredb demo); it is stopped at the document's end
<!-- run: shown by FILE -->    another test runs this and looks at it; FILE exists
<!-- run: pd -->               (toml) settings of PD, not of a store
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"(?:^<!-- run: (?P<how>[^>]*?) -->\n+)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. ``line`` is where it begins, from 1; ``how`` is "" without a comment."""

    kind: str
    how: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a console block and the lines that are shown below it."""

    text: str
    shown: tuple[str, ...]


def blocks_of(document: Path) -> list[Block]:
    """All fenced blocks of a document, in order."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(match["kind"], match["how"] or "", match["text"], text.count("\n", 0, match.start("kind")) + 1)
        for match in _FENCE.finditer(text)
    ]


def commands_of(block: Block) -> list[Command]:
    """The commands of a console block: lines after "$ ", gone on with after a backslash."""
    commands: list[tuple[str, list[str]]] = []
    going_on = False
    for line in block.text.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif going_on:
            commands[-1] = (commands[-1][0] + "\n" + line, [])
        else:
            assert commands, f"line {block.line}: a console block begins with a command"
            commands[-1][1].append(line)
        going_on = line.endswith("\\") and not commands[-1][1]
    return [Command(text, tuple(shown)) for text, shown in commands]


def same_shape(shown: tuple[str, ...] | list[str], printed: list[str]) -> bool:
    """True if ``printed`` is what a document shows, but for numbers, blanks, random names, and what "..." stands for.

    A line of "..." alone stands for any lines; "..." within a line for any text.
    """
    wanted = "\n".join(_shape(line) for line in shown).strip("\n")
    found = "\n".join(_shape(line) for line in printed).strip("\n")
    pattern = re.escape(wanted)
    pattern = re.sub(r"(?m)^\\\.\\\.\\\.(\n|\\\n|$)", "(?:.*\n)*?", pattern)
    return re.fullmatch(pattern.replace(r"\.\.\.", ".*"), found + ("\n" if pattern.endswith("*?") else "")) is not None


def _shape(line: str) -> str:
    line = re.sub(r"\S*/(flaredb|bash|pytest)-\S+?(?=[/\s,]|$)", "TEMPORARY", line)
    line = re.sub(r"\b[0-9a-f]{16}\b", "0", line)
    line = re.sub(r"\d+(,\d{3})*(\.\d+)?", "0", line)
    line = re.sub(r"[─━-]{3,}", "---", line)
    return re.sub(r"\s+", " ", line).strip()
