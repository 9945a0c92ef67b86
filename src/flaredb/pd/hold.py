"""The wait after PD's start: nothing is scheduled before PD knows what there is."""

from __future__ import annotations

from flaredb.pd.view import View


class Hold:
    """Over once most regions have reported, of all that PD knows and of those that each store says it has, or after a
    time. A cluster without regions waits for its first ones; a new one is quick, as its few regions report at once."""

    def __init__(self, view: View, hold_ms: int, ratio: float) -> None:
        self._view = view
        self._hold_ms = hold_ms
        self._ratio = ratio
        self._is_over = False

    def is_over(self) -> bool:
        """Never goes back."""
        view = self._view
        if not self._is_over and len(view.regions):
            started_ms = view.stores.started_at_ms
            waited_ms = view.now_ms - (started_ms if started_ms is not None else view.now_ms)
            self._is_over = waited_ms >= self._hold_ms or self._has_heard_enough()
        return self._is_over

    def in_words(self) -> str:
        """A sentence, while it is not over."""
        view = self._view
        return (
            f"PD started a short while ago and has heard from the leaders of {view.regions.tallies.reported} of "
            f"{len(view.regions)} regions; it schedules nothing before it has heard from most of them."
        )

    def _has_heard_enough(self) -> bool:
        view = self._view
        if view.regions.tallies.reported < self._ratio * len(view.regions):
            return False
        for store in view.stores:
            said = store.stats.region_count if store.stats is not None else 0
            if view.tally(store.meta.id).reported < self._ratio * said:
                return False
        return True
