"""R14. Tablet moves (Dgraph) and reconfigurations (RethinkDB) lost acknowledged writes when something broke on the
way.

A region that is written to all the time moves through four stores, until each has been left and joined; at every step
of every move one store crashes.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from flaredb.model.commands import PUT, Write
from flaredb.model.ids import PeerId, StoreId
from flaredb.model.orders import ChangePeers, PeerChange, TransferLeader
from flaredb.model.region import Peer, PeerRole, Region
from tests.scenarios.promises import breaks, promise, put_back
from tests.store.harness import Cluster
from tests.store.move_mutants import MUTANTS
from tests.store.move_rig import ADD, LEARNER, R1, REMOVE, cluster

MOVES = ((1, 4), (2, 1), (3, 2), (4, 3))
"""From one store to another; in the end the region is where it was."""
WRITE_EVERY_MS = 20
ORDER_EVERY_MS = 100
SERVE_MS = 200
DOWN_MS = 80
STEP_LIMIT_MS = 20_000


class HotRegion:
    """The region, its writer and PD's orders. ``who`` names the store that crashes at each step."""

    def __init__(self, who: Callable[[HotRegion, StoreId, StoreId], list[StoreId]], **config: Any) -> None:
        self.made: Cluster = cluster(fill_slice_bytes=300, log_count_max=25, log_gc_threshold=5, **config)
        self.who = who
        self.ids = count(5_000)
        self.sent: dict[int, tuple[StoreId, Any]] = {}
        """Store and token of each write, by its number."""
        self.acknowledged: set[int] = set()
        self.steps = 0
        self._write_at_ms = 0

    def run(self, condition: Callable[[], Any], again: Callable[[], Any] | None = None) -> None:
        """Rounds with writes until the condition holds; ``again`` is done every now and then meanwhile."""
        made = self.made
        limit_ms, again_at_ms = made.now_ms + STEP_LIMIT_MS, 0
        while not condition():
            promise(made.now_ms < limit_ms, f"step {self.steps} of the moves does not end")
            if again is not None and made.now_ms >= again_at_ms and made.leader_of(1) is not None:
                again_at_ms = made.now_ms + ORDER_EVERY_MS
                again()
            self.write()
            made.round()
            self.collect()

    def rest(self, duration_ms: int) -> None:
        end_ms = self.made.now_ms + duration_ms
        self.run(lambda: self.made.now_ms >= end_ms)

    def write(self) -> None:
        """One write more: a row of its own and the hot key, which every write overwrites."""
        made, leader = self.made, self.made.leader_of(1)
        if made.now_ms < self._write_at_ms or leader is None:
            return
        self._write_at_ms = made.now_ms + WRITE_EVERY_MS
        number = len(self.sent)
        operations = [(PUT, 0, b"hot", b"%06d" % number), (PUT, 0, b"row%06d" % number, b"v" * 20)]
        token = made.send(leader, leader.store.peers[R1].region, Write(operations, 50))
        self.sent[number] = (leader.id, token)

    def collect(self) -> None:
        for number, (store_id, token) in self.sent.items():
            if self.made.nodes[store_id].answers.get(token, "nothing") is None:
                self.acknowledged.add(number)

    def region(self) -> Region:
        found = self.made.newest(1)
        assert found is not None
        return found

    def role(self, peer: Peer) -> PeerRole | None:
        now = self.region().peer(peer.id)
        return now.role if now is not None else None

    def crash(self, stores: list[StoreId]) -> None:
        """Power cut of these stores a few rounds into a step, and their return. At every other step their disks have
        synced nothing since it began.
        """
        self.steps += 1
        for store_id in stores:
            self.made.nodes[store_id].sync_at_once = self.steps % 2 == 1
        for _ in range(2 + self.steps % 7):
            self.write()
            self.made.round()
            self.collect()
        for store_id in stores:
            self.made.crash(store_id)
        self.rest(DOWN_MS)
        for store_id in stores:
            self.made.restart(store_id)

    def move(self, gone: StoreId, to: StoreId) -> None:
        """PD's steps: learner, caught up, promotion, leadership away if need be, removal."""
        leaver = self.region().peer_on(gone)
        assert leaver is not None
        joiner = Peer(PeerId(next(self.ids)), to, PeerRole.LEARNER)

        def order(*changes: PeerChange) -> Callable[[], Any]:
            return lambda: self.made.order(1, ChangePeers(changes))

        self.step(order(PeerChange(LEARNER, joiner)), lambda: self.role(joiner) is not None, gone, to)
        self.step(order(PeerChange(ADD, joiner)), lambda: self.role(joiner) is PeerRole.VOTER, gone, to)
        self.step(self.lead_elsewhere(joiner), lambda: self.leads(joiner), gone, to)
        remove = order(PeerChange(REMOVE, leaver))
        away_first = self.lead_elsewhere(joiner)
        self.step(lambda: (away_first if self.leads(leaver) else remove)(), lambda: self.role(leaver) is None, gone, to)

    def lead_elsewhere(self, heir: Peer) -> Callable[[], Any]:
        return lambda: self.made.order(1, TransferLeader((heir,)))

    def leads(self, heir: Peer) -> bool:
        leader = self.made.leader_of(1)
        return leader is not None and leader.id == heir.store_id

    def step(self, order: Callable[[], Any], is_done: Callable[[], bool], gone: StoreId, to: StoreId) -> None:
        """One order, with a crash on its way, repeated until it shows."""
        self.rest(SERVE_MS)
        self.run(lambda: self.made.leader_of(1) is not None)
        order()
        self.crash(self.who(self, gone, to))
        self.run(is_done, again=order)

    def check(self) -> None:
        made = self.made
        self.run(lambda: made.leader_of(1) is not None)
        for peer in self.region().peers:
            made.await_caught_up(1, peer)
        rows = {peer.store_id: dict(made.rows(peer.store_id)) for peer in self.region().peers}
        leader = made.await_leader(1)
        lost = [number for number in sorted(self.acknowledged) if b"row%06d" % number not in rows[leader.id]]
        promise(not lost, f"{len(lost)} acknowledged writes are lost, the first is {lost[:1]}")
        promise(int(rows[leader.id][b"hot"]) >= max(self.acknowledged), "the hot key went back")
        promise(all(found == rows[leader.id] for found in rows.values()), "replicas differ in the end")
        assert len(self.acknowledged) > self.steps * 2, "too few writes succeeded to mean anything"


def leader(rig: HotRegion, gone: StoreId, to: StoreId) -> list[StoreId]:
    found = rig.made.leader_of(1)
    return [found.id] if found is not None else [gone]


def newcomer(rig: HotRegion, gone: StoreId, to: StoreId) -> list[StoreId]:
    return [to]


def leaver(rig: HotRegion, gone: StoreId, to: StoreId) -> list[StoreId]:
    return [gone]


def everybody(rig: HotRegion, gone: StoreId, to: StoreId) -> list[StoreId]:
    return list(rig.made.nodes)


def play(who: Callable[[HotRegion, StoreId, StoreId], list[StoreId]]) -> None:
    rig = HotRegion(who)
    for gone, to in MOVES:
        rig.move(StoreId(gone), StoreId(to))
    rig.check()


@pytest.mark.parametrize("who", [leader, newcomer, leaver, everybody], ids=lambda who: who.__name__)
def test_r14_a_hot_region_moves_and_loses_nothing(who: Any) -> None:
    play(who)


def test_r14_without_waiting_for_syncs_acknowledged_writes_are_lost() -> None:
    breaks(lambda: play(everybody), put_back("an answer before the sync"), "acknowledged writes are lost")


def test_r14_without_a_mark_a_half_filled_newcomer_passes_for_whole() -> None:
    breaks(lambda: play(newcomer), MUTANTS["install_without_mark"], "replicas differ in the end")
