"""Why something is or is not happening, in one or two sentences."""

from __future__ import annotations

from flaredb.model.cluster import StoreState
from flaredb.model.ids import StoreId
from flaredb.pd.checkers import check_region
from flaredb.pd.cluster import StoreRecord
from flaredb.pd.filters import LEADER_TARGET, REGION_TARGET, refusal
from flaredb.pd.hold import Hold
from flaredb.pd.messages import OperatorStatus
from flaredb.pd.operator import Kind, Operator
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.schedulers.balance_leader import BalanceLeader
from flaredb.pd.schedulers.balance_region import BalanceRegion
from flaredb.pd.schedulers.registry import Schedulers
from flaredb.pd.steps import AddLearner
from flaredb.pd.store_keeper import StoreKeeper
from flaredb.pd.view import View


class Explainer:
    """Changes nothing: what would be done is planned dry."""

    def __init__(self, view: View, hold: Hold, keeper: StoreKeeper, schedulers: Schedulers) -> None:
        self._view = view
        self._hold = hold
        self._keeper = keeper
        self._schedulers = schedulers

    def region(self, record: RegionRecord) -> str:
        """Pre: it is known."""
        name = f"Region {record.region.id}"
        operator = self._view.controller.running(record.region.id)
        if operator is not None:
            return self._running(name, operator, record)
        finding = check_region(self._view.dry(), record)
        if finding is None:
            return f"{self._well(name, record)}{self._last(record)}"
        if finding.operator is None:
            return f"Nothing happens to {name.lower()}: {finding.reason}.{self._last(record)}"
        return f"{name}: {finding.reason}. {self._held_back(finding.operator)}"

    def store(self, store: StoreRecord) -> str:
        """Pre: it is known."""
        view = self._view
        store_id = store.meta.id
        name = f"Store {store_id}"
        if store.meta.state == StoreState.TOMBSTONE:
            return f"{name} was removed from the cluster and its id never comes back."
        if store.meta.state == StoreState.OFFLINE:
            return self._leaving(name, store)
        if view.stores.is_down(store, view.now_ms):
            return self._down(name, store)
        if store.heard_at_ms is None:
            return f"{name} has not been heard since PD started."
        reason = refusal(REGION_TARGET, view, store)
        if reason:
            return f"{name} gets no further replicas: {reason}."
        tally = view.tally(store_id)
        has = f"{name} is up, with {tally.peer_count} replicas and {len(tally.leaders)} leaders"
        if not self._hold.is_over():
            return f"{has}. {self._hold.in_words()}"
        reason = refusal(LEADER_TARGET, view, store)
        if reason:
            return f"{has}. It gets no further leaders: {reason}."
        coming = sum(
            isinstance(step, AddLearner) and step.at.store_id == store_id
            for operator in view.controller
            for step in operator.steps[operator.current :]
        )
        if coming:
            return f"{has}; {coming} more {'is' if coming == 1 else 'are'} on the way to it."
        return f"{has}. {self._balance()}"

    # ------------------------------------------------------------ regions

    def _running(self, name: str, operator: Operator, record: RegionRecord) -> str:
        age_s = (self._view.now_ms - operator.step_since_ms) // 1000
        step = operator.step
        waits = ""
        if isinstance(step, AddLearner) and step.at.role_in(record) is not None:
            waits = " The new replica is there and catches up."
        return (
            f"{name} is being changed by {operator.desc} ({operator.brief}): step {operator.current + 1} of "
            f"{len(operator.steps)}, {step}, for {age_s} s.{waits}"
        )

    def _well(self, name: str, record: RegionRecord) -> str:
        stores = ", ".join(str(store_id) for store_id in sorted(peer.store_id for peer in record.region.peers))
        lead = f"store {record.leader.store_id} leads" if record.leader else "nobody is known to lead"
        text = f"{name} is as it should be: replicas on stores {stores}, {lead}."
        told = {down.peer.store_id for down in record.down_peers}
        untold = [peer.store_id for peer in record.region.peers if self._view.is_down(peer.store_id)]
        if record.leader and untold and not told.issuperset(untold):
            return (
                f"{name} waits: store {untold[0]} is down, and its replica there is replaced as soon as the region's "
                f"leader on store {record.leader.store_id} reports it as down, which takes max-peer-down-duration."
            )
        weak = sorted(
            {peer.store_id for peer in record.pending_peers} | {down.peer.store_id for down in record.down_peers}
        )
        if not weak:
            return text
        silent = [store_id for store_id in weak if not self._view.is_live(store_id)]
        which = ", ".join(str(store_id) for store_id in weak)
        patience_s = self._view.config.max_store_down_time_ms // 1000
        if silent:
            return (
                f"{name} waits: its replica on store {which} is not heard; it is replaced once the store has been "
                f"silent for {patience_s} s."
            )
        return f"{name} waits: its replica on store {which} lags and catches up."

    def _last(self, record: RegionRecord) -> str:
        last = self._view.controller.last_ended(record.region.id)
        if last is None or last.status in (OperatorStatus.SUCCESS, OperatorStatus.REPLACE):
            return ""
        how = "took too long" if last.status == OperatorStatus.TIMEOUT else "was given up"
        return f" Its last operator, {last.desc}, {how}: {last.reason}."

    def _held_back(self, operator: Operator) -> str:
        view = self._view
        if view.config.halt_scheduling:
            return "Nothing is done about it while halt-scheduling is on."
        if not self._hold.is_over():
            return self._hold.in_words()
        limit = view.config.replica_schedule_limit
        if view.controller.count(Kind.REPLICA) >= limit:
            return f"It has to wait, because {limit} repairs run already (replica-schedule-limit)."
        reason = view.controller.refusal(operator)
        return f"It has to wait: {reason}." if reason else f"It is about to be mended ({operator.desc})."

    # ------------------------------------------------------------ stores

    def _leaving(self, name: str, store: StoreRecord) -> str:
        left = self._keeper.left_on(store)
        text = f"{name} is being removed: {left} replicas are left on it"
        if not left:
            return f"{name} is being removed: it is empty and about to become a Tombstone."
        if not self._hold.is_over():
            return f"{text}. {self._hold.in_words()}"
        stuck = self._first_stuck(store.meta.id)
        moving = sum(operator.kind.counts_as() == Kind.REPLICA for operator in self._view.controller)
        return f"{text}, {moving} repairs run in the cluster.{stuck}"

    def _down(self, name: str, store: StoreRecord) -> str:
        view = self._view
        silence_s = view.stores.silence_ms(store, view.now_ms) // 1000
        left = view.tally(store.meta.id).peer_count
        text = f"{name} is down: no heartbeat for {silence_s} s"
        if not left:
            return f"{text}. It holds nothing any more."
        return f"{text}, so its {left} replicas are replaced.{self._first_stuck(store.meta.id)}"

    def _first_stuck(self, store_id: StoreId) -> str:
        """Why the first region that stays there does so."""
        tally = self._view.tally(store_id)
        for regions in (tally.followers, tally.leaders, tally.learners):
            for region_id in regions:
                record = self._view.regions.by_id(region_id)
                if record is None or self._view.is_busy(region_id):
                    continue
                return " " + self.region(record)
        return ""

    def _balance(self) -> str:
        if self._view.config.halt_scheduling:
            return "Nothing is moved while halt-scheduling is on."
        present = {shown.name for shown in self._schedulers.views(0)}
        for name, things in ((BalanceRegion.name, "replicas"), (BalanceLeader.name, "leaders")):
            if name not in present:
                return f"No {things} are moved for balance: {name} was removed."
        summaries = [self._schedulers.summary(name) for name in (BalanceRegion.name, BalanceLeader.name)]
        known = [summary for summary in summaries if summary]
        return f"No move is due: {'; '.join(known)}." if known else "Moves for balance are under way."
