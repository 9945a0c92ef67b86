"""Everything about snapshots in a store process: their files, both directions, what is left over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from flaredb.model.ids import ClusterId, StoreId
from flaredb.server.logs import log_event
from flaredb.server.peer_counters import SnapshotCounters
from flaredb.server.settings import StoreSettings
from flaredb.server.snapshot_files import UNUSED_SECONDS_MAX, DiskSnapshotFiles
from flaredb.server.snapshot_limits import Pace, SnapshotLimits
from flaredb.server.snapshot_receiver import SnapshotReceiver
from flaredb.server.snapshot_sender import SnapshotSender
from flaredb.store.messages import Input
from flaredb.store.store import Store

SNAPSHOT_DIRECTORY = "snap"
"""In the data directory."""

SWEEP_SECONDS = 600.0

log = logging.getLogger(__name__)


class StoreSnapshots:
    """Pre of ``connect``: called once, before a snapshot is sent or received.

    Errors of the constructor: OSError if the directory cannot be made or swept.
    """

    def __init__(self, settings: StoreSettings, counters: SnapshotCounters) -> None:
        self.files = DiskSnapshotFiles(Path(settings.storage.data_dir) / SNAPSHOT_DIRECTORY)
        self._limits = snapshot_limits(settings)
        self._counters = counters
        self._sweeping: asyncio.Task[None] | None = None

    def connect(
        self,
        cluster_id: ClusterId,
        store_id: StoreId,
        store: Store,
        submit: Callable[[Input], None],
        resolve: Callable[[StoreId], Awaitable[str]],
    ) -> None:
        """Join with the store core, and delete what it does not name."""
        self._store = store
        refusal = store.snapshot_refusal
        pace = Pace(self._limits.bytes_per_second)
        self.sender = SnapshotSender(cluster_id, store_id, resolve, submit, self._limits, pace, self._counters)
        self.receiver = SnapshotReceiver(store_id, self.files, submit, refusal, self._limits, pace, self._counters)
        self._sweep(0.0)
        self._sweeping = asyncio.get_running_loop().create_task(self._keep_sweeping())

    async def stop(self) -> None:
        """Break off what is on its way."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait([self._sweeping])
            await asyncio.gather(self.sender.stop(), self.receiver.stop())

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            with suppress(OSError):
                self._sweep(UNUSED_SECONDS_MAX)

    def _sweep(self, unused_seconds: float) -> None:
        for name in self.files.sweep(self._store.snapshot_names, unused_seconds):
            log_event(log, logging.INFO, "a left-over snapshot file was deleted", file=name)


def snapshot_limits(settings: StoreSettings) -> SnapshotLimits:
    """The bounds that the settings ask for."""
    server = settings.server
    return SnapshotLimits(
        sending_max=server.concurrent_send_snap_limit,
        receiving_max=server.concurrent_recv_snap_limit,
        bytes_per_second=server.snap_io_max_bytes_per_sec_bytes,
    )
