"""The benchmark of the Raft core, run tiny so that it cannot rot; only the memory of a group is judged here."""

import pytest

from bench import raft_core


def test_runs_and_prints_three_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert raft_core.main(["--seconds", "0.02", "--groups", "20"]) == 0
    assert capsys.readouterr().out.count("raft core,") == 3


def test_every_member_hands_out_every_entry() -> None:
    group = raft_core.Group()
    group.nodes[1].propose_batch([b"a", b"b", b"c"])
    group.settle()
    assert group.applied == {1: 4, 2: 4, 3: 4}


def test_an_idle_group_stays_below_six_kilobytes() -> None:
    assert raft_core.idle_group_bytes(200) < raft_core.IDLE_BYTES_MAX
