"""Every fenced block of README.md and docs/ is run: consoles as typed, settings as read, Python in test_guide.py."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from flaredb.cli.waiting import pause
from flaredb.server.settings import load_pd_settings, load_store_settings
from tests.docs.blocks import Block, Command, blocks_of, commands_of, same_shape
from tests.docs.shell import Shell
from tests.tidy.sources import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN_BY = "shown by "
LOOKS = re.compile(r"flaredb (status|ctl why .*|ctl (store|region))")
"""What these show of a cluster that has just started, or changed, may take PD a moment to hear."""

SETTLE_S = 45.0


def _with(*kinds: str) -> list[Path]:
    return [path for path in DOCUMENTS if any(block.kind in kinds for block in blocks_of(path))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_is_of_a_kind_that_is_run(document: Path) -> None:
    for block in blocks_of(document):
        assert block.kind in ("console", "python", "toml"), f"line {block.line}: a block says what it is"
        if block.how.startswith(SHOWN_BY):
            assert (ROOT / block.how.removeprefix(SHOWN_BY)).exists(), block.how


@pytest.mark.process
@pytest.mark.timeout(300)
@pytest.mark.parametrize("document", _with("console"), ids=lambda path: path.name)
def test_consoles(document: Path, tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    try:
        for block in blocks_of(document):
            if block.kind == "toml":
                (tmp_path / "flaredb.toml").write_text(block.text, encoding="utf-8")
            elif block.kind == "console" and not block.how.startswith(SHOWN_BY):
                _run(shell, block)
    finally:
        shell.close()


def _run(shell: Shell, block: Block) -> None:
    for command in commands_of(block):
        where = f"line {block.line}: {command.text}"
        if block.how == "stays":
            wrong = _wrong(command, 0, shell.start(command.text, command.shown[-1]))
        elif LOOKS.fullmatch(command.text):
            end_s = time.monotonic() + SETTLE_S
            while (wrong := _wrong(command, *shell.run(command.text))) and time.monotonic() < end_s:
                pause(0.2)
        else:
            wrong = _wrong(command, *shell.run(command.text))
        assert not wrong, f"{where}: {wrong}"


def _wrong(command: Command, status: int, printed: list[str]) -> str:
    """What is not as shown; "" if all is."""
    shown, wanted = list(command.shown), 0
    if shown and shown[-1].startswith("exit status "):
        wanted = int(shown.pop().removeprefix("exit status "))
    if status != wanted:
        return f"exit status {status}, {printed}"
    if (shown or not printed) and not same_shape(shown, printed):
        return "\n".join(["printed:", *printed])
    return ""


@pytest.mark.parametrize("document", _with("toml"), ids=lambda path: path.name)
def test_settings(document: Path, tmp_path: Path) -> None:
    file = tmp_path / "flaredb.toml"
    for block in blocks_of(document):
        if block.kind == "toml":
            file.write_text(block.text, encoding="utf-8")
            (load_pd_settings if block.how == "pd" else load_store_settings)(file, {})


def test_shapes() -> None:
    assert same_shape(["Ready in 0.62 s."], ["Ready in 1.1 s."])
    assert same_shape(["a", "...", "z"], ["a", "b", "c", "z"])
    assert same_shape(["a", "..."], ["a"])
    assert same_shape(["store 4 is ... away"], ["store 7 is far away"])
    assert not same_shape(["Ready in 0.62 s."], ["Ready soon."])
    assert not same_shape(["a"], ["a", "b"])
