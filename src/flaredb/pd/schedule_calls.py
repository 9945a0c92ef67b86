"""What answers the calls about scheduling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flaredb.model.cluster import StoreMeta
from flaredb.model.errors import ConfigError
from flaredb.model.ids import StoreId
from flaredb.model.region import RegionEpoch
from flaredb.pd import admin
from flaredb.pd.cluster import StoreRecord
from flaredb.pd.messages import (
    AddOperator,
    AddScheduler,
    CancelOperator,
    CancelRemoveStore,
    GetOperator,
    GetScheduleConfig,
    GetStoreStatus,
    ListOperators,
    ListSchedulers,
    Note,
    OperatorStatus,
    OperatorView,
    PauseScheduler,
    PdError,
    PdErrorKind,
    RemoveScheduler,
    RemoveStore,
    RemoveTombstones,
    ScatterRegion,
    ScatterResult,
    SetScheduleConfig,
    SetStoreLabels,
    SetStoreLimit,
    SetStoreWeight,
    SplitAndScatterRegions,
    SplitRegions,
    SplitResult,
    StoreStatus,
    Why,
)
from flaredb.pd.operator import Influence
from flaredb.pd.placement import leader_score, region_score
from flaredb.pd.scatter import DESC as SCATTER_DESC
from flaredb.pd.schedule_config import UNLIMITED_PER_MINUTE, field_of, tables
from flaredb.pd.scheduling import Scheduling
from flaredb.pd.splitter import Job

_MIB = 1024 * 1024
WEIGHT_MAX = 1_000.0


class ScheduleCalls:
    """``save_max_replicas`` writes the replicas wanted, as the settings have them, where the cluster keeps them."""

    def __init__(self, scheduling: Scheduling, save_max_replicas: Callable[[], None]) -> None:
        self._scheduling = scheduling
        self._view = scheduling.view
        self._save_max_replicas = save_max_replicas
        self._wall_ms = 0
        self.notes: list[Note] = []
        """What people changed since the core last took it."""

    def start_step(self, wall_ms: int) -> None:
        """The time at which everything until the next call happens."""
        self._wall_ms = wall_ms

    def table(self) -> dict[type, Callable[[Any], Any]]:
        """Call -> what answers it: its documented result, a PdError (raised), or a Job to hold."""
        return {
            ScatterRegion: self._scatter,
            SplitRegions: lambda request: self._split(request.split_keys, request.wait_ms, None),
            SplitAndScatterRegions: lambda request: self._split(request.split_keys, request.wait_ms, request.group),
            GetOperator: self._get_operator,
            ListOperators: self._list_operators,
            AddOperator: self._add_operator,
            CancelOperator: self._cancel_operator,
            ListSchedulers: lambda _: self._scheduling.schedulers.views(self._wall_ms),
            AddScheduler: self._add_scheduler,
            RemoveScheduler: self._remove_scheduler,
            PauseScheduler: self._pause_scheduler,
            RemoveStore: self._remove_store,
            CancelRemoveStore: self._cancel_remove_store,
            RemoveTombstones: self._remove_tombstones,
            SetStoreLabels: self._set_labels,
            SetStoreWeight: self._set_weight,
            SetStoreLimit: self._set_limit,
            GetStoreStatus: self._store_status,
            GetScheduleConfig: lambda _: tables(self._view.config),
            SetScheduleConfig: self._set_config,
            Why: self._why,
        }

    # ------------------------------------------------------------ regions and operators

    def _scatter(self, request: ScatterRegion) -> ScatterResult:
        failed = tuple(
            region_id
            for region_id in request.region_ids
            if not self._scheduling.scatterer.submit(region_id, request.group, obey_limits=not request.skip_store_limit)
        )
        total = len(request.region_ids)
        return ScatterResult((total - len(failed)) * 100 // total if total else 100, failed)

    def _split(self, keys: tuple[bytes, ...], wait_ms: int, group: str | None) -> SplitResult | Job:
        return self._scheduling.splitter.submit(keys, wait_ms, group)

    def _get_operator(self, request: GetOperator) -> OperatorView:
        region_id = request.region_id
        controller = self._scheduling.controller
        operator = controller.running(region_id)
        if operator is None and self._scheduling.scatterer.is_waiting(region_id):
            return self._waiting_scatter(request)
        operator = operator or controller.last_ended(region_id)
        if operator is None:
            raise PdError(PdErrorKind.REGION_NOT_FOUND, f"region {region_id}: no operator runs, and none ran lately")
        return operator.view()

    def _waiting_scatter(self, request: GetOperator) -> OperatorView:
        """Clients that wait for a scattering must see that it is not over."""
        record = self._view.regions.by_id(request.region_id)
        epoch = record.region.epoch if record else RegionEpoch()
        running = OperatorStatus.RUNNING
        return OperatorView(
            request.region_id, SCATTER_DESC, "waits for its turn", "admin", running, "", epoch, (), (), 0, 0, 0, 0, 0
        )

    def _list_operators(self, request: ListOperators) -> tuple[OperatorView, ...]:
        controller = self._scheduling.controller
        found = controller.ended if request.ended else iter(controller)
        return tuple(
            operator.view() for operator in found if not request.ended or operator.ended_at_ms >= request.since_ms
        )

    def _add_operator(self, request: AddOperator) -> OperatorView:
        return admin.start(self._view, self._scheduling.scatterer, request.spec).view()

    def _cancel_operator(self, request: CancelOperator) -> OperatorView:
        operator = self._scheduling.controller.cancel(request.region_id, "a person cancelled it")
        if operator is None:
            raise PdError(PdErrorKind.REGION_NOT_FOUND, f"region {request.region_id}: no operator runs")
        return operator.view()

    # ------------------------------------------------------------ schedulers

    def _add_scheduler(self, request: AddScheduler) -> None:
        self._scheduling.schedulers.add(request.name, request.store_id)
        self._note("scheduler added", scheduler=request.name)

    def _remove_scheduler(self, request: RemoveScheduler) -> None:
        self._scheduling.schedulers.remove(request.name)
        self._note("scheduler removed", scheduler=request.name)

    def _pause_scheduler(self, request: PauseScheduler) -> None:
        self._scheduling.schedulers.pause(request.name, request.delay_s, self._wall_ms)
        self._note("scheduler paused" if request.delay_s else "scheduler resumed", scheduler=request.name)

    # ------------------------------------------------------------ stores

    def _remove_store(self, request: RemoveStore) -> StoreMeta:
        meta = self._scheduling.keeper.remove(request.store_id)
        self._scheduling.on_settings()
        return meta

    def _cancel_remove_store(self, request: CancelRemoveStore) -> StoreMeta:
        meta = self._scheduling.keeper.cancel_removal(request.store_id)
        self._scheduling.on_settings()
        return meta

    def _remove_tombstones(self, _: RemoveTombstones) -> tuple[StoreId, ...]:
        gone = self._scheduling.keeper.forget_tombstones()
        for store_id in gone:
            self._scheduling.schedulers.forget_store(store_id)
        return gone

    def _set_labels(self, request: SetStoreLabels) -> StoreMeta:
        store = self._view.stores.get(request.store_id)
        self._view.stores.set_labels(store, request.labels, request.replace_all)
        self._scheduling.on_settings()
        return store.meta

    def _set_weight(self, request: SetStoreWeight) -> None:
        self._view.stores.get(request.store_id)
        for weight in (request.leader, request.region):
            if not 0 < weight <= WEIGHT_MAX:
                raise PdError(
                    PdErrorKind.INVALID_VALUE, f"a weight is above 0 and at most {WEIGHT_MAX:g}, not {weight}"
                )
        self._view.settings.set_weights(request.store_id, request.leader, request.region)
        self._scheduling.on_settings()

    def _set_limit(self, request: SetStoreLimit) -> None:
        if request.store_id is not None:
            self._view.stores.get(request.store_id)
        if request.kind not in ("", "add-peer", "remove-peer"):
            raise PdError(
                PdErrorKind.INVALID_VALUE, f"a store limit is for add-peer or remove-peer, not {request.kind}"
            )
        if not 0 <= request.rate <= UNLIMITED_PER_MINUTE:
            raise PdError(
                PdErrorKind.INVALID_VALUE,
                f"a store limit is 0 to {UNLIMITED_PER_MINUTE:.0f} peers a minute, not {request.rate}",
            )
        add = request.rate if request.kind != "remove-peer" else None
        remove = request.rate if request.kind != "add-peer" else None
        self._view.settings.set_limits(request.store_id, add, remove)
        self._scheduling.on_settings()

    def _store_status(self, request: GetStoreStatus) -> tuple[StoreStatus, ...]:
        if request.store_id is None:
            return tuple(self._status_of(store) for store in self._view.stores)
        return (self._status_of(self._view.stores.get(request.store_id)),)

    def _status_of(self, store: StoreRecord) -> StoreStatus:
        view, store_id = self._view, store.meta.id
        tally = view.tally(store_id)
        heard = store.heard_at_ms is not None
        none = Influence()
        return StoreStatus(
            store.meta,
            view.stores.state_name(store, view.now_ms),
            store.stats,
            view.stores.silence_ms(store, view.now_ms) if heard else None,
            len(tally.leaders),
            tally.peer_count,
            len(tally.learners),
            len(tally.pending),
            tally.leader_mib * _MIB,
            tally.peer_mib * _MIB,
            *view.settings.weights(store_id),
            leader_score(view, store_id, none),
            region_score(view, store_id, none),
            *view.settings.limits(store_id),
        )

    # ------------------------------------------------------------ settings, reasons

    def _set_config(self, request: SetScheduleConfig) -> None:
        before = self._view.config
        try:
            self._view.settings.change(request.changes)
        except ConfigError as error:
            raise PdError(PdErrorKind.INVALID_VALUE, str(error)) from error
        if self._view.config.max_replicas != before.max_replicas:
            self._save_max_replicas()
        self._scheduling.on_settings()
        for name, _ in request.changes:
            if getattr(self._view.config, field_of(name)) != getattr(before, field_of(name)):
                self._note("setting changed", setting=name)

    def _why(self, request: Why) -> str:
        why = self._scheduling.why
        given = [item is not None for item in (request.region_id, request.store_id, request.key)]
        if sum(given) != 1:
            raise PdError(PdErrorKind.INVALID_VALUE, "ask why about one region, one store or one key")
        if request.store_id is not None:
            return why.store(self._view.stores.get(request.store_id))
        if request.region_id is not None:
            return why.region(admin.known_region(self._view, request.region_id))
        record = self._view.regions.by_key(request.key or b"")
        if record is None:
            raise PdError(PdErrorKind.REGION_NOT_FOUND, "no region that holds the key is known at the moment")
        return why.region(record)

    def _note(self, event: str, **fields: Any) -> None:
        self.notes.append(Note(event, tuple(fields.items())))
