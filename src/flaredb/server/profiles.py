"""Sets of settings by name: ``profile = "tikv"`` in a store's file, or ``--profile tikv``.

A profile stands under the file: what file or flags say wins over it, key by key.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from flaredb.model.errors import ConfigError

PROFILES: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    # Where FlareDB's defaults differ from TiKV's (8.5), TiKV's; the others are spelt out as far as splits and elections
    # depend on them, so that the profile stays what it is when a default changes.
    "tikv": {
        "raftstore": {
            "raft-base-tick-interval": "1s",
            "raft-heartbeat-ticks": 2,
            "raft-election-timeout-ticks": 10,
            "raft-min-election-timeout-ticks": 10,
            "raft-max-election-timeout-ticks": 20,
            "raft-log-gc-tick-interval": "3s",
            "raft-log-gc-threshold": 50,
            "raft-log-gc-count-limit": 196_608,
            "raft-log-gc-size-limit": "192MiB",
            "pd-heartbeat-tick-interval": "1m",
            "pd-store-heartbeat-tick-interval": "10s",
            "split-region-check-tick-interval": "10s",
        },
        "coprocessor": {
            "region-split-size": "256MiB",
            "region-max-size": "384MiB",
            "region-split-keys": 2_560_000,
            "region-max-keys": 3_840_000,
            "batch-split-limit": 10,
        },
    },
}


def profile_tables(name: object) -> Mapping[str, Any]:
    """The tables that a profile stands for. Errors: ConfigError naming the profiles that there are."""
    if isinstance(name, str) and name in PROFILES:
        return PROFILES[name]
    nearest = difflib.get_close_matches(str(name), PROFILES, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"there are: {', '.join(PROFILES)}"
    raise ConfigError(f'profile = "{name}" is not known; {hint}')
