"""What PD and the stores tell of a cluster, as far as a verdict needs it. Plain data, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reach(StrEnum):
    """What came of asking a store itself."""

    ANSWERS = "answers"
    GONE = "gone"
    """Nobody listens where it should, seen from a place that would see it."""

    UNKNOWN = "unknown"
    """It was not asked, or it may just not be reachable from here."""


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """A store that was not removed. Sizes in bytes, 0 where not known."""

    id: int
    address: str = ""
    state: str = "Up"
    """PD's word: Up, Disconnected, Down, Offline (it is being drained)."""

    reach: Reach = Reach.UNKNOWN
    silent_s: float = 0.0
    """Since PD last heard it."""

    leaders: int = 0
    regions: int = 0
    size_mib: int = 0
    pending: int = 0
    """Replicas there that lag behind or are still being filled."""

    available_bytes: int = 0
    capacity_bytes: int = 0
    version: str = ""
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class RegionFacts:
    """A region as its leader last reported it; replicas by store id."""

    id: int
    voters: tuple[int, ...]
    """Who will vote once a change under way is over; without one, who votes."""

    voters_before: tuple[int, ...] = ()
    """While a joint change is under way: who voted before it. A majority of both is needed."""

    learners: tuple[int, ...] = ()
    leader: int = 0
    """0: none has reported."""

    down: frozenset[int] = frozenset()
    """Replicas that the leader does not hear."""

    pending: frozenset[int] = frozenset()
    """Replicas that lag."""


@dataclass(frozen=True, slots=True)
class Move:
    """An operator of PD that runs."""

    region_id: int
    name: str
    brief: str
    step: int
    """Steps that are done, of ``steps``."""

    steps: int
    now: str = ""
    """The step under way."""

    kind: str = ""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Everything that a verdict is made from."""

    stores: tuple[StoreFacts, ...]
    regions: tuple[RegionFacts, ...]
    moves: tuple[Move, ...] = ()
    ended_s_ago: tuple[float, ...] = ()
    """When operators that changed replicas ended well, in seconds before now."""

    replicas_wanted: int = 3
    replace_after_s: float = 1800.0
    """After so long a silence PD gives a store up and makes its replicas anew (max-store-down-time)."""

    has_regions: bool = True
    """False: the cluster waits for its first stores."""

    halted: bool = False
    """PD moves nothing (halt-scheduling)."""
