"""How leaders come to be: timeouts, pre-votes, votes, and who may be voted for.

Sources: paper sections 5.2 and 5.4.1; dissertation sections 4.2.3 (disruptive servers), 6.2 and 9.6 (pre-vote).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from . import follower, leader
from .errors import ProposalDropped
from .quorum import VoteResult
from .steps import step_table
from .types import INVALID_ID, Entry, EntryType, Message, MessageType, StateRole

if TYPE_CHECKING:
    from .raft import Raft

CAMPAIGN_PRE_ELECTION: Final = b"CampaignPreElection"
CAMPAIGN_ELECTION: Final = b"CampaignElection"
CAMPAIGN_TRANSFER: Final = b"CampaignTransfer"
"""Context of a vote request that the leader itself asked for: it overrides the loyalty to that leader."""

_SCAN_PAGE_BYTES: Final = 1 << 20


def tick_election(r: Raft) -> bool:
    """One tick without being leader; True when an election began."""
    if r.election_elapsed < r.randomized_election_timeout or not r.promotable:
        return False
    r.election_elapsed = 0
    hup(r, transfer=False)
    return True


def hup(r: Raft, transfer: bool) -> None:
    """Stand for election, unless it would be wrong to."""
    log = r.raft_log
    if r.state is StateRole.Leader:
        return
    if not r.promotable:
        r.trace("cannot campaign: not a voter")
        return
    if not transfer and _lease_promised(r):
        r.trace("cannot campaign: promised not to while the leader's lease may hold")
        return
    # What a snapshot covers counts as applied, although the application may still be installing it.
    low = max(log.applied + 1, log.first_index())
    if has_unapplied_conf_changes(r, low, log.committed + 1):
        r.trace(f"cannot campaign at term {r.term}: a committed configuration change is not applied yet")
        return
    if transfer:
        campaign(r, CAMPAIGN_TRANSFER)
    else:
        campaign(r, CAMPAIGN_PRE_ELECTION if r.pre_vote else CAMPAIGN_ELECTION)


def has_unapplied_conf_changes(r: Raft, low: int, high: int) -> bool:
    """True when a configuration change is among the committed entries low <= index < high that are not applied."""
    if r.raft_log.applied >= r.raft_log.committed or low >= high:
        return False
    found = False

    def visit(page: Sequence[Entry]) -> bool:
        nonlocal found
        found = any(e.entry_type != EntryType.EntryNormal for e in page)
        return not found

    r.raft_log.scan(low, high, _SCAN_PAGE_BYTES, visit)
    return found


def campaign(r: Raft, campaign_type: bytes) -> None:
    """Ask the voters. A transfer skips the pre-vote: the leader itself says that it is time."""
    if campaign_type == CAMPAIGN_PRE_ELECTION:
        r.become_pre_candidate()
        kind, term = MessageType.MsgRequestPreVote, r.term + 1
    else:
        r.become_candidate()
        kind, term = MessageType.MsgRequestVote, r.term
    if poll(r, r.id, granted=True) is VoteResult.Won:
        return
    log = r.raft_log
    context = CAMPAIGN_TRANSFER if campaign_type == CAMPAIGN_TRANSFER else b""
    for voter in r.prs.conf.voters.ids():
        if voter != r.id:
            ask = Message(kind, voter, 0, term, log.tail_term, log.tail_index, context=context)
            r.send(ask)


def poll(r: Raft, node_id: int, granted: bool) -> VoteResult:
    """Count a vote and act on the outcome."""
    r.prs.record_vote(node_id, granted)
    yes, no, result = r.prs.tally_votes()
    if node_id != r.id:
        r.trace(f"has {yes} votes for and {no} against at term {r.term}")
    if result is VoteResult.Won:
        if r.state is StateRole.PreCandidate:
            campaign(r, CAMPAIGN_ELECTION)
        else:
            r.become_leader()
            leader.bcast_append(r)
    elif result is VoteResult.Lost:
        # A refused pre-vote may carry a later term; that was settled before. Here the own term stays.
        r.become_follower(r.term, INVALID_ID)
    return result


def keeps_to_leader(r: Raft, m: Message) -> bool:
    """True when a vote request is ignored because a leader is, or may be, in charge.

    Source: dissertation section 4.2.3: a server that heard from a leader within the minimum election timeout neither
    raises its term nor grants its vote, so removed or partitioned nodes do not depose working leaders.
    """
    if not r.check_quorum or m.context == CAMPAIGN_TRANSFER:
        return False
    if r.leader_id != INVALID_ID and r.election_elapsed < r.election_timeout:
        return True
    return _lease_promised(r)


def _lease_promised(r: Raft) -> bool:
    """Where promises are kept, a heartbeat answered is one to elect nobody else for an election timeout.

    It outlives changes of term, and a restart, after which a node cannot know what it promised.
    """
    return r.keeps_promises and r.ticks_since_leader < r.election_timeout


def handle_vote_request(r: Raft, m: Message) -> None:
    """Grant or refuse a vote or pre-vote.

    Granted if this node can still vote in that term, the candidate's log is at least as up to date (paper section
    5.4.1), and no higher priority of its own stands against it. The answer waits for the vote to be persisted.
    """
    pre = m.msg_type == MessageType.MsgRequestPreVote
    answer = MessageType.MsgRequestPreVoteResponse if pre else MessageType.MsgRequestVoteResponse
    if r.keeps_promises and keeps_to_leader(r, m):
        return
    if _can_vote(r, m, pre) and _deserves_vote(r, m):
        # With the request's term: a pre-candidate's own term is lower, and it drops answers of other terms.
        r.send(Message(answer, m.from_, term=m.term))
        if not pre:
            r.election_elapsed = 0
            r.vote = m.from_
        r.trace(f"grants {m.msg_type.name} to {m.from_} at term {m.term}")
    else:
        r.send(_refusal(r, answer, m.from_))
        r.trace(f"refuses {m.msg_type.name} to {m.from_} at term {m.term}")


def _refusal(r: Raft, answer: MessageType, to: int) -> Message:
    """A refused vote, with the commit index and the term of its entry: it may be what the candidate lacks."""
    log = r.raft_log
    refusal = Message(answer, to, term=r.term, commit=log.committed, reject=True)
    if log.committed:
        refusal.log_term = log.term(log.committed)
    return refusal


def _learn_commit(r: Raft, m: Message) -> None:
    """Commit up to the committed entry that a refusal names, if it is in the own log.

    A voter may have been left with a removed member whose log is longer: it needs that vote only because it does not
    know that the removal is committed. If what it learns holds a configuration change, the election ends: its voters
    may not be the right ones.
    """
    log = r.raft_log
    before = log.committed
    if r.state is StateRole.Leader or not m.log_term or not log.maybe_commit(m.commit, m.log_term):
        return
    r.trace(f"learns that entries up to {log.committed} are committed")
    if r.state is not StateRole.Follower and has_unapplied_conf_changes(r, before + 1, log.committed + 1):
        r.become_follower(r.term, INVALID_ID)


def _can_vote(r: Raft, m: Message, pre: bool) -> bool:
    """One vote per term (paper section 5.2): a repeated request of the same candidate is granted again."""
    if r.vote == m.from_:
        return True
    if pre and m.term > r.term:
        return True
    return r.vote == INVALID_ID and r.leader_id == INVALID_ID


def _deserves_vote(r: Raft, m: Message) -> bool:
    log = r.raft_log
    if not log.is_up_to_date(m.index, m.log_term):
        return False
    return m.index > log.tail_index or r.priority <= m.priority


# Steps of candidates and pre-candidates.


def _propose(r: Raft, _m: Message) -> None:
    raise ProposalDropped(f"no leader at term {r.term}")


def _vote_response(r: Raft, m: Message) -> None:
    wanted = (
        MessageType.MsgRequestPreVoteResponse
        if r.state is StateRole.PreCandidate
        else MessageType.MsgRequestVoteResponse
    )
    # In one term there may be late answers to the pre-vote that came before the vote.
    if m.msg_type == wanted:
        poll(r, m.from_, not m.reject)
        if m.reject:
            _learn_commit(r, m)


def _hup(r: Raft, _m: Message) -> None:
    hup(r, transfer=False)


def _return_to(step: Callable[[Raft, Message], None]) -> Callable[[Raft, Message], None]:
    """A message of this term's leader ends the candidacy (paper section 5.2)."""

    def return_and_step(r: Raft, m: Message) -> None:
        r.become_follower(r.term, m.from_)
        step(r, m)

    return return_and_step


STEPS: Final = step_table(
    {
        MessageType.MsgHup: _hup,
        MessageType.MsgRequestVote: handle_vote_request,
        MessageType.MsgRequestPreVote: handle_vote_request,
        MessageType.MsgPropose: _propose,
        MessageType.MsgAppend: _return_to(follower.step_append),
        MessageType.MsgHeartbeat: _return_to(follower.step_heartbeat),
        MessageType.MsgSnapshot: _return_to(follower.step_snapshot),
        MessageType.MsgRequestVoteResponse: _vote_response,
        MessageType.MsgRequestPreVoteResponse: _vote_response,
    }
)
