"""Runs the command line in a thread, beside the PD that it asks."""

from __future__ import annotations

import asyncio
import contextlib
import io
from dataclasses import dataclass

import pytest

from flaredb.cli.main import main
from tests.rim.order_rig import OrderRig


@dataclass(slots=True)
class Ran:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """Tab-separated values."""
        return [line.split("\t") for line in self.out.splitlines()]


class CtlRig:
    def __init__(self, rig: OrderRig) -> None:
        self.fake = rig.fake
        self.pd = rig.pd

    async def run(self, *arguments: str) -> Ran:
        """``flaredb ctl`` with the rig's PD."""
        return await asyncio.to_thread(run, "-u", f"127.0.0.1:{self.pd.port}", *arguments)

    async def done(self, *arguments: str) -> Ran:
        """The same, which must succeed without a word of complaint."""
        ran = await self.run(*arguments)
        assert (ran.code, ran.err) == (0, ""), ran
        return ran


def run(*arguments: str) -> Ran:
    """``flaredb ctl`` as a process would run it."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(["ctl", *arguments])
    assert isinstance(ended.value.code, int)
    return Ran(ended.value.code, out.getvalue(), err.getvalue())
