"""Figures of moves, run tiny on real clusters so that they cannot rot; no figure is judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import moves

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("CLIENTS", 2), ("BEFORE_SECONDS", 0.3), ("STILL_SECONDS", 0.5)):
        monkeypatch.setattr(moves, name, value)


def test_a_move_is_told_phase_by_phase(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    moves.move(1, 1, 1024, data_dir=str(tmp_path))
    out = capsys.readouterr().out
    for phase in ("learner is a member", "snapshot sent", "rows installed", "operator ended", "puts/s"):
        assert phase in out, out
    assert "; 0 of" in out
    assert out.count("plain copy") == 2


def test_a_store_grows_into_the_cluster_and_another_dies(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    moves.grow(6, 1, str(tmp_path))
    moves.dead(3, 1, str(tmp_path))
    out = capsys.readouterr().out
    assert "until nothing moves" in out
    assert "three live replicas of each" in out


def test_a_giant_arrives_whole(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    moves.giant(2, 4, str(tmp_path))
    out = capsys.readouterr().out
    assert "rows installed: 4,032 of 4,032" in out
    assert out.count("MiB resident before") == 4
