"""Known bugs, put back one at a time: the simulator must find each of them within a stated number of seeds.

A mutant replaces one function for as long as it is installed. ``draw`` shapes the seeds that look for it, where chance
alone would take long: more of the fault that shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from flaredb.sim.options import SimOptions, draw

from .shapes import (
    CRASHES,
    EVERYTHING,
    GATHERED_SPLITS,
    INSTALLS,
    LATE_ANSWERS,
    LATE_ORDERS,
    LONG_DEATHS,
    MOVES,
    SLOW_CLOCKS,
    SLOW_FOLLOWERS,
    SNAPSHOTS,
    SPLITS,
    SPLITS_CUT_SHORT,
    STALE_LEADERS,
    STALE_LEASES,
    TRANSFERS,
    with_faults,
)

Patches = list[tuple[Any, str, Any]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug."""

    name: str
    patches: Callable[[], Patches]
    """(object, attribute, what to put there)"""

    seeds: int
    """Within so many it is found."""

    told: str
    """Part of what the simulator says then."""

    shape: Callable[[SimOptions], SimOptions] = lambda options: options
    seconds: int = 30
    is_slow: bool = False

    def options(self, seed: int) -> SimOptions:
        """The run of a seed that looks for this bug."""
        return self.shape(draw(seed, self.seconds))

    @contextmanager
    def installed(self) -> Iterator[None]:
        """The bug is there."""
        patches = [patch.object(*where) for where in self.patches()]
        for each in patches:
            each.start()
        try:
            yield
        finally:
            for each in reversed(patches):
                each.stop()


# ------------------------------------------------ what is promised before it is durable


def _answer_before_sync() -> Patches:
    from flaredb.store.ready import ReadyStep

    def _await_sync(self: Any, peer: Any, ready: Any) -> None:
        self.must_sync = self.must_sync or ready.must_sync
        peer.node.on_persist_ready(ready.number)
        self._outbox.add(peer, ready.persisted_messages)

    return [(ReadyStep, "_await_sync", _await_sync)]


def _vote_not_persisted() -> Patches:
    from flaredb.raft import HardState
    from flaredb.store.raft_storage import RaftStorage

    true = RaftStorage.set_hard_state

    def set_hard_state(self: Any, state: HardState, batch: Any) -> None:
        true(self, HardState(state.term, 0, state.commit), batch)
        self.hard_state = state

    return [(RaftStorage, "set_hard_state", set_hard_state)]


def _term_not_persisted() -> Patches:
    from flaredb.raft import HardState
    from flaredb.store.raft_storage import RaftStorage

    true = RaftStorage.set_hard_state

    def set_hard_state(self: Any, state: HardState, batch: Any) -> None:
        if state.commit != self.hard_state.commit:
            true(self, state, batch)
        self.hard_state = state

    return [(RaftStorage, "set_hard_state", set_hard_state)]


def _sync_does_nothing() -> Patches:
    from flaredb.sim.disk import Disk

    def sync(self: Any, sequence: int, done: Any, failed: Any) -> None:
        life = self._life
        self._world.after(100, lambda: done(sequence) if life == self._life else None)

    return [(Disk, "sync", sync)]


def _applied_index_seldom_written() -> Patches:
    """Entries are applied again after a restart: the data is there, the index that says so is not."""
    from flaredb.store.raft_storage import RaftStorage

    true = RaftStorage.set_apply_state

    def set_apply_state(self: Any, batch: Any) -> None:
        if self.apply_state.applied_index % 20 == 0 or self.apply_state.applied_index < 7:
            true(self, batch)

    return [(RaftStorage, "set_apply_state", set_apply_state)]


# ------------------------------------------------ reads


def _unchecked_local_read() -> Patches:
    from flaredb.store import reads, store

    def start_round(peer: Any, now_ms: int) -> bool:
        if peer.reads.waiting and peer.is_leader:
            peer.reads.confirmed.append((peer.applied_index, peer.reads.waiting))
            peer.reads.waiting = []
            return False
        return true(peer, now_ms)

    true = reads.start_round
    return [(reads, "start_round", start_round), (store.reads, "start_round", start_round)]


def _follower_reads_without_leader() -> Patches:
    from flaredb.store import reads

    def start_round(peer: Any, now_ms: int) -> bool:
        if peer.reads.waiting and not peer.is_leader:
            peer.reads.confirmed.append((peer.applied_index, peer.reads.waiting))
            peer.reads.waiting = []
            return False
        return true(peer, now_ms)

    true = reads.start_round
    return [(reads, "start_round", start_round)]


def _read_before_own_commit() -> Patches:
    from flaredb.raft.raft import Raft

    return [(Raft, "commit_to_current_term", lambda self: True)]


def _read_before_apply() -> Patches:
    from flaredb.store import reads

    def take_runnable(peer: Any) -> list[Any]:
        runnable: list[Any] = []
        while peer.reads.confirmed:
            runnable += peer.reads.confirmed.popleft()[1]
        return runnable

    return [(reads, "take_runnable", take_runnable)]


def _lease_twice_too_long() -> Patches:
    from flaredb.store import config

    return [(config, "lease_ms_max", lambda election_ticks, tick_ms: 2 * election_ticks * tick_ms)]


def _lease_from_the_answer() -> Patches:
    from flaredb.raft import leader

    true = leader.hear
    return [(leader, "hear", lambda raft, progress, tick: true(raft, progress, raft.lease_now()))]


# ------------------------------------------------ regions


def _epoch_not_checked_at_apply() -> Patches:
    from flaredb.store.applier import Applier

    true = Applier._apply_write

    def _apply_write(self: Any, peer: Any, version: int, *rest: Any) -> None:
        true(self, peer, peer.region.epoch.version, *rest)

    return [(Applier, "_apply_write", _apply_write)]


def _kept_back_writes_pass_no_gate() -> Patches:
    from flaredb.store.state import Gathering

    return [(Gathering, "passed_for", lambda *_: True)]


def _split_metadata_not_atomic() -> Patches:
    """The newcomers' first states are one write, the parent's new state and what is applied another."""
    from flaredb.model.keys import raft_range, region_state_key
    from flaredb.store.commands.split import SplitApplied
    from flaredb.store.ready import ReadyStep

    true = ReadyStep.write

    def write(self: Any) -> None:
        splits = [outcome for outcome in self.applier.outcomes if isinstance(outcome, SplitApplied)]
        born = [region for split in splits for region in split.results[:-1] if region.id not in split.unborn]
        spans = [raft_range(region.id) for region in born]
        states = {region_state_key(region.id) for region in born}
        first, rest = self._engine.batch(), self._engine.batch()
        for operation in self._batch.operations:
            key = operation[1]
            is_born = key in states or any(start <= key < end for start, end in spans)
            (first if is_born else rest).operations.append(operation)
        if first.operations:
            self._engine.write(first)
        self._batch.operations = rest.operations
        true(self)

    return [(ReadyStep, "write", write)]


def _pd_accepts_older_epoch() -> Patches:
    from flaredb.pd.region_tree import RegionTree

    return [(RegionTree, "_check_not_stale", lambda self, region, old, overlapped: None)]


def _pd_repeats_ids() -> Patches:
    from flaredb.pd.state import PdState

    return [(PdState, "put_id_bound", lambda self, bound: None)]


def _read_of_a_split_region() -> Patches:
    """Between the moment a read is admitted and the moment it runs its region may be split: that is not looked at."""
    from flaredb.store import store

    return [
        (store, "check_epoch", lambda region, request, regions: None),
        (store, "check_keys", lambda region, command: None),
    ]


# ------------------------------------------------ writes


def _swap_decided_before_the_log() -> Patches:
    """Compare-and-swap looks at the engine alone, not at what the same batch has changed."""
    from flaredb.store.applier import PendingWrites

    def get(self: Any, cf: int, key: bytes) -> bytes | None:
        from flaredb.model.commands import DATA_CFS

        return self._engine.get(DATA_CFS[cf], key)

    return [(PendingWrites, "get", get)]


def _client_repeats_unknown_writes() -> Patches:
    from flaredb.client.plan import Core

    true = Core.pursue

    def pursue(self: Any, *rest: Any, **named: Any) -> Any:
        return true(self, *rest, **{**named, "idempotent": True})

    return [(Core, "pursue", pursue)]


def _overtaken_proposal_is_confirmed() -> Patches:
    """The answer to a proposal goes by its index alone: whose entry it became is not looked at."""
    from flaredb.store.applier import Applier

    def _take_proposal(self: Any, peer: Any, entry: Any) -> Any:
        proposals = peer.proposals.pop(entry.index, ())
        for proposal in proposals[:-1]:
            for request in proposal.requests:
                self._answer(request, None)
        return proposals[-1] if proposals else None

    return [(Applier, "_take_proposal", _take_proposal)]


# ------------------------------------------------ elections and membership


def _log_not_compared_in_votes() -> Patches:
    from flaredb.raft.raft_log import RaftLog

    return [(RaftLog, "is_up_to_date", lambda self, index, term: True)]


def _learner_counts() -> Patches:
    from flaredb.store import raft_storage, roles

    true = roles.conf_state_of

    def conf_state_of(region: Any) -> Any:
        state = true(region)
        if not state.voters_outgoing and not state.learners_next:
            state.voters += state.learners
            state.learners = []
        return state

    return [(raft_storage, "conf_state_of", conf_state_of)]


def _tombstone_forgotten() -> Patches:
    from flaredb.store import incoming, lifecycle

    def forget(engine: Any, region_id: Any) -> None:
        return None

    return [(lifecycle, "read_tombstone", forget), (incoming, "read_tombstone", forget)]


def _snapshot_over_neighbour() -> Patches:
    from flaredb.store.region_map import RegionMap

    return [(RegionMap, "overlapping", lambda self, start, end: [])]


def _snapshot_range_not_wiped() -> Patches:
    from flaredb.store import install

    return [(install, "wipe_range", lambda start, end, batch: None)]


def _destroyed_range_not_wiped() -> Patches:
    from flaredb.store import lifecycle

    return [(lifecycle, "wipe_range", lambda start, end, batch: None)]


def _install_not_resumed() -> Patches:
    from flaredb.store import store

    return [(store, "unfinished_installs", lambda engine: {})]


def _wrong_replica_takes_messages() -> Patches:
    """Messages for an earlier replica of this store go to the later one."""
    from flaredb.store import incoming

    true = incoming._receiver

    def _receiver(store: Any, envelope: Any) -> Any:
        peer = store.peers.get(envelope.region_id)
        return peer if peer is not None else true(store, envelope)

    return [(incoming, "_receiver", _receiver)]


def _conf_change_applied_twice() -> Patches:
    """Whoever proposed a change of members counts it when it is proposed, and again when it is applied."""
    from flaredb.store import applier
    from flaredb.store.bootstrap import write_region

    true = applier.apply_change

    def apply_change(peer: Any, entry: Any, batch: Any, request: Any) -> Any:
        applied = true(peer, entry, batch, request)
        if applied is None or request is None:
            return applied
        epoch = replace(applied.after.epoch, conf_ver=applied.after.epoch.conf_ver + 1)
        peer.region = peer.storage.region = replace(applied.after, epoch=epoch)
        write_region(peer.region, batch)
        return replace(applied, after=peer.region)

    return [(applier, "apply_change", apply_change)]


def _change_at_any_epoch() -> Patches:
    """A leader obeys an order to change members whatever the region has become since."""
    from flaredb.model.orders import ChangePeers
    from flaredb.store import orders

    true = orders.on_order

    def on_order(store: Any, order: Any) -> None:
        peer = store.peers.get(order.region_id)
        if peer is not None and isinstance(order.step, ChangePeers):
            order = replace(order, epoch=peer.region.epoch)
        true(store, order)

    return [(orders, "on_order", on_order)]


def _quorum_not_looked_at() -> Patches:
    from flaredb.store.commands import conf_change

    return [
        (conf_change, "_check_quorum_lives", lambda peer, after: None),
        (conf_change, "_check_promotions", lambda peer, after: None),
    ]


# ------------------------------------------------ what was true once


def _old_route_is_served() -> Patches:
    """A store that a client's region cache still takes for the leader's answers reads, though it leads no more."""
    from flaredb.model.commands import BatchGet, Get
    from flaredb.store import admission, checks, reads

    true_check, true_round = checks.check, reads.start_round

    def check(peer: Any, store_id: Any, request: Any, regions: Any) -> None:
        if peer.is_leader or not isinstance(request.command, Get | BatchGet):
            true_check(peer, store_id, request, regions)

    def start_round(peer: Any, now_ms: int) -> bool:
        if peer.reads.waiting and not peer.is_leader:
            peer.reads.confirmed.append((peer.applied_index, peer.reads.waiting))
            peer.reads.waiting = []
            return False
        return true_round(peer, now_ms)

    return [(admission, "check", check), (reads, "start_round", start_round)]


def _lease_kept_after_transfer() -> Patches:
    """Somebody was asked to campaign at once, and the lease still counts."""
    from flaredb.raft import reads

    true = reads.in_lease

    def in_lease(raft: Any) -> bool:
        kept = raft.lead_transferee, raft.lease_void, raft.lease_since
        raft.lead_transferee, raft.lease_void, raft.lease_since = None, False, 0
        try:
            return true(raft)
        finally:
            raft.lead_transferee, raft.lease_void, raft.lease_since = kept

    return [(reads, "in_lease", in_lease)]


def _promises_with_an_earlier_sync() -> Patches:
    """What leaves right after a sync is not only what that sync made durable."""
    from flaredb.store.store import Store

    true = Store.take_promises
    return [(Store, "take_promises", lambda store, sequence: true(store, sequence + 1_000))]


def _lease_though_clocks_differ() -> Patches:
    """The store knows that clocks are too far apart, and reads by lease all the same."""
    from flaredb.raft import reads

    true = reads.in_lease

    def in_lease(raft: Any) -> bool:
        clock = raft.lease_clock
        if clock is None:
            return true(raft)
        kept, clock.is_trusted = clock.is_trusted, True
        try:
            return true(raft)
        finally:
            clock.is_trusted = kept

    return [(reads, "in_lease", in_lease)]


MUTANTS = (
    Mutant("an answer before the sync", _answer_before_sync, 5, "its disk", CRASHES),
    Mutant("a sync that does nothing", _sync_does_nothing, 5, "its disk", CRASHES),
    Mutant("acknowledgements with an earlier sync", _promises_with_an_earlier_sync, 20, "its disk", CRASHES),
    Mutant("a vote that is not on disk", _vote_not_persisted, 10, "vote", CRASHES),
    Mutant("a term that is not on disk", _term_not_persisted, 10, "its disk", CRASHES),
    Mutant("an applied index behind its data", _applied_index_seldom_written, 20, "", CRASHES),
    Mutant("a leader's read that is not confirmed", _unchecked_local_read, 20, "linearizable", STALE_LEADERS),
    Mutant("a follower's read that is not confirmed", _follower_reads_without_leader, 10, "", SLOW_FOLLOWERS),
    Mutant("a read before the leader's own commit", _read_before_own_commit, 40, "", STALE_LEADERS, is_slow=True),
    Mutant("a read before its index is applied", _read_before_apply, 20, "linearizable", SLOW_FOLLOWERS),
    Mutant("a lease that is twice too long", _lease_twice_too_long, 40, "lease", STALE_LEASES, is_slow=True),
    Mutant("a lease that counts from the answer", _lease_from_the_answer, 40, "lease", LATE_ANSWERS, is_slow=True),
    Mutant("an epoch that is not compared when applied", _epoch_not_checked_at_apply, 40, "", SPLITS, is_slow=True),
    Mutant("a write kept back over a split", _kept_back_writes_pass_no_gate, 20, "", GATHERED_SPLITS, is_slow=True),
    Mutant("a read of a region split meanwhile", _read_of_a_split_region, 20, "of the range", SPLITS),
    Mutant("a split whose states come apart", _split_metadata_not_atomic, 20, "overlaps", SPLITS_CUT_SHORT),
    Mutant("PD takes an older epoch", _pd_accepts_older_epoch, 20, "goes back", EVERYTHING),
    Mutant("PD hands out ids again", _pd_repeats_ids, 20, "twice", with_faults(pd_crash_ms=2_000)),
    Mutant("swaps that do not see each other", _swap_decided_before_the_log, 20, "linearizable"),
    Mutant("a client that repeats unknown writes", _client_repeats_unknown_writes, 20, "", EVERYTHING),
    Mutant("a proposal confirmed by its index alone", _overtaken_proposal_is_confirmed, 40, "", STALE_LEADERS),
    Mutant("votes for shorter logs", _log_not_compared_in_votes, 10, "without entry", EVERYTHING),
    Mutant("learners that count", _learner_counts, 20, "Raft has", EVERYTHING),
    Mutant("a forgotten tombstone", _tombstone_forgotten, 40, "", EVERYTHING),
    Mutant("a snapshot over a neighbour", _snapshot_over_neighbour, 20, "region", EVERYTHING),
    Mutant("a snapshot beside old rows", _snapshot_range_not_wiped, 20, "", SNAPSHOTS),
    Mutant("a destroyed replica whose rows stay", _destroyed_range_not_wiped, 10, "", EVERYTHING),
    Mutant("an install that is not resumed", _install_not_resumed, 40, "", INSTALLS, is_slow=True),
    Mutant("messages for a replica that is gone", _wrong_replica_takes_messages, 20, "", EVERYTHING),
    Mutant("a change of members applied twice", _conf_change_applied_twice, 20, "", MOVES),
    Mutant("an order for another epoch", _change_at_any_epoch, 20, "nobody ordered", LATE_ORDERS),
    Mutant("a change of members that leaves no quorum", _quorum_not_looked_at, 40, "without a quorum", LONG_DEATHS),
    Mutant("an old route that is served", _old_route_is_served, 20, "linearizable", STALE_LEADERS),
    Mutant("a lease though clocks differ", _lease_though_clocks_differ, 40, "lease", SLOW_CLOCKS, is_slow=True),
    Mutant("a lease kept after a transfer", _lease_kept_after_transfer, 10, "lease", TRANSFERS),
)
