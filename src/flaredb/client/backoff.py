"""What a failed try means, as a table by cause: is it safe to try again, where, and after how long.

Region errors say that the request was not applied, so a write is repeated as freely as a read; the exceptions are
UNDETERMINED_RESULT and an answer that got lost (wire facts 3.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from flaredb.model.outcomes import Cause


class Where(Enum):
    """Where the next try goes."""

    SAME = "the same peer"
    LEADER = "the leader that was named; else the next peer"
    NEXT = "the region's next peer"
    REGIONS = "what the answer says of the regions; else ask PD"
    ASK_PD = "whatever PD says"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: waits grow from ``wait_ms_min`` to ``wait_ms_max``, doubling; 0 and 0: no wait."""

    where: Where
    wait_ms_min: int
    wait_ms_max: int
    first_is_free: bool = False
    """The first try after it does not wait: what was learned is likely to be enough."""

    ends: bool = False
    """The call fails: no try can succeed."""

    unknown: bool = False
    """The request may have been applied: a write ends, unless it may be applied twice."""

    drops_store: bool = False
    """The store's address is asked for again."""


_MISS = (2, 500)
RULES: dict[Cause, Rule] = {
    Cause.NOT_LEADER: Rule(Where.LEADER, *_MISS),
    Cause.REGION_NOT_FOUND: Rule(Where.ASK_PD, *_MISS, first_is_free=True),
    Cause.KEY_NOT_IN_REGION: Rule(Where.ASK_PD, *_MISS),
    Cause.EPOCH_NOT_MATCH: Rule(Where.REGIONS, *_MISS, first_is_free=True),
    Cause.SERVER_IS_BUSY: Rule(Where.SAME, 50, 1_000),
    Cause.STALE_COMMAND: Rule(Where.SAME, *_MISS, first_is_free=True),
    Cause.STORE_NOT_MATCH: Rule(Where.ASK_PD, *_MISS, drops_store=True),
    Cause.RAFT_ENTRY_TOO_LARGE: Rule(Where.SAME, 0, 0, ends=True),
    Cause.MAX_TIMESTAMP_NOT_SYNCED: Rule(Where.SAME, *_MISS),
    Cause.READ_INDEX_NOT_READY: Rule(Where.SAME, *_MISS),
    Cause.PROPOSAL_IN_MERGING_MODE: Rule(Where.SAME, *_MISS),
    Cause.DATA_IS_NOT_READY: Rule(Where.SAME, *_MISS),
    Cause.REGION_NOT_INITIALIZED: Rule(Where.NEXT, 2, 1_000),
    Cause.DISK_FULL: Rule(Where.SAME, 500, 5_000),
    Cause.RECOVERY_IN_PROGRESS: Rule(Where.ASK_PD, 100, 1_000),
    Cause.FLASHBACK_IN_PROGRESS: Rule(Where.SAME, 0, 0, ends=True),
    Cause.FLASHBACK_NOT_PREPARED: Rule(Where.SAME, 0, 0, ends=True),
    Cause.IS_WITNESS: Rule(Where.NEXT, *_MISS),
    Cause.MISMATCH_PEER_ID: Rule(Where.ASK_PD, *_MISS),
    Cause.BUCKET_VERSION_NOT_MATCH: Rule(Where.ASK_PD, *_MISS),
    Cause.UNDETERMINED_RESULT: Rule(Where.ASK_PD, *_MISS, unknown=True),
    Cause.OTHER_REGION_ERROR: Rule(Where.NEXT, *_MISS),
    Cause.STORE_UNREACHABLE: Rule(Where.NEXT, 20, 500, drops_store=True),
    Cause.STORE_SLOW: Rule(Where.SAME, *_MISS),
    Cause.ANSWER_LOST: Rule(Where.NEXT, 2, 500, unknown=True),
    Cause.PD_UNREACHABLE: Rule(Where.ASK_PD, 50, 500),
    Cause.REGION_UNKNOWN: Rule(Where.ASK_PD, 20, 500),
}
"""One row per cause; a test holds that none is missing."""

HINTS_MAX = 3
"""So many leaders may be named in a row before the client begins to wait between its tries."""


def wait_ms(rule: Rule, tries_before: int, chance: float, asked_ms: int = 0) -> int:
    """How long to wait before the next try, in milliseconds.

    ``tries_before``: failed tries for this cause before this one. ``chance``: [0, 1), spreads clients that failed
    together over the upper half of the wait. ``asked_ms``: what the server asks for, which is taken as it is, up to
    the rule's most.
    """
    if asked_ms:
        return min(asked_ms, rule.wait_ms_max)
    if rule.first_is_free:
        if not tries_before:
            return 0
        tries_before -= 1
    full_ms = min(rule.wait_ms_min << min(tries_before, 20), rule.wait_ms_max)
    return int(full_ms * (1 + chance) / 2)
