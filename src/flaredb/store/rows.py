"""Users' rows of a range, over all column families that users can name."""

from __future__ import annotations

from flaredb.engine.base import WriteBatch
from flaredb.model.commands import DATA_CFS


def wipe_range(start_key: bytes, end_key: bytes, batch: WriteBatch) -> None:
    """Stage the deletion of every row in [start_key, end_key)."""
    for cf in DATA_CFS:
        batch.delete_range(cf, start_key, end_key or None)
