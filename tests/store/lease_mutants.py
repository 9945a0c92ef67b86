"""Known mistakes in reading by lease, put back one at a time. Each is a context manager that breaks one guard."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from flaredb.raft import leader, reads
from flaredb.raft.raft import Raft
from flaredb.store import config, peer
from flaredb.store import reads as store_reads
from flaredb.store.clock_watch import ClockWatch

Mutant = Callable[[], AbstractContextManager[Any]]
MUTANTS: dict[str, Mutant] = {}


def mutant(make: Mutant) -> Mutant:
    MUTANTS[make.__name__] = make
    return make


@mutant
def lease_kept_after_a_transfer() -> AbstractContextManager[Any]:
    whole = reads.in_lease

    def in_lease(raft: Any) -> bool:
        kept = raft.lead_transferee, raft.lease_void, raft.lease_since
        raft.lead_transferee, raft.lease_void, raft.lease_since = None, False, 0
        try:
            return whole(raft)
        finally:
            raft.lead_transferee, raft.lease_void, raft.lease_since = kept

    return patch.object(reads, "in_lease", in_lease)


@mutant
def lease_back_after_a_transfer_was_given_up() -> AbstractContextManager[Any]:
    whole = reads.in_lease

    def in_lease(raft: Any) -> bool:
        kept, raft.lease_void = raft.lease_void, False
        try:
            return whole(raft)
        finally:
            raft.lease_void = kept

    return patch.object(reads, "in_lease", in_lease)


@mutant
def lease_counted_from_the_answer() -> AbstractContextManager[Any]:
    whole = leader.hear
    return patch.object(leader, "hear", lambda raft, progress, tick: whole(raft, progress, raft.lease_now()))


@mutant
def lease_as_long_as_the_election_timeout() -> AbstractContextManager[Any]:
    return patch.object(config, "lease_ms_max", lambda election_ticks, tick_ms: election_ticks * tick_ms)


@mutant
def lease_without_a_margin_for_drift() -> AbstractContextManager[Any]:
    return patch.object(config, "lease_ms_max", lambda election_ticks, tick_ms: (election_ticks - 1) * tick_ms - 1)


@mutant
def lease_kept_over_a_split() -> AbstractContextManager[Any]:
    return patch.object(Raft, "void_lease", lambda self: None)


@mutant
def lease_kept_when_the_clock_goes_back() -> AbstractContextManager[Any]:
    return patch.object(Raft, "void_lease", lambda self: None)


@mutant
@contextlib.contextmanager
def votes_not_withheld_after_a_start() -> Iterator[None]:
    whole = peer._raft_config

    def forgetful(settings: Any, peer_id: Any, applied: int, first_start: bool, clock: Any) -> Any:
        return whole(settings, peer_id, applied, True, clock)

    with patch.object(peer, "_raft_config", forgetful):
        yield


@mutant
def promises_kept_only_by_who_reads_by_lease() -> AbstractContextManager[Any]:
    whole = peer._raft_config

    def selfish(*values: Any) -> Any:
        made = whole(*values)
        made.keeps_promises = False
        return made

    return patch.object(peer, "_raft_config", selfish)


@mutant
def lease_before_the_own_commit() -> AbstractContextManager[Any]:
    return patch.object(Raft, "commit_to_current_term", lambda self: True)


@mutant
def clocks_not_watched() -> AbstractContextManager[Any]:
    return patch.object(ClockWatch, "take", lambda self, sample: False)


@mutant
def lease_though_clocks_differ() -> AbstractContextManager[Any]:
    whole = reads.in_lease

    def in_lease(raft: Any) -> bool:
        clock = raft.lease_clock
        kept, clock.is_trusted = clock.is_trusted, True
        try:
            return whole(raft)
        finally:
            clock.is_trusted = kept

    return patch.object(reads, "in_lease", in_lease)


@mutant
def read_before_apply() -> AbstractContextManager[Any]:
    def take_runnable(replica: Any) -> list[Any]:
        runnable: list[Any] = []
        while replica.reads.confirmed:
            runnable += replica.reads.confirmed.popleft()[1]
        return runnable

    return patch.object(store_reads, "take_runnable", take_runnable)
