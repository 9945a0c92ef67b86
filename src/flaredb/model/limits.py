"""Numbers that bound what users and peers may send, and what clocks may do. Sizes in bytes, times in milliseconds."""

KIB = 1024
MIB = 1024 * KIB

KEY_SIZE_BYTES_MAX = 8 * KIB
"""Longest user key; setting storage.max-key-size (wire facts 3.6)."""

ENTRY_SIZE_BYTES_MAX = 8 * MIB
"""Largest Raft log entry; setting raftstore.raft-entry-max-size."""

CLOCK_RATE_PERCENT = 5
"""How much the rate of any store's monotonic clock may differ from true time, for reads by lease to be linearizable."""


def lease_ms_max(election_ticks: int, tick_ms: int) -> int:
    """How long a lease may last on the leader's clock; 0 or less: there is no time for one.

    A replica that answers a heartbeat elects nobody for ``election_ticks`` of its ticks. The first of them may come at
    once, and another is left to a clock that jumps ahead once. The replica's clock may be as much too fast as the
    leader's is too slow. 1 ms for what readings round off.
    """
    promise_ms = (election_ticks - 2) * tick_ms - 1
    return promise_ms * (100 - CLOCK_RATE_PERCENT) // (100 + CLOCK_RATE_PERCENT)
