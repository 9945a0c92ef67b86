"""Which other stores are alive, seen from here: one beat for each pair of stores, whatever the number of regions.

Regions that sleep send nothing, so nobody would notice that their leader is gone. Therefore stores that share a region
tell each other, once per heartbeat interval, that they live (a Beat of region 0). Anything heard from a store counts as
well. Silence is counted in this store's own ticks, like elections: after a pause of this process, what waits is read
before anybody is given up.

Who gets a beat of a store that it shares nothing with in its own eyes (its replica is still to be made, or another one
stands in its way) answers for a while, so that it is not taken for dead.

A beat names the life of its sender, a number drawn at its start: who restarted has replicas that are awake and know no
leader, and must not be taken for one that never was away.

Beats carry times, too, from which the receiver judges whether the sender's clock runs faster than its leases allow
(clock_watch.py): the sender's now, the receiver's as its last beat had it, and the sender's when that beat came.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.store.clock_watch import ClockWatch, Sample
from flaredb.store.messages import Beat

ASKERS_MAX = 256

NO_REGION = RegionId(0)
"""The region of a store's own beats."""


@dataclass(slots=True)
class _Contact:
    silent_ticks: int = 0
    life: int = 0
    """0: not known yet."""

    beat_ms: int = 0
    """The other's time in its last beat; 0: none came in this life of it."""

    beat_came_ms: int = 0
    watch: ClockWatch = field(default_factory=ClockWatch)


class Contacts:
    """The stores that share a region with this one.

    Invariant: ``_known`` holds exactly the partners of the last ``set_partners``.
    """

    __slots__ = ("_askers", "_known", "_life", "_news", "_patience_ticks", "_started_ms", "is_stale")

    def __init__(self, patience_ticks: int, life: int, now_ms: int) -> None:
        """A store is silent once nothing was heard of it for ``patience_ticks``; ``life`` is a random number over 0."""
        self._patience_ticks = patience_ticks
        self._life = life
        self._started_ms = now_ms
        self._known: dict[StoreId, _Contact] = {}
        self._askers: dict[StoreId, int] = {}
        """Others that sent a beat, with the ticks for which they are answered yet; ASKERS_MAX at most."""
        self._news: list[StoreId] = []
        self.is_stale = True
        """Members of regions here have changed since ``set_partners``."""

    def set_partners(self, store_ids: Iterable[StoreId]) -> None:
        """These stores, and no others, share a region with this one."""
        known = self._known
        self._known = {store_id: known.get(store_id) or _Contact() for store_id in sorted(store_ids)}
        self.is_stale = False

    def heard(self, store_id: StoreId) -> None:
        """Something came from this store."""
        contact = self._known.get(store_id)
        if contact is not None:
            if contact.silent_ticks >= self._patience_ticks:
                self._news.append(store_id)
            contact.silent_ticks = 0

    def heard_beat(self, beat: Beat, now_ms: int) -> bool:
        """A store's own beat came. True if it changes what is thought of the store's clock."""
        self.heard(beat.from_store)
        contact = self._known.get(beat.from_store)
        if contact is None and len(self._askers) < ASKERS_MAX:
            self._askers[beat.from_store] = self._patience_ticks
        if contact is not None and contact.life != beat.term:
            if contact.life:
                self._news.append(beat.from_store)
            contact.life = beat.term
            contact.beat_ms = 0
            contact.watch.restart()
        return contact is not None and self._compare_clocks(contact, beat, now_ms)

    def _compare_clocks(self, contact: _Contact, beat: Beat, now_ms: int) -> bool:
        shown_ms, sent_ms, noted_ms = beat.index, beat.commit, beat.version
        if shown_ms <= contact.beat_ms:
            return False  # it was overtaken
        contact.beat_ms, contact.beat_came_ms = shown_ms, now_ms
        if not self._started_ms <= sent_ms <= now_ms:
            return False  # it heard none of this life of ours yet
        return contact.watch.take(Sample(sent_ms, noted_ms, shown_ms, now_ms))

    def tick(self) -> None:
        """One tick has passed."""
        for store_id, contact in self._known.items():
            contact.silent_ticks += 1
            if contact.silent_ticks == self._patience_ticks:
                self._news.append(store_id)
        self._askers = {store_id: left - 1 for store_id, left in self._askers.items() if left > 1}

    @property
    def has_news(self) -> bool:
        """True if ``take_news`` would tell of any store."""
        return bool(self._news)

    def take_news(self) -> list[StoreId]:
        """Stores that fell silent, spoke again or restarted since the last call: sleepers that count on them wake."""
        news, self._news = self._news, []
        return news

    def silent_ticks(self, store_id: StoreId | None) -> int:
        """For how many ticks nothing was heard of a store; 0 for one that is not known, or only just."""
        contact = self._known.get(store_id) if store_id is not None else None
        return contact.silent_ticks if contact is not None else 0

    def is_silent(self, store_id: StoreId | None) -> bool:
        """True for a store that does not seem to live."""
        return self.silent_ticks(store_id) >= self._patience_ticks

    def fast_stores(self) -> list[StoreId]:
        """Stores whose clocks run faster beside this one than leases allow. One that is silent promises nothing."""
        return [
            store_id
            for store_id, contact in self._known.items()
            if contact.watch.is_fast and contact.silent_ticks < self._patience_ticks
        ]

    def beats(self, own_id: StoreId, now_ms: int) -> list[Beat]:
        """What to tell the others now."""
        return [self._beat(own_id, store_id, now_ms) for store_id in dict.fromkeys((*self._known, *self._askers))]

    def _beat(self, own_id: StoreId, store_id: StoreId, now_ms: int) -> Beat:
        contact = self._known.get(store_id)
        theirs_ms, came_ms = (contact.beat_ms, contact.beat_came_ms) if contact is not None else (0, 0)
        nobody = PeerId(0)
        return Beat(NO_REGION, nobody, own_id, nobody, store_id, 0, came_ms, False, self._life, now_ms, theirs_ms)
