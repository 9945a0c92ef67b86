"""``flaredb ctl`` against a PD in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ctl.ctl_rig import CtlRig
from tests.rim.order_rig import running_rig


@pytest.fixture
async def ctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CtlRig]:
    for variable in ("FLAREDB_PD", "FLAREDB_URL"):
        monkeypatch.delenv(variable, raising=False)
    async with running_rig(tmp_path) as rig:
        yield CtlRig(rig)
