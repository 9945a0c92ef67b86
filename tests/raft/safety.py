"""What must hold of a whole group, whatever happens: the five properties of the Raft paper's figure 3, and more.

An oracle that sees everything: it is told of every message that leaves, every write that becomes durable, every entry
that is applied, every read that is answered, and looks at a node after each of its steps.
"""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass, field

from flaredb.raft import (
    ConfState,
    Entry,
    HardState,
    Message,
    MessageType,
    RawNode,
    ReadState,
    StateRole,
    check_invariants,
)

from .disk import Disk, Write

M = MessageType


class Violation(AssertionError):
    """A property does not hold."""


@dataclass
class Host:
    """A replica, running or crashed."""

    id: int
    disk: Disk
    node: RawNode | None = None
    incarnation: int = 0
    held: deque[tuple[int, list[Message]]] = field(default_factory=deque)
    """Messages that wait until the Ready of that number is durable."""
    to_apply: deque[Entry] = field(default_factory=deque)
    seen: HardState = field(default_factory=HardState)
    """Term and commit index after the previous step."""
    led_term: int = 0
    led_tail: tuple[int, int] = (0, 0)
    """While leading led_term: index and term of the last entry after the previous step."""


@dataclass(frozen=True)
class Election:
    """A leadership and the log it began with: `terms[i]` is the term of the entry at first_index + i."""

    leader: int
    incarnation: int
    first_index: int
    terms: list[int]


def require(holds: bool, text: str) -> None:
    """Raise a Violation unless it holds."""
    if not holds:
        raise Violation(text)


def _decides(conf: ConfState, ids: set[int]) -> bool:
    """More than half of the voters of every half."""
    return all(2 * len(ids & set(half)) > len(half) for half in (conf.voters, conf.voters_outgoing) if half)


def _holds(disk: Disk, index: int, term: int) -> bool:
    """An entry survives a crash there, itself or in a snapshot."""
    durable = disk.durable
    if index < durable.first_index():
        return True
    return index <= durable.last_index() and durable.term(index) == term


class Oracle:
    """Everything that was ever decided or promised."""

    def __init__(self, first_index: int, term: int, conf_state: ConfState) -> None:
        base = first_index - 1
        self.committed = base
        """Highest index that any node ever knew to be committed."""
        self.chosen: dict[int, Entry] = {base: Entry(term=term, index=base)}
        self.chosen_in: dict[int, int] = {base: 0}
        """Term of the leader that committed an index first."""
        self.digests: dict[int, int] = {base: 0}
        self.confs: dict[int, ConfState] = {base: conf_state}
        """Configuration after an index, where it changed."""
        self.conf_index = base
        self.entries: dict[tuple[int, int], tuple[Entry, int]] = {}
        """(index, term) -> the entry that was sent or stored there, and the term of the one before it."""
        self.elections: dict[int, Election] = {}
        self.votes: dict[tuple[int, int], int] = {}
        """(voter, term) -> candidate that was told of the vote."""
        self.reads: dict[bytes, tuple[int, int]] = {}
        """Read -> commit index of the whole group, and the latest term with a leader, when it was asked."""
        self.answered = 0
        self.hosts: dict[int, Host] = {}

    # After each step of a node.

    def watch(self, hosts: dict[int, Host]) -> None:
        """Whose disks to look at when something is decided."""
        self.hosts = hosts

    def look(self, host: Host) -> None:
        """Check a node that did something."""
        node = host.node
        if node is None:
            return
        check_invariants(node)
        raft = node.raft
        committed = raft.raft_log.committed
        require(raft.term >= host.seen.term, f"{host.id}: term went back from {host.seen.term} to {raft.term}")
        require(committed >= host.seen.commit, f"{host.id}: commit went back from {host.seen.commit} to {committed}")
        if raft.state is StateRole.Leader:
            self._append_only(host, node)
            self._election(host, node)
        else:
            host.led_term = 0
        if committed > host.seen.commit:
            self._commit(host, node, host.seen.commit + 1, committed)
        host.seen.term, host.seen.commit = raft.term, committed

    def _append_only(self, host: Host, node: RawNode) -> None:
        """A leader never overwrites or deletes entries of its log."""
        log = node.raft.raft_log
        if host.led_term == node.raft.term:
            index, term = host.led_tail
            require(
                index <= log.tail_index and (index < log.first_index() or log.term(index) == term),
                f"leader append-only: {host.id} at term {host.led_term} changed its log at or below {index}",
            )
        host.led_term = node.raft.term
        host.led_tail = (log.tail_index, log.tail_term)

    def _election(self, host: Host, node: RawNode) -> None:
        """At most one leader per term. Who leads only in memory has told nobody yet, so it does not count."""
        term = node.raft.term
        stored = host.disk.durable.hard_state()
        if (stored.term, stored.vote) != (term, host.id):
            return
        known = self.elections.get(term)
        if known is not None:
            require(
                (known.leader, known.incarnation) == (host.id, host.incarnation),
                f"election safety: {known.leader} and {host.id} lead term {term}",
            )
            return
        voted = {host.id} | {v for (v, at), candidate in self.votes.items() if (at, candidate) == (term, host.id)}
        require(_decides(host.disk.applied.conf_state, voted), f"{host.id} leads term {term} by the votes of {voted}")
        log = node.raft.raft_log
        first = log.first_index()
        election = Election(host.id, host.incarnation, first, [e.term for e in log.all_entries()])
        self.elections[term] = election
        for index in range(first, self.committed + 1):
            if self.chosen_in[index] < term:
                self._complete(election, term, index)

    def _complete(self, election: Election, term: int, index: int) -> None:
        """Whatever was committed in an earlier term is in a leader's log."""
        at = index - election.first_index
        require(
            at < 0 or (at < len(election.terms) and election.terms[at] == self.chosen[index].term),
            f"leader completeness: {election.leader} leads term {term} without committed entry {index}",
        )

    def _commit(self, host: Host, node: RawNode, low: int, high: int) -> None:
        log = node.raft.raft_log
        require(
            high <= self.committed or node.raft.state is StateRole.Leader,
            f"{host.id} knows {high} to be committed, no leader does",
        )
        if high > self.committed:
            term = log.term(high)
            require(term == node.raft.term, f"{host.id} counted ({high},{term}) at term {node.raft.term}")
            holders = {h.id for h in self.hosts.values() if _holds(h.disk, high, term)}
            require(
                _decides(host.disk.applied.conf_state, holders),
                f"{host.id} committed ({high},{term}), which only {holders} hold",
            )
        for index in range(max(low, log.first_index()), high + 1):
            if index > self.committed:
                self._choose(log.slice(index, index + 1, None)[0], node.raft.term)
            term = log.term(index)
            require(
                term == self.chosen[index].term,
                f"state machine safety: {host.id} committed ({index},{term}), chosen was {self.chosen[index]}",
            )
        snap = node.snap()
        if snap is not None:
            index, term = snap.metadata.index, snap.metadata.term
            require(term == self.chosen[index].term, f"{host.id}: snapshot of ({index},{term}) was not chosen")

    def _choose(self, entry: Entry, leader_term: int) -> None:
        index = entry.index
        self.committed = index
        self.chosen[index] = entry
        self.chosen_in[index] = leader_term
        self.digests[index] = zlib.crc32(
            b"%d:%d:%s" % (entry.term, entry.entry_type, entry.data), self.digests[index - 1]
        )
        for term, election in self.elections.items():
            if term > leader_term:
                self._complete(election, term, index)

    # What leaves a node, and what its disk keeps.

    def sent(self, host: Host, m: Message) -> None:
        """Check a message that leaves: it promises nothing that a crash could take back."""
        if m.from_ != host.id:
            return
        stored = host.disk.durable.hard_state()
        kind = m.msg_type
        if kind == M.MsgAppend:
            self.placed(m.log_term, m.entries)
        if kind not in (M.MsgRequestPreVote, M.MsgRequestPreVoteResponse):
            require(m.term <= stored.term, f"persist before answering: {host.id} sent {kind.name} of an unstored term")
        if m.reject:
            return
        if kind == M.MsgAppendResponse:
            last = host.disk.durable.last_index()
            # A later term may have replaced what was acknowledged before it was ever written: only that is stored then,
            # and nothing of the acknowledgement's term can be asked of this node any more.
            require(
                m.index <= last or stored.term > m.term,
                f"persist before answering: {host.id} acknowledged {m.index}, holds {last}",
            )
        elif kind == M.MsgRequestVoteResponse:
            require(
                stored.term > m.term or (stored.term, stored.vote) == (m.term, m.to),
                f"persist before answering: {host.id} votes for {m.to} at {m.term}, stored {stored}",
            )
            first = self.votes.setdefault((host.id, m.term), m.to)
            require(first == m.to, f"one vote per term: {host.id} voted for {first} and {m.to} at term {m.term}")

    def placed(self, prev_term: int, entries: list[Entry]) -> None:
        """Log matching: index and term name one entry, and with it the one before, so everything before."""
        for e in entries:
            known, known_prev = self.entries.setdefault((e.index, e.term), (e, prev_term))
            if known is not e or prev_term != known_prev:
                require(
                    known == e and prev_term == known_prev,
                    f"log matching: {e} after term {prev_term}, and {known} after term {known_prev}",
                )
            prev_term = e.term

    def synced(self, host: Host, write: Write, before: HardState) -> None:
        """Check a write that has become durable; `before` is the hard state stored until then."""
        durable = host.disk.durable
        hs = durable.hard_state()
        require(
            hs.term > before.term or (hs.term == before.term and before.vote in (0, hs.vote)),
            f"one vote per term: {host.id} stored {hs} after {before}",
        )
        require(hs.commit >= before.commit, f"{host.id} stored {hs} after {before}")
        if write.entries:
            self.placed(durable.term(write.entries[0].index - 1), write.entries)

    # What the state machine sees.

    def applied(self, host: Host, e: Entry, previous_digest: int) -> int:
        """Check an entry that is applied; returns the state machine's digest after it."""
        require(e.index == host.disk.applied.index + 1, f"{host.id} applies {e.index} after {host.disk.applied.index}")
        require(
            e.index <= self.committed and self.chosen[e.index] == e,
            f"state machine safety: {host.id} applies {e}, chosen was {self.chosen.get(e.index)}",
        )
        require(previous_digest == self.digests[e.index - 1], f"{host.id} applies {e.index} to a different state")
        return self.digests[e.index]

    def changed(self, host: Host, index: int, cs: ConfState) -> None:
        """Every node passes through the same configurations."""
        known = self.confs.setdefault(index, cs)
        require(known.equivalent(cs), f"{host.id} has {cs} after {index}, others {known}")
        self.conf_index = max(self.conf_index, index)

    def latest_conf(self) -> ConfState:
        """The youngest configuration that anybody applied."""
        return self.confs[self.conf_index]

    def asked(self, rctx: bytes) -> None:
        """A read begins: it must see everything that is committed now."""
        self.reads[rctx] = (self.committed, max(self.elections, default=0))

    def answered_read(self, host: Host, read: ReadState) -> None:
        """Check an answered read."""
        assert host.node is not None
        floor, led_term = self.reads[read.request_ctx]
        require(
            read.index >= floor,
            f"linearizable reads: {host.id} reads at {read.index}, {floor} was committed before it asked",
        )
        require(
            host.node.raft.term >= led_term,
            f"linearizable reads: {host.id} reads at term {host.node.raft.term}, term {led_term} had its leader before",
        )
        self.answered += 1
