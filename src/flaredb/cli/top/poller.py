"""Asks PD and the stores again and again, so that the screen never waits for either."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flaredb.cli.ctl.http import Pd, PdRefused, PdUnreachable
from flaredb.cli.status.facts import ClusterFacts
from flaredb.cli.status.gather import facts_of, list_stores, reaches, status_addresses
from flaredb.cli.status.verdict import Verdict, judge, unreachable
from flaredb.cli.store_pages import ask_stores
from flaredb.cli.top.series import Rates, Sample, parse_sample, rates

PD_SHARE = 5
"""PD is asked for all of its regions; it must have rest for so many times as long as that takes."""

PAUSE_S_MIN = 0.05


@dataclass(frozen=True, slots=True)
class View:
    """All that a frame shows."""

    verdict: Verdict
    facts: ClusterFacts | None = None
    """As last known, also if PD does not answer any more; None if it never did."""

    rates: Mapping[int, Rates] = field(default_factory=dict)
    """By store; one that does not answer, or was asked once only, is missing."""

    regions: tuple[Mapping[str, Any], ...] = ()
    """PD's objects."""

    at_s: float = 0.0
    """Unix seconds."""


class Poller:
    """Looks at a cluster once per ``poll``. Not to be used by several threads at a time."""

    def __init__(self, pd: Pd) -> None:
        self._pd = pd
        self._listed: list[dict[str, Any]] = []
        self._samples: dict[int, Sample] = {}
        self._facts: ClusterFacts | None = None
        self._regions: tuple[Mapping[str, Any], ...] = ()
        self.listing_s = 0.0
        """What PD took for its list of regions."""

    def poll(self) -> View:
        """Ask everybody once. Errors: none; what does not answer is shown as such."""
        failure = ""
        try:
            self._listed = list_stores(self._pd)
        except (PdUnreachable, PdRefused) as error:
            failure = str(error)
        pages = ask_stores(status_addresses(self._listed, self._pd.hosts), "/metrics")
        found: dict[int, Rates] = {}
        samples: dict[int, Sample] = {}
        for store_id, page in pages.items():
            if page.answered:
                samples[store_id] = parse_sample(page.text, page.at_s)
                before = self._samples.get(store_id)
                known = rates(before, samples[store_id]) if before else None
                if known is not None:
                    found[store_id] = known
        self._samples = samples
        if not failure:
            try:
                began_s = time.monotonic()
                regions = (self._pd.get("/regions") or {}).get("regions") or []
                self.listing_s = time.monotonic() - began_s
                reach = reaches(self._listed, pages, self._pd.hosts)
                self._facts = facts_of(self._pd, self._listed, reach, regions)
                self._regions = tuple(regions)
            except (PdUnreachable, PdRefused) as error:
                failure = str(error)
        verdict = judge(self._facts) if self._facts is not None and not failure else unreachable(failure)
        return View(verdict, self._facts, found, self._regions, time.time())


class PollingThread:
    """Polls until it is closed; ``view`` is the newest, None before the first."""

    def __init__(self, poller: Poller, interval_s: float) -> None:
        self.view: View | None = None
        self._poller = poller
        self._interval_s = interval_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flaredb-top", daemon=True)

    def __enter__(self) -> PollingThread:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()

    def _run(self) -> None:
        while not self._is_over.is_set():
            began_s = time.monotonic()
            self.view = self._poller.poll()
            took_s = time.monotonic() - began_s
            self._is_over.wait(max(self._interval_s - took_s, self._poller.listing_s * PD_SHARE, PAUSE_S_MIN))
