"""Read requests that wait for proof that their leader still leads (dissertation section 6.4)."""

from __future__ import annotations

from dataclasses import dataclass, field

from .config import ReadOnlyOption
from .types import Message


@dataclass(slots=True)
class ReadIndexStatus:
    """One waiting request: who asked, the commit index when it came, and who has answered its round."""

    req: Message
    index: int
    acks: set[int] = field(default_factory=set)


class ReadOnly:
    """The waiting requests, oldest first.

    Invariants: indexes never decrease along the queue; a request name occurs once; cleared whenever the role or the
    term changes, since an answer would be about another leadership.
    """

    __slots__ = ("option", "pending_read_index")

    def __init__(self, option: ReadOnlyOption) -> None:
        self.option = option
        self.pending_read_index: dict[bytes, ReadIndexStatus] = {}

    def add_request(self, index: int, req: Message, self_id: int) -> None:
        """Queue a request; one of the same name that waits already stays as it is."""
        ctx = req.entries[0].data
        if ctx not in self.pending_read_index:
            self.pending_read_index[ctx] = ReadIndexStatus(req, index, {self_id})

    def recv_ack(self, node_id: int, ctx: bytes) -> set[int] | None:
        """A member answered the round of ctx: everyone who did, or None when nothing waits under that name."""
        status = self.pending_read_index.get(ctx)
        if status is None:
            return None
        status.acks.add(node_id)
        return status.acks

    def advance(self, ctx: bytes) -> list[ReadIndexStatus]:
        """Take out the request ctx and every older one: a round proves leadership for all that came before it."""
        if ctx not in self.pending_read_index:
            return []
        done = []
        for name in list(self.pending_read_index):
            done.append(self.pending_read_index.pop(name))
            if name == ctx:
                break
        return done

    def last_pending_request_ctx(self) -> bytes:
        """The name of the youngest waiting request, empty if none waits."""
        return next(reversed(self.pending_read_index), b"")

    def pending_read_count(self) -> int:
        """Requests that wait."""
        return len(self.pending_read_index)
