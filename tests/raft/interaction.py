"""Runs scripted scenarios against the Raft core and prints what happened, for comparison with golden output.

A scenario file is a sequence of blocks: a command line, `----`, the expected output, an empty line. Lines starting with
`#` before a command are comments. FLAREDB_REWRITE=1 writes the actual output into the files; the diff is then reviewed.
After every command each node's invariants are checked, and that no two nodes applied different entries.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from flaredb.raft import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Config,
    ConfState,
    Entry,
    EntryType,
    HardState,
    LightReady,
    MemStorage,
    Message,
    MessageType,
    RaftError,
    RawNode,
    ReadOnlyOption,
    Ready,
    Snapshot,
    SnapshotMetadata,
    SnapshotStatus,
    SnapshotTemporarilyUnavailable,
    check_invariants,
    decode_entry,
    describe,
)

STABLE_AFTER_ROUNDS = 200
_CHANGES = {"v": ConfChangeType.AddNode, "l": ConfChangeType.AddLearnerNode, "r": ConfChangeType.RemoveNode}


class AppStorage(MemStorage):
    """A MemStorage whose snapshots hold what the state machine applied."""

    __slots__ = ("applied", "busy", "history")

    def __init__(self) -> None:
        super().__init__()
        self.applied = 0
        self.history: list[tuple[int, int, bytes]] = []
        self.busy = False

    def snapshot(self, request_index: int, to: int) -> Snapshot | None:
        if self.busy or self.applied < request_index:
            raise SnapshotTemporarilyUnavailable(f"no snapshot for {to}")
        data = b",".join(text for _, _, text in self.history if text)
        term = self.history[-1][1] if self.history else self.term(self.applied)
        return Snapshot(data, SnapshotMetadata(self.conf_state().copy(), self.applied, term))


@dataclass
class Member:
    """One node with its disk: `store` is what it wrote, `durable` what a crash leaves."""

    config: Config
    store: AppStorage
    durable: AppStorage
    node: RawNode | None
    staged: dict[int, AppStorage] = field(default_factory=dict)
    waiting: dict[int, list[Message]] = field(default_factory=dict)


class Interaction:
    """The nodes, the messages under way, and the commands."""

    def __init__(self) -> None:
        self.members: dict[int, Member] = {}
        self.in_flight: list[Message] = []
        self.cut: set[int] = set()
        self.out: list[str] = []
        self.talk = True
        self.agreed: dict[int, tuple[int, bytes]] = {}

    # Blocks.

    def run(self, line: str) -> str:
        """Run one command; its output."""
        self.out = []
        words = line.split()
        command: Callable[..., None] = getattr(self, "do_" + words[0].replace("-", "_"))
        try:
            command(*words[1:])
        except RaftError as e:
            self.say(f"{type(e).__name__}: {e}", always=True)
        for member in self.members.values():
            if member.node is not None:
                check_invariants(member.node)
        return "\n".join(self.out) or "ok"

    def say(self, line: str, always: bool = False) -> None:
        if self.talk or always:
            self.out.append(line)

    def node(self, name: str) -> RawNode:
        node = self.members[int(name)].node
        assert node is not None, f"{name} is down"
        return node

    # Setting up.

    def do_log(self, mode: str) -> None:
        self.talk = mode == "on"

    def do_add_nodes(self, *words: str) -> None:
        """add-nodes 3 [voters=1,2] [learners=3] [index=10] [option=value ...]: nodes with equal configuration."""
        options = dict(word.split("=") for word in words[1:])
        first = max(self.members, default=0) + 1
        ids = range(first, first + int(words[0]))
        learners = _ints(options.pop("learners", ""))
        voters = _ints(options.pop("voters", "")) or [i for i in ids if i not in learners]
        index = int(options.pop("index", "0"))
        empty = options.pop("empty", "") == "1"
        for i in ids:
            store = AppStorage()
            if not empty:
                store.initialize_with_conf_state(ConfState(voters, learners))
            if index:
                start = Snapshot(metadata=SnapshotMetadata(ConfState(voters, learners), index, 1))
                store.apply_snapshot(start)
                store.applied = index
            self.members[i] = Member(_config(i, options), store, copy.deepcopy(store), None)
            self._start(i)

    def _start(self, i: int) -> None:
        member = self.members[i]
        member.config.applied = member.store.applied
        member.staged, member.waiting = {}, {}
        member.node = RawNode(member.config, member.store, random.Random(i), lambda line: self.say("  " + line))

    def do_crash(self, name: str) -> None:
        """crash 1: the node is gone, and with it what it had not persisted."""
        member = self.members[int(name)]
        member.node = None
        member.store = copy.deepcopy(member.durable)

    def do_restart(self, name: str, *words: str) -> None:
        """restart 1 [option=value ...]: start from what was persisted."""
        member = self.members[int(name)]
        if member.node is not None:
            self.do_crash(name)
        for word in words:
            key, value = word.split("=")
            _set_option(member.config, key, value)
        self._start(int(name))

    def do_isolate(self, *names: str) -> None:
        """isolate 3: messages from and to it are lost until heal."""
        self.cut |= {int(n) for n in names}

    def do_heal(self) -> None:
        self.cut = set()

    # Inputs.

    def do_campaign(self, name: str) -> None:
        self.node(name).campaign()

    def do_tick(self, name: str, count: str = "1") -> None:
        for _ in range(int(count)):
            self.node(name).tick()

    def do_tick_election(self, name: str) -> None:
        """tick-election 1: as many ticks as an election timeout."""
        for _ in range(self.node(name).raft.election_timeout):
            self.node(name).tick()

    def do_timeout(self, name: str, ticks: str) -> None:
        """timeout 1 15: set the randomised election timeout."""
        self.node(name).raft.set_randomized_election_timeout(int(ticks))

    def do_propose(self, name: str, *datas: str) -> None:
        """propose 1 a b: one entry each, in one proposal."""
        self.node(name).propose_batch([d.encode() for d in datas])

    def do_propose_conf(self, name: str, *words: str) -> None:
        """propose-conf 1 [v1] [explicit|implicit] v4 r1 l2: change the configuration; no steps leave a joint one."""
        self.node(name).propose_conf_change(b"", _conf_change(list(words)))

    def do_read(self, name: str, rctx: str) -> None:
        self.node(name).read_index(rctx.encode())

    def do_transfer(self, name: str, to: str) -> None:
        self.node(name).transfer_leader(int(to))

    def do_ping(self, name: str) -> None:
        self.node(name).ping()

    def do_unreachable(self, name: str, other: str) -> None:
        self.node(name).report_unreachable(int(other))

    def do_report_snapshot(self, name: str, other: str, status: str) -> None:
        self.node(name).report_snapshot(int(other), SnapshotStatus[status.capitalize()])

    def do_request_snapshot(self, name: str) -> None:
        self.node(name).request_snapshot()

    def do_compact(self, name: str, index: str) -> None:
        """compact 1 5: forget entries up to 5; durable at once."""
        member = self.members[int(name)]
        for store in (member.store, member.durable):
            store.compact(int(index) + 1)

    def do_snapshot_busy(self, name: str, mode: str) -> None:
        self.members[int(name)].store.busy = mode == "on"

    def do_step(self, *words: str) -> None:
        """step 2 MsgRequestVote from=3 term=5 log_term=1 index=9: hand a node a message made up here."""
        m = Message(MessageType[words[1]], to=int(words[0]))
        for word in words[2:]:
            key, value = word.split("=")
            if key == "entries":
                m.entries = [_made_up_entry(e) for e in value.split(",")]
            elif key == "context":
                m.context = value.encode()
            elif key == "snapshot":
                term, index = _position(value)
                m.snapshot = Snapshot(metadata=SnapshotMetadata(ConfState(list(self.members)), index, term))
            else:
                setattr(m, "from_" if key == "from" else key, int(value))
        self.node(words[0]).step(m)

    # Outputs.

    def do_ready(self, *names: str) -> None:
        """ready 1: handle one Ready synchronously."""
        for name in names:
            self._handle(int(name))

    def do_ready_async(self, name: str) -> None:
        """ready-async 1: write one Ready without syncing it; `persist` follows."""
        i = int(name)
        member, node = self.members[i], self.node(name)
        if not node.has_ready():
            self.say(f"{i} has nothing to do")
            return
        rd = node.ready()
        self._say_ready(i, rd)
        self._store(member, rd)
        self.in_flight += rd.messages
        node.advance_append_async(rd)
        member.waiting[rd.number] = rd.persisted_messages
        self._apply(i, rd.committed_entries)
        member.staged[rd.number] = copy.deepcopy(member.store)

    def do_persist(self, name: str, number: str) -> None:
        """persist 1 3: the sync of Ready 3 and all before it is done."""
        member, node = self.members[int(name)], self.node(name)
        node.on_persist_ready(int(number))
        for n in sorted(k for k in member.staged if k <= int(number)):
            member.durable = member.staged.pop(n)
            self.in_flight += member.waiting.pop(n)

    def _handle(self, i: int) -> bool:
        member, node = self.members[i], self.node(str(i))
        if not node.has_ready():
            return False
        rd = node.ready()
        self._say_ready(i, rd)
        self._store(member, rd)
        self.in_flight += rd.messages + rd.persisted_messages
        self._apply(i, rd.committed_entries, report=False)
        light = node.advance_append(rd)
        self._say_light(i, light)
        self.in_flight += light.messages
        self._apply(i, light.committed_entries, report=False)
        member.durable = copy.deepcopy(member.store)
        node.advance_apply()
        return True

    def _store(self, member: Member, rd: Ready) -> None:
        store = member.store
        if rd.snapshot is not None:
            store.apply_snapshot(rd.snapshot)
            meta = rd.snapshot.metadata
            store.applied = meta.index
            store.history = [(meta.index, meta.term, rd.snapshot.data)]
        store.append(rd.entries)
        if rd.hs is not None:
            store.set_hardstate(HardState(rd.hs.term, rd.hs.vote, rd.hs.commit))

    def _apply(self, i: int, entries: list[Entry], report: bool = True) -> None:
        store, node = self.members[i].store, self.node(str(i))
        for e in entries:
            assert e.index == store.applied + 1, f"{i} applies {e.index} after {store.applied}"
            known = self.agreed.setdefault(e.index, (e.term, e.data))
            assert known == (e.term, e.data), f"{i} applied another {e.index}"
            store.applied = e.index
            if e.entry_type != EntryType.EntryNormal:
                store.set_conf_state(node.apply_conf_change(decode_entry(e)))
                store.history.append((e.index, e.term, b""))
            else:
                store.history.append((e.index, e.term, e.data))
        if report and entries:
            node.advance_apply_to(entries[-1].index)

    def _say_ready(self, i: int, rd: Ready) -> None:
        self.say(f"{i} ready {rd.number}" + (" must-sync" if rd.must_sync else ""))
        for what in (rd.ss, rd.hs, rd.snapshot):
            if what is not None:
                self.say("  " + describe(what))
        for e in rd.entries:
            self.say("  append " + describe(e))
        for rs in rd.read_states:
            self.say("  " + describe(rs))
        self._say_messages("send ", rd.messages)
        self._say_messages("after sync send ", rd.persisted_messages)
        for e in rd.committed_entries:
            self.say("  apply " + describe(e))

    def _say_light(self, i: int, light: LightReady) -> None:
        if light.commit_index is not None or light.committed_entries or light.messages:
            commit = f" commit={light.commit_index}" if light.commit_index is not None else ""
            self.say(f"{i} persisted{commit}")
            self._say_messages("send ", light.messages)
            for e in light.committed_entries:
                self.say("  apply " + describe(e))

    def _say_messages(self, how: str, messages: list[Message]) -> None:
        for m in messages:
            self.say("  " + how + describe(m))

    def do_deliver(self, *words: str) -> None:
        """deliver 2 3 [from=1] [type=MsgAppend] [drop] [twice] [reverse]: hand over what is under way to them."""
        ids = [int(w) for w in words if w.isdigit()]
        options = dict(w.split("=") for w in words if "=" in w)
        chosen = [m for m in self.in_flight if self._chosen(m, ids, options)]
        self.in_flight = [m for m in self.in_flight if not any(m is c for c in chosen)]
        if "reverse" in words:
            chosen.reverse()
        for m in chosen:
            if "drop" in words:
                self.say("dropped " + describe(m))
                continue
            for _ in range(2 if "twice" in words else 1):
                self._step(m)

    def _chosen(self, m: Message, ids: list[int], options: dict[str, str]) -> bool:
        return (
            (not ids or m.to in ids)
            and ("from" not in options or m.from_ == int(options["from"]))
            and ("type" not in options or m.msg_type.name == options["type"])
        )

    def _step(self, m: Message) -> None:
        member = self.members.get(m.to)
        if m.to in self.cut or m.from_ in self.cut or member is None or member.node is None:
            self.say("lost " + describe(m))
            return
        self.say("deliver " + describe(m))
        try:
            member.node.step(copy.copy(m))
        except RaftError as e:
            self.say(f"  {type(e).__name__}: {e}")

    def do_stabilize(self, *names: str) -> None:
        """stabilize [1 2]: Readys and deliveries, of these nodes or all, until nothing is left to do."""
        ids = [int(n) for n in names] or sorted(self.members)
        for _ in range(STABLE_AFTER_ROUNDS):
            alive = [i for i in ids if self.members[i].node is not None]
            worked = [self._handle(i) for i in alive]
            due = [m for m in self.in_flight if m.to in ids or m.to not in self.members]
            self.in_flight = [m for m in self.in_flight if not any(m is d for d in due)]
            for m in due:
                self._step(m)
            if not any(worked) and not due:
                return
        raise AssertionError("never stable")

    # Looking.

    def do_raft_state(self, *names: str) -> None:
        for name in names or [str(i) for i in self.members]:
            if self.members[int(name)].node is None:
                self.say(f"{name} is down", always=True)
            else:
                self.say(describe(self.node(name)), always=True)

    def do_status(self, name: str) -> None:
        self.say(describe(self.node(name).status()), always=True)

    def do_raft_log(self, *names: str) -> None:
        for name in names:
            log = self.node(name).raft.raft_log
            self.say(f"{name}: " + ", ".join(describe(e) for e in log.all_entries()), always=True)

    def do_applied(self, *names: str) -> None:
        for name in names or [str(i) for i in self.members]:
            history = self.members[int(name)].store.history
            text = " ".join(t.decode() for _, _, t in history if t)
            self.say(f"{name}: {self.members[int(name)].store.applied} [{text}]", always=True)


def _ints(text: str) -> list[int]:
    return [int(x) for x in text.split(",") if x]


def _position(text: str) -> tuple[int, int]:
    term, index = text.split("/")
    return int(term), int(index)


def _made_up_entry(text: str) -> Entry:
    """`3/7` or `3/7:data`."""
    position, _, data = text.partition(":")
    return Entry(EntryType.EntryNormal, *_position(position), data.encode())


def _config(i: int, options: dict[str, str]) -> Config:
    config = Config(id=i, election_tick=10, heartbeat_tick=2)
    for key, value in options.items():
        _set_option(config, key, value)
    return config


def _set_option(config: Config, key: str, value: str) -> None:
    name = key.replace("-", "_")
    if name == "read_only_option":
        config.read_only_option = ReadOnlyOption[value]
    elif isinstance(getattr(config, name), bool):
        setattr(config, name, value == "1")
    else:
        setattr(config, name, int(value))


def _conf_change(words: list[str]) -> ConfChange | ConfChangeV2:
    v1 = "v1" in words and words[0] == "v1"
    if v1:
        words = words[1:]
    transition = ConfChangeTransition.Auto
    if words and words[0] in ("explicit", "implicit"):
        transition = ConfChangeTransition[words.pop(0).capitalize()]
    steps = [ConfChangeSingle(_CHANGES[w[0]], int(w[1:])) for w in words]
    if v1:
        return ConfChange(steps[0].change_type, steps[0].node_id)
    return ConfChangeV2(transition, steps)


# Scenario files.


@dataclass
class Block:
    """A command with the comment before it and the output expected of it."""

    comment: list[str]
    command: str
    expected: str


def parse(text: str) -> list[Block]:
    """The blocks of a scenario file."""
    blocks = []
    comment: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        if not line.strip() or line.startswith("#"):
            comment.append(line)
            continue
        expected: list[str] = []
        for following in lines:
            if following == "----":
                continue
            if not following:
                break
            expected.append(following)
        blocks.append(Block(comment, line, "\n".join(expected)))
        comment = []
    return blocks


def run_file(path: Path, rewrite: bool) -> list[tuple[str, str, str]]:
    """Run a scenario; what differs, as (command, expected, actual). Writes the file instead when rewriting."""
    blocks = parse(path.read_text())
    interaction = Interaction()
    differences = []
    written = []
    for block in blocks:
        actual = interaction.run(block.command)
        if actual != block.expected:
            differences.append((block.command, block.expected, actual))
        written += [*block.comment, block.command, "----", actual, ""]
    if rewrite:
        path.write_text("\n".join(written).strip("\n") + "\n")
        return []
    return differences
