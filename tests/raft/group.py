"""A few nodes in memory whose messages a test delivers, drops or inspects; everything persists at once."""

from __future__ import annotations

import random
from typing import Any

from flaredb.raft import (
    Config,
    ConfState,
    Entry,
    EntryType,
    HardState,
    MemStorage,
    Message,
    MessageType,
    RawNode,
    StepPeerNotFound,
    check_invariants,
    decode_entry,
)


def config(i: int, **options: Any) -> Config:
    """A node's settings: an election timeout of 10 ticks, a heartbeat every tick."""
    made = Config(id=i, election_tick=10, heartbeat_tick=1)
    for name, value in options.items():
        setattr(made, name, value)
    return made


def entry(term: int, index: int, data: bytes = b"") -> Entry:
    return Entry(EntryType.EntryNormal, term, index, data)


def log_of(*terms: int) -> list[Entry]:
    """Entries from index 1 on with these terms."""
    return [entry(term, i) for i, term in enumerate(terms, 1)]


def make_node(
    i: int,
    voters: list[int],
    log: list[Entry] | None = None,
    hard_state: HardState | None = None,
    learners: list[int] | None = None,
    **options: Any,
) -> RawNode:
    """A node that starts with this log and hard state."""
    store = MemStorage.new_with_conf_state(ConfState(list(voters), list(learners or [])))
    store.append(log or [])
    if hard_state is not None:
        store.set_hardstate(hard_state)
    elif log:
        store.set_hardstate(HardState(log[-1].term, 0, 0))
    return RawNode(config(i, **options), store, random.Random(i))


def persist(node: RawNode) -> tuple[list[Message], list[Entry]]:
    """Handle Readys until there are none: everything stored, applied; the messages and the applied entries."""
    messages: list[Message] = []
    applied: list[Entry] = []
    while node.has_ready():
        rd = node.ready()
        store = node.store()
        assert isinstance(store, MemStorage)
        if rd.snapshot is not None:
            store.apply_snapshot(rd.snapshot)
        store.append(rd.entries)
        if rd.hs is not None:
            store.set_hardstate(rd.hs)
        light = node.advance_append(rd)
        messages += rd.messages + rd.persisted_messages + light.messages
        for e in rd.committed_entries + light.committed_entries:
            applied.append(e)
            if e.entry_type != EntryType.EntryNormal:
                store.set_conf_state(node.apply_conf_change(decode_entry(e)))
        node.advance_apply()
        check_invariants(node)
    return messages, applied


def sent(node: RawNode, kind: MessageType | None = None) -> list[Message]:
    """What the node wants to send after persisting everything, of one type or all."""
    messages, _ = persist(node)
    return [m for m in messages if kind is None or m.msg_type == kind]


class Group:
    """Nodes and the links between them."""

    def __init__(self, nodes: dict[int, RawNode]) -> None:
        self.nodes = nodes
        self.applied: dict[int, list[Entry]] = {i: [] for i in nodes}
        self.cut: set[tuple[int, int]] = set()
        self.queue: list[Message] = []
        self.ignored: set[MessageType] = set()

    @classmethod
    def of(cls, count: int, **options: Any) -> Group:
        """A group of equal nodes 1..count without log."""
        ids = list(range(1, count + 1))
        return cls({i: make_node(i, ids, **options) for i in ids})

    def __getitem__(self, i: int) -> RawNode:
        return self.nodes[i]

    def isolate(self, i: int) -> None:
        """Lose everything from and to a node."""
        for j in self.nodes:
            self.cut |= {(i, j), (j, i)}

    def heal(self) -> None:
        self.cut = set()
        self.ignored = set()

    def collect(self) -> None:
        """Let every node persist, apply and hand out its messages."""
        for i, node in self.nodes.items():
            messages, applied = persist(node)
            self.queue += messages
            self.applied[i] += applied

    def deliver(self) -> bool:
        """Hand over what is queued."""
        queue, self.queue = self.queue, []
        for m in queue:
            if (m.from_, m.to) in self.cut or m.to not in self.nodes or m.msg_type in self.ignored:
                continue
            try:
                self.nodes[m.to].step(m)
            except StepPeerNotFound:
                continue
            check_invariants(self.nodes[m.to])
        return bool(queue)

    def settle(self) -> None:
        """Collect and deliver until nothing moves."""
        for _ in range(500):
            self.collect()
            if not self.deliver():
                return
        raise AssertionError("never settled")

    def elect(self, i: int) -> None:
        self.nodes[i].campaign()
        self.settle()
        assert self.nodes[i].raft.leader_id == i

    def data(self, i: int) -> list[bytes]:
        """The data a node has applied, without empty entries."""
        return [e.data for e in self.applied[i] if e.data]
