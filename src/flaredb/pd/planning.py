"""From a decision about a region to an operator, with the builder asked in between."""

from __future__ import annotations

from flaredb.model.ids import StoreId
from flaredb.pd.builder import BuildContext, Plan, Wanted, build
from flaredb.pd.filters import leader_target_refusal
from flaredb.pd.operator import Kind, Operator, Priority
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.view import View

NO_KIND = Kind(0)


def planned(
    view: View,
    record: RegionRecord,
    desc: str,
    wanted: Wanted,
    priority: Priority,
    kind: Kind = NO_KIND,
    leader: StoreId | None = None,
) -> Operator:
    """An operator to the wanted replicas; ``kind`` adds to what its steps show. Errors: BuildError."""
    plan = build(record, wanted, build_context(view), leader)
    return operator_of(record, desc, plan, priority, kind)


def operator_of(record: RegionRecord, desc: str, plan: Plan, priority: Priority, kind: Kind = NO_KIND) -> Operator:
    """An operator of a plan that was made otherwise."""
    return Operator(
        record.region.id,
        desc,
        plan.brief,
        plan.kind | kind,
        priority,
        record.region.epoch,
        record.size_mib,
        plan.steps,
    )


def build_context(view: View) -> BuildContext:
    """What the builder asks, answered from the view."""
    return BuildContext(
        is_live=view.is_live,
        leader_refusal=lambda store_id: leader_target_refusal(view, store_id),
        leader_load=lambda store_id: len(view.tally(store_id).leaders) / view.settings.weights(store_id)[0],
        take_id=view.take_id,
        joint=view.config.enable_joint_consensus,
    )
