"""Settings that contradict each other are refused, with the name of the setting."""

from __future__ import annotations

import pytest

from flaredb.raft import Config, ConfigInvalid, ReadOnlyOption

from .group import config


def test_defaults_are_valid_for_any_id() -> None:
    Config(id=1).validate()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"id": 0}, "id"),
        ({"heartbeat_tick": 0}, "heartbeat_tick"),
        ({"heartbeat_tick": 10}, "election_tick"),
        ({"min_election_tick": 9}, "min_election_tick"),
        ({"min_election_tick": 20}, "max_election_tick"),
        ({"max_election_tick": 10}, "max_election_tick"),
        ({"max_inflight_msgs": 0}, "max_inflight_msgs"),
        ({"max_inflight_bytes": 0}, "max_inflight_bytes"),
        ({"max_inflight_bytes": 10, "max_size_per_msg": 11}, "max_inflight_bytes"),
        ({"max_pending_reads": 0}, "max_pending_reads"),
        ({"read_only_option": ReadOnlyOption.LeaseBased}, "check_quorum"),
        ({"max_uncommitted_size": 10, "max_size_per_msg": 11}, "max_uncommitted_size"),
        ({"applied": -1}, "applied"),
    ],
)
def test_contradictions(options: dict[str, object], named: str) -> None:
    made = config(1)
    for name, value in options.items():
        setattr(made, name, value)
    with pytest.raises(ConfigInvalid, match=named):
        made.validate()


def test_the_timeout_interval_follows_the_election_timeout() -> None:
    assert (config(1).min_election_ticks(), config(1).max_election_ticks()) == (10, 20)
    wide = config(1, min_election_tick=11, max_election_tick=15)
    assert (wide.min_election_ticks(), wide.max_election_ticks()) == (11, 15)
