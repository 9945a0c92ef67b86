"""Settings of the placement core. Times in milliseconds."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from flaredb.model.errors import ConfigError
from flaredb.model.keys import format_key
from flaredb.pd.schedule_config import ScheduleConfig

CLIENT_DEADLINE_MS = 2_000
"""What official clients allow a call (wire facts 3.4); a held call must be answered well before."""


@dataclass(frozen=True, slots=True)
class PdConfig:
    """How one placement driver decides. Shared and never changed while it runs."""

    max_replicas: int = 3
    """Peers that each region of the initial layout gets."""

    split_keys: tuple[bytes, ...] = ()
    """Borders of the initial layout, ascending; n keys make n + 1 regions."""

    initial_stores: int = 0
    """Stores that must register before the initial layout is made; 0: no layout, the first store bootstraps."""

    tso_save_interval_ms: int = 3_000
    """How far ahead of the clock the bound of all timestamps is stored."""

    hold_ms: int = 1_000
    """How long a call waits for an answer that is merely not known yet."""

    held_calls_max: int = 1_024
    """Calls that may wait at a time; further ones get the best answer at once."""

    store_disconnected_ms: int = 20_000
    """Silence after which a store is called Disconnected."""

    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """What scheduling starts with; what was set while PD ran goes before it. max_replicas there is not looked at."""

    schedule_hold_ms: int = 5 * 60_000
    """After PD's start nothing is scheduled before most regions have reported, or this time is over."""

    schedule_hold_ratio: float = 0.9
    """How many of the regions that is."""

    id_window: int = 1_000
    """Ids reserved on disk at a time; a restart skips what is left of the window."""

    def validate(self) -> None:
        """Raise ConfigError for the first thing that cannot work, saying what to change."""
        for name in ("max_replicas", "tso_save_interval_ms", "held_calls_max", "id_window"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)} must be at least 1")
        if not 0 <= self.hold_ms < CLIENT_DEADLINE_MS:
            raise ConfigError(
                f"hold_ms = {self.hold_ms} must be below {CLIENT_DEADLINE_MS}: clients give up on a call after that"
            )
        self.schedule.validate()
        if self.schedule_hold_ms < 0 or not 0 <= self.schedule_hold_ratio <= 1:
            raise ConfigError("schedule_hold_ms must not be negative, and schedule_hold_ratio must be 0 to 1")
        self._validate_layout()

    def _validate_layout(self) -> None:
        if self.split_keys and not self.initial_stores:
            raise ConfigError("split keys need initial_stores: how many stores to wait for before placing the regions")
        if self.initial_stores and self.initial_stores < self.max_replicas:
            raise ConfigError(
                f"initial_stores = {self.initial_stores} is less than max_replicas = {self.max_replicas}: "
                "each replica needs a store of its own"
            )
        if self.split_keys and not self.split_keys[0]:
            raise ConfigError("the empty key is no split key: nothing lies below it")
        for left, right in itertools.pairwise(self.split_keys):
            if left >= right:
                raise ConfigError(f"split keys must ascend: {format_key(left)} comes before {format_key(right)}")
