"""Operators that people order: what they ask for, checked, with the reason if it cannot be."""

from __future__ import annotations

from flaredb.model.cluster import StoreState
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.keys import format_key
from flaredb.model.orders import SplitPolicy
from flaredb.model.region import PeerRole
from flaredb.pd.builder import BuildError
from flaredb.pd.messages import (
    AddLearnerOp,
    AddPeerOp,
    OperatorSpec,
    PdError,
    PdErrorKind,
    RemovePeerOp,
    ScatterRegionOp,
    SplitRegionOp,
    TransferLeaderOp,
    TransferPeerOp,
)
from flaredb.pd.operator import Kind, Operator, Priority
from flaredb.pd.planning import planned
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.scatter import Scatterer
from flaredb.pd.splitter import KEYS_PER_ORDER_MAX, split_operator
from flaredb.pd.steps import AddLearner
from flaredb.pd.view import View, roles


def start(view: View, scatterer: Scatterer, spec: OperatorSpec) -> Operator:
    """Start what is asked for; the running operator. Orders by people do not wait for limits.

    Errors: PdError INVALID_VALUE with the reason; REGION_NOT_FOUND.
    """
    record = known_region(view, spec.region_id)
    try:
        operator = _operator(view, scatterer, record, spec)
    except BuildError as error:
        raise _refused(spec.region_id, str(error)) from error
    reason = view.controller.add(operator, obey_limits=False)
    if reason:
        raise _refused(spec.region_id, reason)
    if _stays_learner(view, record, spec):
        for step in operator.steps:
            if isinstance(step, AddLearner):
                view.settings.keep_learner(step.at.peer_id)
    return operator


def known_region(view: View, region_id: RegionId) -> RegionRecord:
    """Errors: PdError REGION_NOT_FOUND."""
    record = view.regions.by_id(region_id)
    if record is None:
        raise PdError(PdErrorKind.REGION_NOT_FOUND, f"region {region_id} is not known")
    return record


def _operator(view: View, scatterer: Scatterer, record: RegionRecord, spec: OperatorSpec) -> Operator:
    wanted = roles(record)
    match spec:
        case AddPeerOp(_, store_id):
            _check_new(view, record, store_id)
            return _planned(view, record, "admin-add-peer", {**wanted, store_id: PeerRole.VOTER})
        case AddLearnerOp(_, store_id):
            _check_new(view, record, store_id)
            return _planned(view, record, "admin-add-learner", {**wanted, store_id: PeerRole.LEARNER})
        case RemovePeerOp(_, store_id):
            _check_held(record, store_id)
            del wanted[store_id]
            return _planned(view, record, "admin-remove-peer", wanted)
        case TransferPeerOp(_, from_id, to_id):
            _check_held(record, from_id)
            _check_new(view, record, to_id)
            wanted[to_id] = wanted.pop(from_id)
            return _planned(view, record, "admin-move-peer", wanted)
        case TransferLeaderOp(_, store_id):
            _check_held(record, store_id)
            return _planned(view, record, "admin-transfer-leader", wanted, store_id)
        case SplitRegionOp(_, policy, keys):
            return _split(record, policy, keys)
        case ScatterRegionOp(_, group):
            operator = scatterer.operator_for(record, group, Priority.ADMIN)
            if operator is None:
                raise BuildError("it is where scattering would put it")
            return operator


def _planned(
    view: View, record: RegionRecord, desc: str, wanted: dict[StoreId, PeerRole], leader: StoreId | None = None
) -> Operator:
    return planned(view, record, desc, wanted, Priority.ADMIN, Kind.ADMIN, leader)


def _split(record: RegionRecord, policy: SplitPolicy, keys: tuple[bytes, ...]) -> Operator:
    ordered = tuple(sorted(set(keys)))
    if (policy == SplitPolicy.USEKEY) != bool(ordered):
        raise BuildError("keys go with the policy usekey, and only with it")
    if len(ordered) > KEYS_PER_ORDER_MAX:
        raise BuildError(f"one order splits at {KEYS_PER_ORDER_MAX} keys at most; SplitRegions takes more")
    for key in ordered:
        if key == record.region.start_key or not record.region.contains(key):
            raise BuildError(f"the key {format_key(key)} does not lie inside it")
    return split_operator(record, policy, ordered)


def _check_new(view: View, record: RegionRecord, store_id: StoreId) -> None:
    store = view.store(store_id)
    if store is None:
        raise BuildError(f"store {store_id} is not known")
    if store.meta.state != StoreState.UP:
        raise BuildError(f"store {store_id} is {store.meta.state.name.capitalize()}")
    if record.region.peer_on(store_id) is not None:
        raise BuildError(f"store {store_id} holds a replica already")


def _check_held(record: RegionRecord, store_id: StoreId) -> None:
    if record.region.peer_on(store_id) is None:
        raise BuildError(f"store {store_id} holds no replica of it")


def _stays_learner(view: View, record: RegionRecord, spec: OperatorSpec) -> bool:
    if isinstance(spec, TransferPeerOp):
        peer = record.region.peer_on(spec.from_store_id)
        return peer is not None and peer.role == PeerRole.LEARNER and view.settings.is_kept_learner(peer.id)
    return isinstance(spec, AddLearnerOp)


def _refused(region_id: RegionId, reason: str) -> PdError:
    return PdError(PdErrorKind.INVALID_VALUE, f"region {region_id}: {reason}")
