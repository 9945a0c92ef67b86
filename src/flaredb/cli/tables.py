"""Tables for people: regions, their leaders and replicas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flaredb.model.keys import format_key

if TYPE_CHECKING:
    from rich.table import Table

    from flaredb.cli.probe import RegionView


def regions_table(
    regions: Sequence[RegionView], key_counts: Mapping[int, int], store_names: Mapping[int, str]
) -> Table:
    """Regions in key order. ``key_counts`` by region id, ``store_names`` by store id."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("region", "from key", "to key"):
        table.add_column(heading)
    table.add_column("keys", justify="right")
    for heading in ("leader", "replicas"):
        table.add_column(heading)
    for region in regions:
        stores = [store_names.get(peer.store_id, f"store {peer.store_id}") for peer in region.meta.peers]
        table.add_row(
            str(region.id),
            format_key(region.meta.start_key) if region.meta.start_key else "-inf",
            format_key(region.meta.end_key) if region.meta.end_key else "+inf",
            f"{key_counts.get(region.id, 0):,}",
            store_names.get(region.leader_store_id, "none"),
            ", ".join(sorted(stores)),
        )
    return table
