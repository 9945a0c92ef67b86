"""The figures of a cold start, run tiny so that they cannot rot; no figure is judged."""

from __future__ import annotations

import pytest

from bench import cold_start


@pytest.mark.process
def test_each_command_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    cold_start.main(["--runs", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line[:20].strip() for line in lines[1:4]] == ["flaredb --version", "flaredb kv get", "flaredb ctl store"]
