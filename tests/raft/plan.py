"""How nasty a run of the random cluster is: what may happen how often, and the settings of its nodes."""

from __future__ import annotations

import random
from dataclasses import dataclass

from flaredb.raft import ReadOnlyOption

WIRE_MAX = 300
"""Messages in flight; beyond it the oldest are lost."""

ACTIONS = {
    "deliver": 300,
    "ready": 200,
    "sync": 110,
    "apply": 70,
    "tick": 70,
    "propose": 30,
    "read": 30,
    "change": 24,
    "crash": 3,
    "restart": 8,
    "cut": 8,
    "mend": 5,
    "compact": 6,
    "transfer": 4,
    "campaign": 8,
    "unreachable": 2,
    "want_snapshot": 2,
    "ping": 2,
    "bury": 4,
}
"""What may happen, and how often by comparison."""
ESSENTIAL = ("deliver", "ready", "sync", "apply", "tick", "restart")


@dataclass
class Plan:
    """How nasty a run is, drawn from its seed."""

    weights: list[float]
    lost: float
    doubled: float
    window: int
    """How many of the oldest messages one is picked from; 1 keeps the order."""
    options: dict[str, object]
    leases: bool
    voters: int

    @classmethod
    def draw(cls, rng: random.Random) -> Plan:
        """Some runs know no crashes, some no losses, some hardly anything else."""
        weights = []
        for name, weight in ACTIONS.items():
            scale = rng.choice((1.0, 1.0, 0.5, 2.0)) if name in ESSENTIAL else rng.choice((0.0, 1.0, 1.0, 4.0))
            weights.append(weight * scale)
        leases = rng.random() < 0.25
        options: dict[str, object] = {
            "check_quorum": leases or rng.random() < 0.5,
            "pre_vote": rng.random() < 0.5,
            "read_only_option": ReadOnlyOption.LeaseBased if leases else ReadOnlyOption.Safe,
            "batch_append": rng.random() < 0.3,
            "skip_bcast_commit": rng.random() < 0.3,
            "max_size_per_msg": rng.choice((0, 40, 1 << 20)),
            "max_inflight_msgs": rng.choice((1, 3, 256)),
            "max_committed_size_per_ready": rng.choice((1, 60, 1 << 20)),
            "max_apply_unpersisted_log_limit": rng.choice((0, 0, 0, 3, 1000)),
        }
        return cls(
            weights,
            lost=rng.choice((0.0, 0.02, 0.1, 0.25)),
            doubled=rng.choice((0.0, 0.02, 0.15)),
            window=rng.choice((1, 4, 30, WIRE_MAX)),
            options=options,
            leases=leases,
            voters=rng.choice((3, 3, 4, 5, 5, 6, 7)),
        )
