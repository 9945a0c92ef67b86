"""R8. Pre-vote with check-quorum never elected anybody (etcd 8243 and 8334, raft-rs 84; in a joint configuration
openraft 1796): two members that each refuse, or do not hear, what the other asks.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import pytest

from flaredb.raft import ConfState, HardState, MemStorage, MessageType, RawNode, StateRole
from flaredb.raft.raft import Raft
from tests.raft import test_historic
from tests.raft.group import Group, config, log_of
from tests.scenarios.promises import breaks, promise

M = MessageType
OPTIONS: dict[str, Any] = {"pre_vote": True, "check_quorum": True}
ELECTION_TIMEOUTS_MAX = 5
SIMPLE, JOINT = ConfState([1, 2, 3]), ConfState([1, 2, 3], voters_outgoing=[1, 2, 4])


def silence_for_older_terms() -> AbstractContextManager[Any]:
    """Messages of older terms are dropped without an answer."""
    return patch.object(Raft, "_answer_stale", lambda self, m: None)


@contextlib.contextmanager
def pre_votes_in_the_own_term() -> Iterator[None]:
    """A granted pre-vote names the term of the voter, not the one that was asked about; and older terms get no answer,
    or the voter would soon have the term of whoever asks it.
    """
    whole = Raft.send

    def send(self: Raft, m: Any) -> None:
        if m.msg_type == M.MsgRequestPreVoteResponse:
            m.term = self.term
        whole(self, m)

    with silence_for_older_terms(), patch.object(Raft, "send", send):
        yield


def member(i: int, conf: ConfState, terms: list[int], hard_state: HardState) -> RawNode:
    store = MemStorage.new_with_conf_state(conf.copy())
    store.append(log_of(*terms))
    store.set_hardstate(hard_state)
    return RawNode(config(i, applied=hard_state.commit, **OPTIONS), store, random.Random(i))


def quorum_returns(first: RawNode, second: RawNode) -> None:
    """Two members that are a quorum can hear each other again; all others are gone."""
    nodes = {first.raft.id: first, second.raft.id: second}
    group = Group(nodes)
    for _ in range(ELECTION_TIMEOUTS_MAX * first.raft.election_timeout):
        for node in nodes.values():
            node.tick()
        group.settle()
        if any(node.raft.state is StateRole.Leader for node in nodes.values()):
            return
    states = [(node.raft.state.name, node.raft.term) for node in nodes.values()]
    promise(False, f"no leader {ELECTION_TIMEOUTS_MAX} election timeouts after the quorum is back: {states}")


def low_term_returns(conf: ConfState) -> None:
    """The leader dies as a member of a much lower term, with a shorter log, returns."""
    quorum_returns(member(2, conf, [1, 1], HardState(5, 0, 2)), member(1, conf, [1], HardState(1, 0, 1)))


def longest_log_at_a_lower_term(conf: ConfState) -> None:
    """One member has the longest log, the other the highest term."""
    quorum_returns(member(1, conf, [1, 1, 1], HardState(1, 0, 1)), member(2, conf, [1], HardState(8, 2, 1)))


CONFIGURATIONS = pytest.mark.parametrize("conf", [SIMPLE, JOINT], ids=["simple", "joint"])


@CONFIGURATIONS
def test_r08_a_quorum_of_any_terms_and_logs_elects_a_leader(conf: ConfState) -> None:
    low_term_returns(conf)
    longest_log_at_a_lower_term(conf)


def test_r08_a_member_of_a_higher_term_finds_back_into_its_group() -> None:
    test_historic.test_a_returning_node_of_a_higher_term_does_not_stay_outside_for_ever()


@CONFIGURATIONS
def test_r08_without_answers_to_older_terms_nobody_is_elected(conf: ConfState) -> None:
    breaks(lambda: longest_log_at_a_lower_term(conf), silence_for_older_terms, "no leader 5 election timeouts")
    replay = test_historic.test_a_returning_node_of_a_higher_term_does_not_stay_outside_for_ever
    breaks(replay, silence_for_older_terms, "== 1")


@CONFIGURATIONS
def test_r08_without_the_asked_term_in_pre_votes_nobody_is_elected(conf: ConfState) -> None:
    breaks(lambda: low_term_returns(conf), pre_votes_in_the_own_term, "no leader 5 election timeouts")
