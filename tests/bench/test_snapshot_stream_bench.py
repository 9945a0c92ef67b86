"""The benchmark of snapshots, run tiny so that it cannot rot."""

import pytest

from bench import snapshot_stream


def test_runs_and_prints_three_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert snapshot_stream.main(["--mib", "1", "--rounds", "1"]) > 0
    assert len(capsys.readouterr().out.splitlines()) == 3
