"""What must hold of a node between any two calls. Tests and the simulator ask after every step."""

from __future__ import annotations

from collections.abc import Iterator

from .confchange import check_configuration
from .errors import ConfChangeError, RaftInvariantError, StorageError
from .progress import Progress, ProgressState
from .raft import Raft
from .raw_node import RawNode
from .types import INVALID_ID, StateRole


def check_invariants(node: RawNode | Raft) -> None:
    """Check every rule that a single node can check of itself.

    Errors: RaftInvariantError that lists all broken rules.
    """
    r = node.raft if isinstance(node, RawNode) else node
    broken = [*_role(r), *_log(r), *_members(r)]
    if broken:
        raise RaftInvariantError(f"node {r.id} at term {r.term}: " + "; ".join(broken))


def _rules(*rules: tuple[bool, str]) -> list[str]:
    return [text for holds, text in rules if not holds]


def _role(r: Raft) -> list[str]:
    leads = r.state is StateRole.Leader
    stands = r.state in (StateRole.Candidate, StateRole.PreCandidate)
    return _rules(
        (not leads or r.leader_id == r.id, "a leader names another leader"),
        (leads or r.leader_id != r.id, "names itself leader without leading"),
        (not stands or r.leader_id == INVALID_ID, "a candidate knows a leader"),
        (r.state is not StateRole.Candidate or r.vote == r.id, "a candidate voted for another"),
        (not leads or r.promotable, "leads without being a voter"),
        (leads or r.lead_transferee is None, "transfers a leadership it does not have"),
        (
            r.lead_transferee is None or r.lead_transferee in r.prs.conf.voters.incoming,
            "transfers leadership to a member that is no voter",
        ),
        (leads or not r.read_only.pending_read_index, "holds reads without leading"),
        (r.promotable == (r.id in r.prs.conf.voters), "promotable does not follow from the configuration"),
        (r.pending_request_snapshot == 0 or not leads, "a leader wants a snapshot"),
        (r.min_election_timeout <= r.randomized_election_timeout < r.max_election_timeout, "timeout out of range"),
    )


def _log(r: Raft) -> Iterator[str]:
    log = r.raft_log
    unstable = log.unstable
    tail = unstable.maybe_last_index()
    if log.committed > log.tail_index:
        yield f"committed {log.committed} beyond the log's end {log.tail_index}"
    if log.persisted >= unstable.offset:
        yield f"persisted {log.persisted} reaches unstable {unstable.offset}"
    if tail is not None and tail != log.tail_index:
        yield f"tail {log.tail_index} is not the last unstable entry {tail}"
    if log.tail_term > r.term:
        yield f"last entry of term {log.tail_term} is from the future"
    if unstable.snapshot is not None and unstable.snapshot.metadata.index >= unstable.offset:
        yield "unstable entries before the snapshot"
    before = unstable.offset - 1
    term = 0
    for entry in unstable.entries:
        if entry.index != before + 1 or entry.term < term:
            yield f"unstable entry ({entry.index},{entry.term}) after ({before},{term})"
        before, term = entry.index, entry.term
    if tail is None:
        try:
            stored = (log.store.last_index(), log.store.term(log.store.last_index()))
        except StorageError as e:
            stored = (0, 0)
            yield f"storage cannot tell the last term: {e}"
        if stored != (log.tail_index, log.tail_term):
            yield f"storage ends at {stored}, the log at {(log.tail_index, log.tail_term)}"


def _members(r: Raft) -> Iterator[str]:
    conf = r.prs.conf
    try:
        check_configuration(conf)
    except ConfChangeError as e:
        yield str(e)
    if list(r.prs.progress) != sorted(conf.members()):
        yield f"progress of {list(r.prs.progress)}, members are {sorted(conf.members())}"
    if r.state is StateRole.Leader:
        for node_id, pr in r.prs.progress.items():
            for text in _progress(r, node_id, pr):
                yield f"{node_id}: {text}"


def _progress(r: Raft, node_id: int, pr: Progress) -> Iterator[str]:
    log = r.raft_log
    own = node_id == r.id
    if pr.matched >= pr.next_idx and not own:
        yield f"matched {pr.matched} not below next {pr.next_idx}"
    if pr.matched > log.tail_index:
        yield f"matched {pr.matched} beyond the log's end"
    if own and pr.matched > log.persisted:
        yield f"own match {pr.matched} beyond persisted {log.persisted}"
    if pr.ins.count() > pr.ins.capacity:
        yield "more in flight than allowed"
    if pr.ins.count() and pr.state is not ProgressState.Replicate:
        yield "in flight without streaming"
    if pr.pending_snapshot and pr.state is not ProgressState.Snapshot:
        yield "a snapshot is pending outside its state"
