"""Figures of moves, run tiny on real clusters so that they cannot rot; no figure is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import move_rig, moves
from flaredb.cli.probe import asked_again, status_json

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("CLIENTS", 2), ("BEFORE_SECONDS", 1.5), ("STILL_SECONDS", 0.5)):
        monkeypatch.setattr(moves, name, value)
    for module in (move_rig, moves):
        monkeypatch.setattr(module, "status_json", patient_status)


def patient_status(address: str, path: str) -> Any:
    """A store may stand still for longer than one question waits."""
    return asked_again(lambda: status_json(address, path), 30)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that stands still for a few seconds is not down: its replicas stay."""
    schedule = {**move_rig.QUICK_SCHEDULE, "max-store-down-time": "10m"}
    monkeypatch.setattr(move_rig, "QUICK_SCHEDULE", schedule)


@pytest.mark.usefixtures("patient")
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


@pytest.mark.usefixtures("patient")
def test_a_giant_arrives_whole(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    moves.giant(2, 4, str(tmp_path))
    out = capsys.readouterr().out
    assert "rows installed: 4,032 of 4,032" in out
    assert out.count("MiB resident before") == 4
