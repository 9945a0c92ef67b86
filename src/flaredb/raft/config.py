"""Settings of one node."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from .errors import ConfigInvalid
from .types import INVALID_ID, NO_LIMIT


class LeaseClock:
    """The time that leases are counted by, in units of the application's choosing; all groups of a process share it.

    The application sets ``now`` from a monotonic clock before each batch of inputs, after it has taken the inputs.
    Invariant: it never goes back, and stays above 0.
    """

    __slots__ = ("is_trusted", "now")

    def __init__(self, now: int = 1) -> None:
        self.now = now
        self.is_trusted = True
        """False: the application knows of a member whose clock runs too fast beside this one, so no lease counts."""


class ReadOnlyOption(IntEnum):
    """How `read_index` proves that this node still leads.

    Safe: by a round of heartbeats a quorum answers (dissertation section 6.4). LeaseBased: by a lease that heartbeat
    answers renew (section 6.4.1), and by a round when the lease is not valid. Leases assume that no two members' ticks
    differ in speed by more than one tick per election timeout, and every member must use the same option.
    """

    Safe = 0
    LeaseBased = 1


@dataclass(slots=True)
class Config:
    """Settings of one node; units are in ticks, bytes or counts as said. `validate()` checks their relations."""

    id: int = INVALID_ID
    """This replica's id, unique in the group, not 0."""
    election_tick: int = 20
    """Ticks without a leader before an election may start; also the length of the leader's lease of votes."""
    heartbeat_tick: int = 2
    """Ticks between heartbeats of a leader. Must be below election_tick; a tenth of it is usual."""
    applied: int = 0
    """Last index the state machine has applied durably; entries up to it are not handed out again."""
    max_size_per_msg: int = 1 << 20
    """Bytes of entries per append message; 0 sends one entry per message."""
    max_inflight_msgs: int = 256
    """Append messages in flight to one follower."""
    max_inflight_bytes: int = NO_LIMIT
    """Bytes of entries in flight to one follower; the message that crosses the limit is still sent."""
    check_quorum: bool = False
    """A leader that has not heard from a quorum for an election timeout steps down, and members that hear a leader
    refuse to vote (dissertation section 6.2 and 4.2.3)."""
    pre_vote: bool = False
    """Ask whether an election could be won before disturbing the group with a new term (section 9.6)."""
    min_election_tick: int = 0
    """Lower end of the randomised timeout, 0 means election_tick."""
    max_election_tick: int = 0
    """Upper end of the randomised timeout (exclusive), 0 means twice election_tick."""
    read_only_option: ReadOnlyOption = ReadOnlyOption.Safe
    """How reads are confirmed. LeaseBased needs check_quorum."""
    keeps_promises: bool = False
    """Keep the promises that leases rest on although this node itself reads by rounds, so that members with either
    option may serve together. Needs check_quorum."""
    lease_clock: LeaseClock | None = None
    """What leases are counted by; None: by this node's own ticks."""
    lease_length: int = 0
    """How long after its sending an answered heartbeat proves leadership, in units of lease_clock: with the margin for
    clocks of different speed, less than a member's election timeout. 0: election_tick - 1 ticks."""
    skip_bcast_commit: bool = False
    """Do not send a message only to tell followers of a new commit index; the next append or heartbeat tells them."""
    batch_append: bool = False
    """Add entries to an append message to the same follower that has not left yet."""
    priority: int = 0
    """A node refuses to vote for one of lower priority whose log is not longer than its own."""
    max_uncommitted_size: int = NO_LIMIT
    """Bytes of data proposed and not yet handed out as committed; beyond it proposals are dropped."""
    max_committed_size_per_ready: int = NO_LIMIT
    """Bytes of committed entries per Ready; at least one entry is handed out."""
    max_apply_unpersisted_log_limit: int = 0
    """How many entries a leader may hand out as committed beyond what it has persisted itself."""
    disable_proposal_forwarding: bool = False
    """A follower drops proposals instead of forwarding them to its leader."""
    max_pending_reads: int = 4096
    """Read requests a leader holds unconfirmed; further ones are dropped, to be asked again."""
    first_start: bool = False
    """True when this replica never ran before (bootstrap, split): it gave no lease promise that it could have
    forgotten, so with LeaseBased it may vote at once instead of after an election timeout."""

    def min_election_ticks(self) -> int:
        """The lower end of the randomised election timeout, in ticks."""
        return self.min_election_tick or self.election_tick

    def max_election_ticks(self) -> int:
        """The upper end of the randomised election timeout, exclusive, in ticks."""
        return self.max_election_tick or 2 * self.election_tick

    def validate(self) -> None:
        """Check the relations between the settings.

        Errors: ConfigInvalid, which names the setting to change.
        """
        low, high = self.min_election_ticks(), self.max_election_ticks()
        lease = self.read_only_option == ReadOnlyOption.LeaseBased
        rules = (
            (self.id > INVALID_ID, "id must be positive"),
            (self.heartbeat_tick > 0, "heartbeat_tick must be positive"),
            (self.election_tick > self.heartbeat_tick, "election_tick must be above heartbeat_tick"),
            (low >= self.election_tick, f"min_election_tick {low} is below election_tick {self.election_tick}"),
            (low < high, f"min_election_tick {low} is not below max_election_tick {high}"),
            (self.applied >= 0, "applied must not be negative"),
            (self.max_inflight_msgs > 0, "max_inflight_msgs must be positive"),
            (self.max_inflight_bytes > 0, "max_inflight_bytes must be positive"),
            (self.max_inflight_bytes >= self.max_size_per_msg, "max_inflight_bytes is below max_size_per_msg"),
            (self.max_pending_reads > 0, "max_pending_reads must be positive"),
            (self.check_quorum or not lease, "read_only_option LeaseBased needs check_quorum"),
            (self.check_quorum or not self.keeps_promises, "keeps_promises needs check_quorum"),
            (
                (self.lease_clock is None) == (self.lease_length == 0),
                "lease_clock and lease_length go together: a length is counted by some clock",
            ),
            (self.max_uncommitted_size >= self.max_size_per_msg, "max_uncommitted_size is below max_size_per_msg"),
        )
        for holds, reason in rules:
            if not holds:
                raise ConfigInvalid(f"raft config: {reason}")
