"""Membership changes: replicas join, leave and change their roles, one change of a region at a time.

propose (gate passed) -> replicate -> apply on every replica: the region's metadata in the batch of the apply state,
Raft's configuration switched at the same entry -> on_change_applied, in the same step once that batch is written: the
region map and the addresses follow, PD hears of it. A replica that applies its own removal is destroyed in that batch.

One change alone is simple; several enter a joint configuration, which an empty change leaves (dissertation chapter 4).
The epoch's conf_ver decides every race: compared when proposed and again when applied. It grows by one for a simple
change, by the number of changes on entering, by the number of roles settled on leaving (wire facts 4.6).

Refused when proposed: what would remove or demote the leader, leave a quorum that is not alive or could not be brought
up to date from the log, or make a voter of a replica that has not caught up. New replicas come as learners.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from flaredb.engine.base import WriteBatch
from flaredb.model.commands import ChangeMembers, Request
from flaredb.model.errors import ChangeRefused, ServerIsBusy, StaleCommand
from flaredb.model.orders import ChangeKind, ChangePeers, PeerChange
from flaredb.model.region import Peer as PeerMeta
from flaredb.model.region import PeerRole, Region, RegionEpoch
from flaredb.raft import (
    CodecError,
    ConfChangeError,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Entry,
    EntryType,
    Progress,
    ProposalDropped,
    decode_conf_change_v2,
    majority,
)
from flaredb.store.bootstrap import write_region
from flaredb.store.config import BUSY_BACKOFF_MS
from flaredb.store.peer import Peer, Proposal
from flaredb.store.roles import conf_state_of
from flaredb.wire.entries import EntryCorrupted, decode_change_peers, encode_change_peers

JOINT_ROLES = (PeerRole.INCOMING_VOTER, PeerRole.DEMOTING_VOTER)


@dataclass(frozen=True, slots=True)
class ChangeApplied:
    """A membership change that is staged: what on_change_applied has to make true in memory."""

    peer: Peer
    before: Region
    """The region as the region map still has it."""

    after: Region
    request: Request | None
    """Whoever asked for the change, if it was proposed here and somebody still waits."""


# ------------------------------------------------ what a change makes of a region


def change_region(region: Region, change: ChangePeers) -> Region:
    """The region after a change. Errors: ChangeRefused, the same on every replica."""
    changes = change.changes
    if not changes:
        return _leave_joint(region)
    if _is_joint(region):
        raise ChangeRefused(region.id, "its joint configuration must be left first")
    peers = list(region.peers)
    for item in changes:
        _change_one(region, peers, item, is_joint=len(changes) > 1)
    if len(changes) > 1 and not any(peer.role in JOINT_ROLES for peer in peers):
        raise ChangeRefused(region.id, "several changes at once must change voters; send those of learners one by one")
    if not any(peer.role in (PeerRole.VOTER, PeerRole.INCOMING_VOTER) for peer in peers):
        raise ChangeRefused(region.id, "no voter would be left")
    return _with_peers(region, peers, len(changes))


def _leave_joint(region: Region) -> Region:
    settled = sum(peer.role in JOINT_ROLES for peer in region.peers)
    if not settled:
        raise ChangeRefused(region.id, "there is no joint configuration to leave")
    roles = {PeerRole.INCOMING_VOTER: PeerRole.VOTER, PeerRole.DEMOTING_VOTER: PeerRole.LEARNER}
    peers = [replace(peer, role=roles.get(peer.role, peer.role)) for peer in region.peers]
    return _with_peers(region, peers, settled)


def _with_peers(region: Region, peers: list[PeerMeta], conf_ver_delta: int) -> Region:
    epoch = RegionEpoch(version=region.epoch.version, conf_ver=region.epoch.conf_ver + conf_ver_delta)
    return replace(region, peers=tuple(peers), epoch=epoch)


def _change_one(region: Region, peers: list[PeerMeta], item: PeerChange, is_joint: bool) -> None:
    named = item.peer
    at = next((index for index, peer in enumerate(peers) if peer.id == named.id), None)
    if at is None:
        if item.kind is ChangeKind.REMOVE_NODE:
            raise ChangeRefused(region.id, f"it has no peer {named.id}")
        if item.kind is ChangeKind.ADD_NODE:
            raise ChangeRefused(region.id, f"peer {named.id} is new: add it as a learner first, and promote it later")
        here = region.peer_on(named.store_id)
        if here is not None:
            raise ChangeRefused(region.id, f"store {named.store_id} has its peer {here.id} already")
        peers.append(PeerMeta(named.id, named.store_id, PeerRole.LEARNER))
        return
    known = peers[at]
    if known.store_id != named.store_id:
        raise ChangeRefused(region.id, f"peer {named.id} is on store {known.store_id}, not {named.store_id}")
    if item.kind is ChangeKind.REMOVE_NODE:
        if is_joint and known.role is PeerRole.VOTER:
            raise ChangeRefused(region.id, f"voter {named.id} must be demoted before it is removed among other changes")
        del peers[at]
    elif (known.role is PeerRole.LEARNER) == (item.kind is ChangeKind.ADD_LEARNER_NODE):
        raise ChangeRefused(region.id, f"peer {named.id} is a {known.role.name.lower()} already")
    elif item.kind is ChangeKind.ADD_NODE:
        peers[at] = replace(known, role=PeerRole.INCOMING_VOTER if is_joint else PeerRole.VOTER)
    else:
        peers[at] = replace(known, role=PeerRole.DEMOTING_VOTER if is_joint else PeerRole.LEARNER)


def _is_joint(region: Region) -> bool:
    return any(peer.role in JOINT_ROLES for peer in region.peers)


# ------------------------------------------------ propose


def propose_change(peer: Peer, request: Request, now_ms: int) -> None:
    """Propose a change that has passed the gate.

    Errors: ChangeRefused; ServerIsBusy while another change is under way; StaleCommand if Raft drops it.
    """
    command = request.command
    assert isinstance(command, ChangeMembers)
    region, raft = peer.region, peer.node.raft
    if raft.has_pending_conf():
        raise ServerIsBusy(f"another membership change of region {region.id} is under way", BUSY_BACKOFF_MS)
    after = change_region(region, command.change)
    _check_leader_stays(peer, after)
    _check_promotions(peer, after)
    _check_quorum_lives(peer, after)
    try:
        peer.node.propose_conf_change(b"", _raft_change(region, command.change))
    except ConfChangeError as error:
        raise ChangeRefused(region.id, str(error)) from error
    except ProposalDropped as error:
        raise StaleCommand() from error
    index = raft.raft_log.last_index()
    peer.proposals.setdefault(index, []).append(Proposal(index, peer.term, region.epoch.version, now_ms, [], [request]))


def _raft_change(region: Region, change: ChangePeers) -> ConfChangeV2:
    """Joint configurations are left by order, never by themselves, so that PD sees each step in a heartbeat."""
    steps = [ConfChangeSingle(ConfChangeType(int(item.kind)), item.peer.id) for item in change.changes]
    how = ConfChangeTransition.Explicit if len(steps) > 1 else ConfChangeTransition.Auto
    return ConfChangeV2(how, steps, encode_change_peers(region.epoch, change))


def _check_leader_stays(peer: Peer, after: Region) -> None:
    me = after.peer(peer.meta.id)
    if me is None or me.role in (PeerRole.LEARNER, PeerRole.DEMOTING_VOTER):
        what = "remove" if me is None else "demote"
        raise ChangeRefused(after.id, f"it would {what} the leader, peer {peer.meta.id}; transfer leadership first")


def _check_promotions(peer: Peer, after: Region) -> None:
    """A voter that needs a snapshot first would count in the quorum and be of no use in it."""
    for meta in after.peers:
        before = peer.region.peer(meta.id)
        becomes_voter = before is not None and before.role is PeerRole.LEARNER and meta.role is not PeerRole.LEARNER
        if becomes_voter and not _can_follow(peer, meta):
            raise ChangeRefused(after.id, f"learner {meta.id} on store {meta.store_id} has not caught up yet")


def _check_quorum_lives(peer: Peer, after: Region) -> None:
    """Of the voters to come, a majority must be alive and able to follow the log; of both halves while joint."""
    before, now = conf_state_of(peer.region), conf_state_of(after)
    if (before.voters, before.voters_outgoing) == (now.voters, now.voters_outgoing):
        return
    for half in filter(None, (now.voters, now.voters_outgoing)):
        metas = [after.peer(peer_id) for peer_id in half]  # type: ignore[arg-type]
        able = sum(meta is not None and _can_follow(peer, meta) for meta in metas)
        if able < majority(len(half)):
            raise ChangeRefused(
                after.id, f"of its {len(half)} voters to come only {able} are alive and up to date enough for a quorum"
            )


def _can_follow(peer: Peer, meta: PeerMeta) -> bool:
    if meta.id == peer.meta.id:
        return True
    progress: Progress | None = peer.node.raft.prs.progress.get(meta.id)
    return progress is not None and progress.is_alive() and progress.matched >= peer.storage.apply_state.truncated_index


# ------------------------------------------------ apply


def apply_change(peer: Peer, entry: Entry, batch: WriteBatch, request: Request | None) -> ChangeApplied | None:
    """Switch to the new members, on every replica alike. None: the region is no longer what the change was made for.

    Post: the peer's region, and Raft's configuration, are the new ones; the peer may no longer be a member.
    """
    if entry.entry_type is not EntryType.EntryConfChangeV2:
        raise EntryCorrupted("changes of members are written in the second form only")
    try:
        change = decode_conf_change_v2(entry.data)
    except CodecError as error:
        raise EntryCorrupted(f"membership change does not decode: {error}") from error
    epoch, wanted = decode_change_peers(change.context)
    before = peer.region
    if epoch.conf_ver != before.epoch.conf_ver:
        return None
    try:
        after = change_region(before, wanted)
    except ChangeRefused:
        return None
    conf_state = peer.node.apply_conf_change(change)
    assert conf_state.equivalent(conf_state_of(after)), f"region {after.id}: members and Raft's configuration differ"
    write_region(after, batch)
    peer.region = peer.storage.region = after
    return ChangeApplied(peer, before, after, request)


# ------------------------------------------------ applied


def on_change_applied(applied: ChangeApplied, now_ms: int) -> None:
    """Bring the peer's own view up to date. Pre: what apply_change staged is written; it is still a member."""
    peer, after = applied.peer, applied.after
    me = after.peer(peer.meta.id)
    assert me is not None, "a removed replica is destroyed instead"
    peer.meta = me
    peer.store_of = {meta.id: meta.store_id for meta in after.peers}
    known = peer.last_heard_ms
    peer.last_heard_ms = {meta.id: known.get(meta.id, now_ms) for meta in after.peers}
