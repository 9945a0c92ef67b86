"""One stable line for every type: the same in logs, in golden files and in error messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .confchange_codec import decode_entry
from .errors import CodecError
from .progress import Inflights, Progress
from .quorum import JointConfig
from .raft import Raft
from .raft_log import RaftLog
from .raw_node import LightReady, RawNode, Ready, Status
from .tracker import Configuration, ProgressTracker
from .types import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    ReadState,
    Snapshot,
    SoftState,
)

_CHANGE_LETTER = {
    ConfChangeType.AddNode: "v",
    ConfChangeType.AddLearnerNode: "l",
    ConfChangeType.RemoveNode: "r",
}

Describable = (
    Entry
    | Message
    | HardState
    | SoftState
    | ConfState
    | Snapshot
    | ReadState
    | ConfChange
    | ConfChangeV2
    | ConfChangeSingle
    | JointConfig
    | Configuration
    | Progress
    | Inflights
    | ProgressTracker
    | RaftLog
    | Ready
    | LightReady
    | Status
    | Raft
    | RawNode
)


def describe(thing: Describable) -> str:
    """One line that names everything of importance; equal things give equal lines, in every run."""
    return _DESCRIBE[type(thing)](thing)


def describe_bytes(data: bytes) -> str:
    """Readable where it is text, hexadecimal where not."""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        return "0x" + data.hex()
    return f'"{text}"' if text.isprintable() else "0x" + data.hex()


def _entry(e: Entry) -> str:
    head = f"{e.term}/{e.index} {e.entry_type.name}"
    if e.entry_type == EntryType.EntryNormal:
        body = describe_bytes(e.data) if e.data else ""
    else:
        try:
            body = _change_v2(decode_entry(e))
        except CodecError:
            body = describe_bytes(e.data)
    context = f" ctx={describe_bytes(e.context)}" if e.context else ""
    return f"{head} {body}".rstrip() + context


def _message(m: Message) -> str:
    kind = m.msg_type
    parts = [f"{m.from_}->{m.to} {kind.name} term={m.term}"]
    if m.log_term or m.index or kind == MessageType.MsgAppend:
        parts.append(f"log={m.log_term}/{m.index}")
    if m.commit:
        parts.append(f"commit={m.commit}")
    if m.reject:
        parts.append("reject")
    if m.reject_hint:
        parts.append(f"hint={m.reject_hint}")
    if m.request_snapshot:
        parts.append(f"request_snapshot={m.request_snapshot}")
    if m.priority:
        parts.append(f"priority={m.priority}")
    if m.context:
        parts.append(f"ctx={describe_bytes(m.context)}")
    if m.snapshot is not None:
        parts.append(_snapshot(m.snapshot))
    if m.entries:
        parts.append("[" + ", ".join(_entry(e) for e in m.entries) + "]")
    return " ".join(parts)


def _hard_state(hs: HardState) -> str:
    return f"term={hs.term} vote={hs.vote} commit={hs.commit}"


def _soft_state(ss: SoftState) -> str:
    return f"leader={ss.leader_id} role={ss.raft_state.name}"


def _conf_state(cs: ConfState) -> str:
    return str(cs)


def _configuration(conf: Configuration) -> str:
    return str(conf.to_conf_state())


def _joint(voters: JointConfig) -> str:
    return str(ConfState(list(voters.incoming), voters_outgoing=list(voters.outgoing)))


def _snapshot(s: Snapshot) -> str:
    meta = s.metadata
    data = f" {describe_bytes(s.data)}" if s.data else ""
    return f"snapshot({meta.term}/{meta.index} {_conf_state(meta.conf_state)}{data})"


def _read_state(rs: ReadState) -> str:
    return f"read {describe_bytes(rs.request_ctx)} at {rs.index}"


def _change(cc: ConfChange) -> str:
    return _change_v2(cc.as_v2())


def _change_v2(cc: ConfChangeV2) -> str:
    how = "" if cc.transition == 0 else f"{cc.transition.name} "
    steps = " ".join(_change_single(c) for c in cc.changes) or "leave-joint"
    context = f" ctx={describe_bytes(cc.context)}" if cc.context else ""
    return how + steps + context


def _change_single(c: ConfChangeSingle) -> str:
    return f"{_CHANGE_LETTER[c.change_type]}{c.node_id}"


def _progress(pr: Progress) -> str:
    parts = [f"{pr.state.name} match={pr.matched} next={pr.next_idx}"]
    if pr.is_paused():
        parts.append("paused")
    if pr.pending_snapshot:
        parts.append(f"pending_snapshot={pr.pending_snapshot}")
    if pr.pending_request_snapshot:
        parts.append(f"request_snapshot={pr.pending_request_snapshot}")
    if not pr.recent_active:
        parts.append("inactive")
    if pr.ins.count():
        parts.append(_inflights(pr.ins))
    return " ".join(parts)


def _inflights(ins: Inflights) -> str:
    full = " full" if ins.full() else ""
    return f"inflight={ins.count()}{full}"


def _tracker(prs: ProgressTracker) -> str:
    members = ", ".join(f"{i}: {_progress(pr)}" for i, pr in prs.items())
    return f"{_configuration(prs.conf)} [{members}]"


def _log(log: RaftLog) -> str:
    return (
        f"first={log.first_index()} last={log.tail_term}/{log.tail_index} committed={log.committed} "
        f"persisted={log.persisted} applied={log.applied} unstable={len(log.unstable.entries)}"
    )


def _ready(rd: Ready) -> str:
    parts = [f"ready {rd.number}" + (" must_sync" if rd.must_sync else "")]
    if rd.ss is not None:
        parts.append(f"ss({_soft_state(rd.ss)})")
    if rd.hs is not None:
        parts.append(f"hs({_hard_state(rd.hs)})")
    if rd.snapshot is not None:
        parts.append(_snapshot(rd.snapshot))
    parts += _listed("entries", (_entry(e) for e in rd.entries))
    parts += _listed("committed", (_entry(e) for e in rd.committed_entries))
    parts += _listed("messages", (_message(m) for m in rd.messages))
    parts += _listed("persisted_messages", (_message(m) for m in rd.persisted_messages))
    parts += _listed("reads", (_read_state(rs) for rs in rd.read_states))
    return " ".join(parts)


def _light_ready(rd: LightReady) -> str:
    parts = ["light"]
    if rd.commit_index is not None:
        parts.append(f"commit={rd.commit_index}")
    parts += _listed("committed", (_entry(e) for e in rd.committed_entries))
    parts += _listed("messages", (_message(m) for m in rd.messages))
    return " ".join(parts)


def _listed(name: str, lines: Iterable[str]) -> list[str]:
    text = ", ".join(lines)
    return [f"{name}[{text}]"] if text else []


def _status(status: Status) -> str:
    tracker = f" {_tracker(status.progress)}" if status.progress is not None else ""
    return f"{status.id} {_soft_state(status.ss)} {_hard_state(status.hs)} applied={status.applied}{tracker}"


def _raft(r: Raft) -> str:
    transfer = f" transferee={r.lead_transferee}" if r.lead_transferee is not None else ""
    state = f"{r.id} {r.state.name} leader={r.leader_id} {_hard_state(r.hard_state())}"
    return f"{state}{transfer} {_configuration(r.prs.conf)} {_log(r.raft_log)}"


def _raw_node(node: RawNode) -> str:
    return _raft(node.raft)


_DESCRIBE: dict[type, Callable[[Any], str]] = {
    Entry: _entry,
    Message: _message,
    HardState: _hard_state,
    SoftState: _soft_state,
    ConfState: _conf_state,
    Snapshot: _snapshot,
    ReadState: _read_state,
    ConfChange: _change,
    ConfChangeV2: _change_v2,
    ConfChangeSingle: _change_single,
    JointConfig: _joint,
    Configuration: _configuration,
    Progress: _progress,
    Inflights: _inflights,
    ProgressTracker: _tracker,
    RaftLog: _log,
    Ready: _ready,
    LightReady: _light_ready,
    Status: _status,
    Raft: _raft,
    RawNode: _raw_node,
}
