"""Settings of the placement core. Times in milliseconds."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from flaredb.model.errors import ConfigError
from flaredb.model.keys import format_key

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

    max_store_down_time_ms: int = 30 * 60_000
    """Silence after which a store is called Down."""

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
        if self.store_disconnected_ms >= self.max_store_down_time_ms:
            raise ConfigError(
                f"max_store_down_time_ms = {self.max_store_down_time_ms} must exceed store_disconnected_ms = "
                f"{self.store_disconnected_ms}"
            )
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
