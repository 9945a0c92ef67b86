"""Every error the core raises, and when.

Three kinds, never mixed: operating errors (`RaftError`, the caller may retry or must correct its input), storage
errors (`StorageError`, raised by a `Storage` and handled by the core or passed on), and `RaftInvariantError`, which
means that state which must never exist does exist: the process has to stop.
"""


class RaftError(Exception):
    """Base of the operating errors of the core."""


class ConfigInvalid(RaftError):
    """`Config.validate()` found a relation between settings that cannot work. Raised when a node is created."""


class StepLocalMsg(RaftError):
    """`RawNode.step` was given a message that only the node itself may produce (MsgHup, MsgBeat ...).

    Local messages carry no term, so accepting one from the network would let a stranger start elections.
    """


class StepPeerNotFound(RaftError):
    """`RawNode.step` was given a response of a peer that is not in the current configuration."""


class ProposalDropped(RaftError):
    """The proposal did not enter the log and never will; propose again, perhaps elsewhere.

    Raised when there is no leader, when the leader is no longer a member, while leadership is being transferred,
    when the limit of uncommitted bytes is reached, when forwarding is disabled, or when a proposed configuration
    change cannot be decoded.
    """


class RequestSnapshotDropped(RaftError):
    """`request_snapshot` cannot be sent: this node leads, knows no leader, has a snapshot pending, or its log's last
    entry is of an older term."""


class ConfChangeError(RaftError):
    """The configuration change would make a configuration that breaks a rule (see confchange.py); nothing changed."""


class CodecError(RaftError):
    """Bytes that do not decode as a configuration change."""


class StorageError(RaftError):
    """Base of the errors that a `Storage` raises."""


class Compacted(StorageError):
    """The index is below the storage's first index: the entry is only covered by a snapshot now."""


class Unavailable(StorageError):
    """The index is above the storage's last index, or inside it but not readable."""


class SnapshotOutOfDate(StorageError):
    """A snapshot to install ends before what the storage already holds; installing it would go back."""


class SnapshotTemporarilyUnavailable(StorageError):
    """The storage has no snapshot yet and is making one; the core asks again after the next heartbeat answer."""


class RaftInvariantError(AssertionError):
    """The state contradicts a rule of Raft. Continuing could lose committed entries: stop the process."""
