"""A whole group under one seed: everything that can happen happens in some order, and the oracle watches.

`python -m tests.raft.cluster SEED` runs one seed and prints its last steps. Nothing but the seed decides what happens.
The group starts at a non-zero index, so a new member always begins with a snapshot. Ids are never used twice.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from flaredb.raft import (
    ConfChange,
    ConfChangeError,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Config,
    ConfState,
    EntryType,
    Message,
    MessageType,
    ProposalDropped,
    RawNode,
    RequestSnapshotDropped,
    Snapshot,
    SnapshotMetadata,
    SnapshotStatus,
    StateRole,
    StepPeerNotFound,
    decode_entry,
    describe,
)

from .disk import Applied, Disk, Write
from .plan import ACTIONS, WIRE_MAX, Plan
from .safety import Host, Oracle, Violation, require

BASE_INDEX = 5
BASE_TERM = 5
NODES_MAX = 7
HEAL_ROUNDS = 400


@dataclass(frozen=True)
class Report:
    """What the sender of a snapshot will be told of it."""

    to: int
    incarnation: int
    member: int
    status: SnapshotStatus


@dataclass
class Cluster:
    """A run: `storm` lets things happen, `heal` ends all faults and demands convergence."""

    seed: int
    steps: int = 2500
    trace: deque[str] = field(default_factory=lambda: deque(maxlen=400))
    verbose: bool = False

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.plan = Plan.draw(self.rng)
        voters = list(range(1, self.plan.voters + 1))
        self.next_id = len(voters) + 1
        conf = ConfState(voters)
        self.oracle = Oracle(BASE_INDEX + 1, BASE_TERM, conf)
        self.hosts: dict[int, Host] = {}
        self.oracle.watch(self.hosts)
        self.buried: set[int] = set()
        self.wire: list[Message | Report] = []
        self.cuts: set[tuple[int, int]] = set()
        self.tick_order: deque[int] = deque()
        self.step = 0
        self.serial = itertools.count()
        self.done: Counter[str] = Counter()
        self.calm = False
        """No more faults."""
        for i in voters:
            disk = Disk(self.rng)
            base = Snapshot(metadata=SnapshotMetadata(conf.copy(), BASE_INDEX, BASE_TERM))
            for store in (disk.view, disk.durable):
                store.apply_snapshot(base)
            disk.applied = disk.durable_applied = Applied(BASE_INDEX, conf.copy(), 0)
            self._admit(i, disk)

    def _admit(self, i: int, disk: Disk) -> Host:
        disk.snapshot_refused = 0.0 if self.calm else 0.2
        host = self.hosts[i] = Host(i, disk)
        self._start(host)
        return host

    def _start(self, host: Host) -> None:
        config = Config(id=host.id, election_tick=6, heartbeat_tick=2, applied=host.disk.applied.index)
        for name, value in self.plan.options.items():
            setattr(config, name, value)
        trace = (lambda line: self.trace.append(f"{self.step}     {line}")) if self.verbose else None
        host.node = RawNode(config, host.disk.view, self.rng, trace)
        host.incarnation += 1
        host.seen.term, host.seen.commit = 0, host.node.raft.raft_log.committed
        self.oracle.look(host)

    def note(self, text: str) -> None:
        """Remember what happened, when somebody wants to read it."""
        if self.verbose:
            self.trace.append(f"{self.step} {text}")

    # The run.

    def run(self) -> Cluster:
        """Storm, then heal.

        Errors: Violation, or whatever the core raised, with one line that reproduces the run.
        """
        try:
            self.storm()
            self.heal()
        except Exception as e:
            line = f"seed {self.seed} step {self.step}: {e} (reproduce: python -m tests.raft.cluster {self.seed})"
            raise Violation(line) from e
        return self

    def storm(self) -> None:
        """Let things happen."""
        names = [getattr(self, f"do_{name}") for name in ACTIONS]
        sums = list(itertools.accumulate(self.plan.weights))
        choices = self.rng.choices
        for step in range(self.steps):
            self.step = step
            choices(names, cum_weights=sums)[0]()

    def up(self) -> list[Host]:
        """The hosts that run."""
        return [h for h in self.hosts.values() if h.node is not None]

    def _pick(self, wanted: Callable[[Host, RawNode], bool]) -> tuple[Host, RawNode] | None:
        found = [(h, h.node) for h in self.hosts.values() if h.node is not None and wanted(h, h.node)]
        return self.rng.choice(found) if found else None

    # The network.

    def send(self, host: Host, messages: list[Message]) -> None:
        """Messages leave a node."""
        for m in messages:
            self.oracle.sent(host, m)
            self.wire.append(m)
            if not self.calm and self.rng.random() < self.plan.doubled:
                self.wire.append(m)
        while len(self.wire) > WIRE_MAX and not self.calm:
            self._lose(self.wire.pop(0))

    def _lose(self, m: Message | Report) -> None:
        if isinstance(m, Message) and m.msg_type == MessageType.MsgSnapshot:
            self._report(m, SnapshotStatus.Failure)
        elif isinstance(m, Report):
            self.wire.append(m)

    def _report(self, m: Message, status: SnapshotStatus) -> None:
        sender = self.hosts.get(m.from_)
        if sender is not None and sender.node is not None:
            self.wire.append(Report(m.from_, sender.incarnation, m.to, status))

    def do_deliver(self) -> None:
        if not self.wire:
            return
        m = self.wire.pop(self.rng.randrange(min(len(self.wire), self.plan.window)))
        if isinstance(m, Message) and ((m.from_, m.to) in self.cuts or self.rng.random() < self.plan.lost):
            self._lose(m)
        else:
            self.deliver(m)

    def deliver(self, m: Message | Report) -> None:
        """A message arrives; a replica that does not exist yet is made for it."""
        host = self.hosts.get(m.to)
        if host is None and m.to not in self.buried:
            host = self._admit(m.to, Disk(self.rng))
        if host is None or host.node is None:
            if isinstance(m, Message):
                self._lose(m)
            return
        if isinstance(m, Report):
            if m.incarnation == host.incarnation:
                host.node.report_snapshot(m.member, m.status)
        else:
            self.note(f"{m.from_} -> {describe(m)}")
            if m.msg_type == MessageType.MsgSnapshot:
                self._report(m, SnapshotStatus.Finish)
            with suppress(ProposalDropped, StepPeerNotFound):
                host.node.step(m)
        self.oracle.look(host)

    def do_cut(self) -> None:
        """Often a leader with a few others from the rest; or one node from all others, or one way between two."""
        ids = list(self.hosts)
        a = self.rng.choice(ids)
        others = [b for b in ids if b != a]
        if not others:
            return
        if self.rng.random() < 0.6:
            half = set(self.rng.sample(ids, self.rng.randint(1, len(ids) // 2)))
            leader = self._leader()
            if leader is not None and self.rng.random() < 0.7:
                half.add(leader[0].id)
            self.cuts = {(i, j) for i in ids for j in ids if (i in half) != (j in half)}
        elif self.rng.random() < 0.5:
            self.cuts |= {(a, b) for b in others} | {(b, a) for b in others}
        else:
            self.cuts.add((a, self.rng.choice(others)))

    def do_mend(self) -> None:
        self.cuts = set()

    # A node's own work.

    def do_ready(self) -> None:
        found = self._pick(lambda _, n: n.has_ready())
        if found is not None:
            self.handle_ready(*found)

    def handle_ready(self, host: Host, node: RawNode) -> None:
        """Write a Ready; what depends on its durability waits for `sync`."""
        stored = host.disk.view.hard_state()
        rd = node.ready()
        voted = rd.hs is not None and (rd.hs.term, rd.hs.vote) != (stored.term, stored.vote)
        require(rd.must_sync == bool(voted or rd.entries or rd.snapshot), f"{host.id}: must_sync is {rd.must_sync}")
        write = Write(rd.number, rd.hs, rd.snapshot, rd.entries)
        if rd.snapshot is not None:
            write.applied = self._installed(rd.snapshot)
            host.to_apply.clear()
        host.disk.write(write)
        node.advance_append_async(rd)
        self.send(host, rd.messages)
        host.held.append((rd.number, rd.persisted_messages))
        host.to_apply += rd.committed_entries
        for read in rd.read_states:
            self.oracle.answered_read(host, read)
        self.oracle.look(host)

    def _installed(self, snap: Snapshot) -> Applied:
        meta = snap.metadata
        require(int(snap.data) == self.oracle.digests[meta.index], f"snapshot at {meta.index} holds another state")
        self.done["snapshot"] += 1
        return Applied(meta.index, meta.conf_state.copy(), int(snap.data))

    def do_sync(self) -> None:
        found = self._pick(lambda h, _: bool(h.disk.unsynced))
        if found is not None:
            host, node = found
            self.sync(host, node, self.rng.randint(1, len(host.disk.unsynced)))

    def sync(self, host: Host, node: RawNode, count: int) -> None:
        """The oldest writes become durable, and what waited for them happens."""
        number = snap_index = 0
        for _ in range(count):
            write = self._sync_oldest(host)
            if write.number:
                number, messages = host.held.popleft()
                require(number == write.number, f"{host.id}: Ready {number} held, {write.number} durable")
                self.send(host, messages)
                if write.snapshot is not None:
                    snap_index = write.snapshot.metadata.index
        if number:
            node.on_persist_ready(number)
            if snap_index > node.raft.raft_log.applied:
                node.advance_apply_to(snap_index)
        self.oracle.look(host)

    def _sync_oldest(self, host: Host) -> Write:
        before = host.disk.durable.hard_state()
        write = host.disk.sync_oldest()
        self.oracle.synced(host, write, before)
        return write

    def do_apply(self) -> None:
        found = self._pick(lambda h, n: bool(h.to_apply) and n.snap() is None)
        if found is not None:
            host, node = found
            self.apply(host, node, self.rng.randint(1, len(host.to_apply)))

    def apply(self, host: Host, node: RawNode, count: int) -> None:
        """The state machine takes entries. Not while a snapshot waits: the configuration is the snapshot's then."""
        for _ in range(count):
            e = host.to_apply.popleft()
            now = host.disk.applied
            cs = now.conf_state
            digest = self.oracle.applied(host, e, now.digest)
            if e.entry_type != EntryType.EntryNormal:
                cs = node.apply_conf_change(decode_entry(e))
                self.note(f"{host.id} applied change {e.index}: {cs}")
                self.oracle.changed(host, e.index, cs)
                self.done["joint" if cs.voters_outgoing else "change"] += 1
            host.disk.write(Write(applied=Applied(e.index, cs.copy(), digest)))
            if e.entry_type != EntryType.EntryNormal:
                self.oracle.look(host)
        node.advance_apply_to(host.disk.applied.index)
        self.oracle.look(host)

    def do_tick(self) -> None:
        """Ticks come in rounds; where leases count on clocks of one speed, always in the same order."""
        if not self.plan.leases:
            found = self._pick(lambda _, __: True)
        else:
            if not self.tick_order:
                self.tick_order.extend(sorted(self.hosts, key=lambda i: i * 2654435761 % 1009))
            host = self.hosts.get(self.tick_order.popleft())
            found = (host, host.node) if host is not None and host.node is not None else None
        if found is not None:
            found[1].tick()
            self.oracle.look(found[0])

    def do_crash(self) -> None:
        """Power loss: of what was not synced, only a part that was written first may have survived."""
        found = self._pick(lambda _, __: True)
        if found is None:
            return
        host, _ = found
        survive = self.rng.choice((0, 0, self.rng.randint(0, len(host.disk.unsynced))))
        self.note(f"{host.id} crashes, {survive} of {len(host.disk.unsynced)} writes survive")
        for _ in range(survive):
            self._sync_oldest(host)
        host.disk.crash()
        host.node = None
        host.held.clear()
        host.to_apply.clear()
        host.led_term = 0
        self.done["crash"] += 1

    def do_restart(self) -> None:
        down = [h for h in self.hosts.values() if h.node is None]
        if down:
            host = self.rng.choice(down)
            self.note(f"{host.id} restarts")
            self._start(host)

    def do_compact(self) -> None:
        found = self._pick(lambda h, n: h.disk.applied.index > h.disk.view.first_index() and n.snap() is None)
        if found is not None:
            host, _ = found
            index = self.rng.randint(host.disk.view.first_index(), host.disk.applied.index)
            host.disk.write(Write(compact_index=index))
            self.oracle.look(host)

    def do_bury(self) -> None:
        """Destroy a removed replica, once every member knows of its removal for good."""
        conf = self.oracle.latest_conf()
        members = {*conf.voters, *conf.voters_outgoing, *conf.learners}
        for i, host in list(self.hosts.items()):
            gone = i not in members and host.disk.applied.index >= BASE_INDEX
            known = all(j in self.hosts and self._durable(j) >= self.oracle.conf_index for j in members)
            if gone and known:
                del self.hosts[i]
                self.buried.add(i)
                self.done["burial"] += 1

    def _durable(self, i: int) -> int:
        return self.hosts[i].disk.durable_applied.index

    # What clients and operators ask.

    def _leader(self) -> tuple[Host, RawNode] | None:
        return self._pick(lambda _, n: n.raft.state is StateRole.Leader)

    def do_propose(self) -> None:
        found = self._leader() if self.rng.random() < 0.8 else self._pick(lambda _, __: True)
        if found is not None:
            self.propose(*found)

    def propose(self, host: Host, node: RawNode) -> bytes:
        """Propose something unique."""
        data = b"%d" % next(self.serial)
        try:
            node.propose(b"", data)
        except ProposalDropped:
            self.done["dropped"] += 1
        self.oracle.look(host)
        return data

    def do_read(self) -> None:
        found = self._leader() if self.rng.random() < 0.5 else self._pick(lambda _, __: True)
        if found is not None:
            self.read(*found)

    def read(self, host: Host, node: RawNode) -> None:
        """Ask for a read, under a name that is never used again."""
        rctx = b"read %d" % next(self.serial)
        self.oracle.asked(rctx)
        node.read_index(rctx)
        self.oracle.look(host)

    def do_change(self) -> None:
        found = self._leader()
        if found is None:
            return
        host, node = found
        try:
            change = self._draw_change(node)
            self.note(f"{host.id} proposes {change}")
            node.propose_conf_change(b"", change)
        except (ProposalDropped, ConfChangeError):
            self.done["refused"] += 1
        self.oracle.look(host)

    def _draw_change(self, node: RawNode) -> ConfChange | ConfChangeV2:
        conf = node.raft.prs.conf
        if conf.joint() and self.rng.random() < 0.8:
            return ConfChangeV2()
        members = sorted(conf.members())
        steps: list[ConfChangeSingle] = []
        for _ in range(self.rng.choice((1, 1, 2, 3, 4))):
            kind = self.rng.choice(list(ConfChangeType))
            if kind is not ConfChangeType.RemoveNode and self.rng.random() < 0.5 and len(members) < NODES_MAX:
                member = self.next_id
                self.next_id += 1
                members.append(member)
            else:
                member = self.rng.choice(members)
            steps.append(ConfChangeSingle(kind, member))
        if len(steps) == 1 and self.rng.random() < 0.5:
            return ConfChange(steps[0].change_type, steps[0].node_id)
        return ConfChangeV2(self.rng.choice(list(ConfChangeTransition)), steps)

    def do_transfer(self) -> None:
        found = self._pick(lambda _, __: True) if self.rng.random() < 0.2 else self._leader()
        if found is not None:
            host, node = found
            node.transfer_leader(self.rng.choice(list(self.hosts)))
            self.oracle.look(host)

    def do_campaign(self) -> None:
        self._poke(lambda n: n.campaign())

    def do_ping(self) -> None:
        self._poke(lambda n: n.ping())

    def do_unreachable(self) -> None:
        self._poke(lambda n: n.report_unreachable(self.rng.choice(list(self.hosts))))

    def do_want_snapshot(self) -> None:
        self._poke(_request_snapshot)

    def _poke(self, poke: Callable[[RawNode], None]) -> None:
        found = self._pick(lambda _, __: True)
        if found is not None:
            poke(found[1])
            self.oracle.look(found[0])

    # The end.

    def heal(self) -> None:
        """No more faults: a leader must be found, and everybody must reach the same state and read it.

        Errors: Violation when that takes too long.
        """
        self.calm = True
        self.cuts = set()
        for host in self.hosts.values():
            host.disk.snapshot_refused = 0.0
            if host.node is None:
                self._start(host)
        wanted: set[int] | None = None
        answered = self.oracle.answered
        for _ in range(HEAL_ROUNDS):
            self.step += 1
            for _ in range(len(self.hosts)):
                self.do_tick()
            self._settle()
            self.do_bury()
            leader = self._converged()
            if leader is None:
                continue
            if wanted is None:
                self.propose(*leader)
                members = [h for h in self.up() if h.id in leader[1].raft.prs.progress]
                wanted = {h.id for h in members}
                answered = self.oracle.answered
                for host in members:
                    assert host.node is not None
                    self.read(host, host.node)
            elif self.oracle.answered >= answered + len(wanted):
                return
            else:
                wanted = None
        raise Violation(f"did not converge: {'; '.join(self._states())}")

    def _settle(self) -> None:
        for _ in range(2000):
            busy = False
            for host in list(self.hosts.values()):
                while host.node is not None and (host.node.has_ready() or host.disk.unsynced or host.to_apply):
                    self._work(host, host.node)
                    busy = True
            wire, self.wire = self.wire, []
            for m in wire:
                self.deliver(m)
            if not busy and not wire:
                return
        raise Violation(f"messages without end: {'; '.join(self._states())}")

    def _work(self, host: Host, node: RawNode) -> None:
        if node.has_ready():
            self.handle_ready(host, node)
        if host.disk.unsynced:
            self.sync(host, node, len(host.disk.unsynced))
        if host.to_apply and node.snap() is None:
            self.apply(host, node, len(host.to_apply))

    def _converged(self) -> tuple[Host, RawNode] | None:
        """The leader, if everybody follows it and is where it is."""
        conf = self.oracle.latest_conf()
        members = {*conf.voters, *conf.voters_outgoing, *conf.learners}
        nodes = [self.hosts[i].node for i in members if i in self.hosts]
        leads = [n for n in nodes if n is not None and n.raft.state is StateRole.Leader]
        if len(leads) != 1 or len(nodes) != len(members):
            return None
        leader = leads[0]
        if leader.raft.prs.conf.joint():
            if not leader.raft.prs.conf.auto_leave and leader.raft.lead_transferee is None:
                leader.propose_conf_change(b"", ConfChangeV2())
            return None
        tail = leader.raft.raft_log.tail_index
        for i in members:
            node = self.hosts[i].node
            assert node is not None
            log = node.raft.raft_log
            if (node.raft.leader_id, log.tail_index, log.applied) != (leader.raft.id, tail, tail):
                return None
        return (self.hosts[leader.raft.id], leader) if leader.raft.commit_to_current_term() else None

    def _states(self) -> Iterator[str]:
        for host in self.hosts.values():
            node = host.node
            if node is not None:
                log = node.raft.raft_log
                yield (
                    f"{host.id} {node.raft.state.name} term {node.raft.term} leader {node.raft.leader_id} "
                    f"log [{log.first_index()},{log.tail_index}] applied {log.applied}/{log.committed} "
                    f"{node.raft.prs.conf.to_conf_state()}"
                )


def _request_snapshot(node: RawNode) -> None:
    with suppress(RequestSnapshotDropped):
        node.request_snapshot()


def main(seed: int) -> int:
    """Run one seed and tell what happened last."""
    cluster = Cluster(seed, verbose=True)
    try:
        cluster.run()
    except Violation as e:
        print(*cluster.trace, sep="\n")
        print(e)
        return 1
    print(f"seed {seed}: no violation; {dict(cluster.done)}, {cluster.oracle.answered} reads")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
