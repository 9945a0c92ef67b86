"""The verdict: how a cluster is, what moves, and what it survives. Pure: facts in, sentences out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from flaredb.cli.status.facts import ClusterFacts, Reach, RegionFacts, StoreFacts
from flaredb.cli.status.words import about, ago, count, named

SILENT_S_MAX = 20.0
"""A store that is drained and silent for longer counts as gone; of others PD says so itself."""

RATE_WINDOW_S = 60.0
"""Moves that ended that lately tell how fast moves are."""

RATE_MOVES_MIN = 2

BETWEEN_S = 10.0
"""When the last move ended so lately, the next one is only about to begin."""

LOW_SPACE = 0.10
"""Of a disk."""


class Level(IntEnum):
    """How the cluster is; the number is the exit status."""

    HEALTHY = 0
    DEGRADED = 1
    UNAVAILABLE = 2


@dataclass(frozen=True, slots=True)
class RegionCounts:
    """Regions by trouble; one region may be in several."""

    all: int = 0
    without_majority: int = 0
    without_leader: int = 0
    short: int = 0
    """Fewer replicas that work than wanted."""

    lagging: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What ``flaredb status`` says."""

    level: Level
    sentence: str
    survives: int
    """Stores, whichever they are, that may fail right now with every region still serving; 0 if some serve not."""

    survives_sentence: str
    moving: int
    """Regions that PD is changing right now."""

    moving_sentence: str
    remaining_s: float | None
    """Until what is to be moved has moved, roughly; None: nothing to move, or not known."""

    counts: RegionCounts
    notes: tuple[str, ...] = ()
    gone: frozenset[int] = field(default_factory=frozenset)
    """Stores that do not serve."""


def judge(facts: ClusterFacts) -> Verdict:
    """The verdict on a cluster whose PD answers."""
    gone = frozenset(store.id for store in facts.stores if not is_alive(store))
    counts = count_regions(facts, gone)
    remaining_s = remaining(facts)
    level, sentence = _level(facts, counts, gone)
    survives, why = survived(facts, gone)
    return Verdict(
        level,
        sentence,
        survives,
        why,
        len({move.region_id for move in facts.moves}),
        _moving(facts, gone, remaining_s),
        remaining_s,
        counts,
        tuple(_notes(facts)),
        gone,
    )


def unreachable(reason: str) -> Verdict:
    """The verdict where PD does not answer."""
    sentence = f"Unknown: {reason}."
    return Verdict(Level.UNAVAILABLE, sentence, 0, "", 0, "", None, RegionCounts())


def is_alive(store: StoreFacts) -> bool:
    """PD hears it, and nothing seen from here contradicts that."""
    if store.reach == Reach.GONE or store.state in ("Down", "Disconnected", "Tombstone"):
        return False
    return store.state != "Offline" or store.reach == Reach.ANSWERS or store.silent_s <= SILENT_S_MAX


# ---------------------------------------------------------------- regions


def spare(region: RegionFacts, gone: Collection[int]) -> int:
    """How many more of its replicas may fail; below 0: it has no majority now."""
    weak = region.down | region.pending
    spares = []
    for voters in (region.voters, region.voters_before):
        if voters:
            # A replica that lags holds a vote but not the newest writes: it can vote, though not be counted upon.
            sound = sum(store not in gone and store not in weak for store in voters)
            alive = sum(store not in gone and store not in region.down for store in voters)
            needed = len(voters) // 2 + 1
            spares.append(alive - needed if alive < needed else max(0, sound - needed))
    return min(spares, default=-1)


def count_regions(facts: ClusterFacts, gone: Collection[int]) -> RegionCounts:
    """Regions by trouble."""
    without_majority = without_leader = short = lagging = 0
    for region in facts.regions:
        if spare(region, gone) < 0:
            without_majority += 1
        elif not region.leader or region.leader in gone:
            without_leader += 1
        sound = [store for store in region.voters if store not in gone and store not in region.down]
        short += len(sound) < facts.replicas_wanted
        lagging += any(store in region.pending for store in sound)
    return RegionCounts(len(facts.regions), without_majority, without_leader, short, lagging)


def survived(facts: ClusterFacts, gone: Collection[int]) -> tuple[int, str]:
    """How many store failures, whichever stores they are, leave every region serving; and why not more."""
    if not facts.regions:
        return 0, "Survives no store failure: there is no region yet."
    spares = {region.id: spare(region, gone) for region in facts.regions}
    least = min(spares.values())
    if least < 0:
        return 0, "Survives no further store failure: some regions have no majority already."
    weakest = [region for region in facts.regions if spares[region.id] == least]
    failures = f"Survives the failure of any {count(least, 'store')}" if least else "Survives no store failure"
    return least, f"{failures}: {_weakness(facts, weakest, gone, least)}."


def _weakness(facts: ClusterFacts, weakest: list[RegionFacts], gone: Collection[int], least: int) -> str:
    region = weakest[0]
    who = "every region" if len(weakest) == len(facts.regions) else _some(weakest)
    has = "has" if len(weakest) == 1 or who == "every region" else "have"
    needed = len(region.voters) // 2 + 1
    weak = [store for store in region.voters if store in gone or store in region.down]
    lagging = [store for store in region.voters if store in region.pending and store not in weak]
    sound = len(region.voters) - len(weak) - len(lagging)
    if weak or lagging:
        why = f"only {sound} of {len(region.voters)} replicas in order, and {needed} are needed"
        return f"{who} {has} {why}"
    if region.voters_before:
        to_spare = count(least, "replica") if least else "none"
        return f"{who} {has} members that change right now, and {to_spare} to spare"
    if len(region.voters) < facts.replicas_wanted:
        return f"{who} {has} {count(len(region.voters), 'replica')} of {facts.replicas_wanted} so far"
    if len(region.voters) == 1:
        return f"{who} {has} a single replica; set max-replicas to 3 to survive one"
    if not least:
        return f"{who} {has} {len(region.voters)} replicas and needs all of them; 3 would survive one"
    return f"{who} {has} {len(region.voters)} replicas in order, of which {needed} are needed"


def _some(regions: list[RegionFacts]) -> str:
    if len(regions) == 1:
        return f"region {regions[0].id}"
    return f"{len(regions):,} regions (such as {min(region.id for region in regions)})"


# ---------------------------------------------------------------- the sentence


def _level(facts: ClusterFacts, counts: RegionCounts, gone: frozenset[int]) -> tuple[Level, str]:
    if not facts.has_regions or not facts.regions:
        return Level.UNAVAILABLE, "Unavailable: the cluster has no regions yet; it waits for its first stores."
    if not facts.stores:
        return Level.UNAVAILABLE, "Unavailable: no store is left in the cluster."
    cause = _missing_stores(facts, gone)
    if counts.without_majority:
        share = f"{counts.without_majority:,} of {count(counts.all, 'region')}"
        if cause:
            cause = f"{cause}, and with that the majority of their replicas"
        return Level.UNAVAILABLE, f"Unavailable for {share}: {cause or 'the majority of their replicas is not heard'}."
    troubles = [cause] if cause else []
    if counts.without_leader:
        is_are = "has" if counts.without_leader == 1 else "have"
        troubles.append(f"{count(counts.without_leader, 'region')} {is_are} no leader that PD knows")
    if counts.short:
        troubles.append(_short(facts, counts, gone))
    elif counts.lagging:
        verb = "lags" if counts.lagging == 1 else "lag"
        troubles.append(f"a replica of {count(counts.lagging, 'region')} {verb}")
    if troubles:
        serve = "" if counts.without_leader else "; every region serves"
        text = ", and ".join(filter(None, (", ".join(troubles[:-1]), troubles[-1])))
        return Level.DEGRADED, f"Degraded: {text}{serve}."
    replicas = count(facts.replicas_wanted, "replica")
    return Level.HEALTHY, (
        f"Healthy: {count(len(facts.stores), 'store')}, {count(counts.all, 'region')} with {replicas} each."
    )


def _missing_stores(facts: ClusterFacts, gone: Collection[int]) -> str:
    """ "store 3 does not answer", "store 3 is down for 4 min"; "" if none is gone that holds anything."""
    missing = [store for store in facts.stores if store.id in gone and (store.regions or store.state != "Offline")]
    if not missing:
        return ""
    if len(missing) > 1:
        verb = "are down" if all(store.state == "Down" for store in missing) else "do not answer"
        return f"{named('store', (store.id for store in missing))} {verb}"
    store = missing[0]
    if store.state == "Up":
        return f"store {store.id} does not answer"
    if store.state == "Down":
        return f"store {store.id} is down, silent for {ago(store.silent_s)}"
    return f"store {store.id} has been silent for {ago(store.silent_s)}"


def _short(facts: ClusterFacts, counts: RegionCounts, gone: Collection[int]) -> str:
    all_of = f"{counts.short:,} of {count(counts.all, 'region')}"
    verb = "has" if counts.short == 1 else "have"
    text = f"{all_of} {verb} fewer than {facts.replicas_wanted} replicas that work"
    lack = "" if gone else _lack_of_stores(facts)
    return f"{text} ({lack})" if lack else text


# ---------------------------------------------------------------- what moves


def work_left(facts: ClusterFacts) -> int:
    """Replicas that are still to be moved or made anew, and those that move for balance right now."""
    leaving = {store.id for store in facts.stores if store.state in ("Offline", "Down")}
    must = {
        region.id: sum(store in leaving for store in (*region.voters, *region.learners))
        + max(0, facts.replicas_wanted - len(region.voters))
        for region in facts.regions
    }
    balanced = {move.region_id for move in facts.moves if not must.get(move.region_id)}
    return sum(must.values()) + len(balanced)


def remaining(facts: ClusterFacts) -> float | None:
    """Seconds until that is done, at the pace of the last minute; None if there is no pace to go by."""
    left = work_left(facts)
    recent = [age for age in facts.ended_s_ago if age <= RATE_WINDOW_S]
    if not left or len(recent) < RATE_MOVES_MIN or not (facts.moves or min(recent) <= BETWEEN_S):
        return None
    return left * max(1.0, *recent) / len(recent)


def _moving(facts: ClusterFacts, gone: frozenset[int], remaining_s: float | None) -> str:
    parts = []
    lack = _lack_of_stores(facts)
    for store in facts.stores:
        held = _held(facts, store)
        if store.state == "Offline" and not held:
            parts.append(f"store {store.id} is drained, and about to be a tombstone")
        elif store.state == "Offline":
            stuck = f", which have nowhere to go: {lack}" if lack else ""
            parts.append(f"store {store.id} is being drained, {count(held, 'region')} left on it{stuck}")
        elif store.state == "Down" and held:
            can = f"cannot be made anew: {lack}" if lack else "are made anew elsewhere"
            parts.append(f"the {count(held, 'replica')} of store {store.id} {can}")
    moving = len({move.region_id for move in facts.moves})
    if moving:
        parts.append(f"{count(moving, 'region')} {'changes' if moving == 1 else 'change'} right now")
        parts.append(
            f"about {about(remaining_s)} to go" if remaining_s is not None else "too early to say for how long"
        )
    elif parts and remaining_s is not None:
        parts.append(f"about {about(remaining_s)} to go")
    elif parts and work_left(facts):
        parts.append("no region changes right now" + (": halt-scheduling is on" if facts.halted else ""))
    waiting = [store for store in facts.stores if store.id in gone and store.state in ("Up", "Disconnected")]
    if not moving and waiting:
        longest = max(store.silent_s for store in waiting)
        left_s = max(0.0, facts.replace_after_s - longest)
        parts.append(
            f"nothing yet, as {named('store', (store.id for store in waiting))} may come back; after "
            f"{ago(facts.replace_after_s)} of silence, in about {about(left_s)}, replicas are made anew elsewhere"
        )
    if not parts:
        return ""
    text = "; ".join(parts)
    return f"Moving: {text}."


def _lack_of_stores(facts: ClusterFacts) -> str:
    """Why replicas have nowhere to go; "" if they have."""
    staying = sum(store.state == "Up" for store in facts.stores)
    lacking = facts.replicas_wanted - staying
    if lacking <= 0:
        return ""
    return f"{count(staying, 'store')} for {count(facts.replicas_wanted, 'replica')}, so add {count(lacking, 'store')}"


def _held(facts: ClusterFacts, store: StoreFacts) -> int:
    known = sum(store.id in (*region.voters, *region.learners) for region in facts.regions)
    return max(known, store.regions) if store.state == "Offline" else known


def _notes(facts: ClusterFacts) -> Iterable[str]:
    for store in facts.stores:
        if store.capacity_bytes and store.available_bytes < LOW_SPACE * store.capacity_bytes:
            percent = 100 * store.available_bytes / store.capacity_bytes
            yield f"The disk of store {store.id} has {percent:.0f} % left: make room there, or drain the store."
        if store.state == "Down" and not _held(facts, store):
            yield (
                f"All replicas of store {store.id} are elsewhere by now: start it again to use it, or let it go by "
                f"flaredb ctl store delete {store.id}."
            )
    busy = [store.id for store in facts.stores if store.is_busy]
    if busy:
        verb = "asks" if len(busy) == 1 else "ask"
        yield f"{named('store', busy).capitalize()} {verb} clients to slow down."
    versions = {store.version for store in facts.stores if store.version}
    if len(versions) > 1:
        yield f"Stores run different versions: {', '.join(sorted(versions))}."
