"""Runs command lines in this process, on rows in memory."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

import pytest

from flaredb.cli.main import main
from flaredb.testing import AsyncMemoryClient, MemoryClient
from flaredb.testing.memory import MemoryStore


@dataclass(slots=True)
class Ran:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


def run(*arguments: str) -> Ran:
    """A command line, as a process would run it."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    out.flush()
    printed = out.buffer
    assert isinstance(printed, io.BytesIO)
    return Ran(ended.value.code, printed.getvalue().decode("utf-8", "surrogateescape"), err.getvalue())


class Rig:
    """Commands and a client of the same rows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.store = MemoryStore()
        self.db = MemoryClient(self.store)
        self.addresses: list[str] = []
        monkeypatch.setattr("flaredb.cli.kv.calls.open_client", self.open_client)

    def open_client(self, addresses: str) -> AsyncMemoryClient:
        """Instead of a client of a cluster."""
        self.addresses.append(addresses)
        return AsyncMemoryClient(self.store)

    def stdin(self, data: bytes, is_terminal: bool = False) -> None:
        """What the next command reads."""
        stdin = io.TextIOWrapper(io.BytesIO(data), "utf-8")
        if is_terminal:
            stdin.isatty = lambda: True  # type: ignore[method-assign]
        self._monkeypatch.setattr("sys.stdin", stdin)

    def kv(self, *arguments: str) -> Ran:
        """``flaredb kv``."""
        return run("kv", *arguments)

    def done(self, *arguments: str) -> str:
        """What ``flaredb kv`` prints; it must succeed without a word of complaint."""
        ran = self.kv(*arguments)
        assert (ran.code, ran.err) == (0, ""), ran
        return ran.out
