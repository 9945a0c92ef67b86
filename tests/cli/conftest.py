"""Command lines on rows in memory."""

from __future__ import annotations

import pytest

from tests.cli.rig import Rig


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    for variable in ("FLAREDB_PD", "FLAREDB_URL"):
        monkeypatch.delenv(variable, raising=False)
    return Rig(monkeypatch)
