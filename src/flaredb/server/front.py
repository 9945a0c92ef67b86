"""What unary calls and BatchCommands streams share: the way into the store, the rules, the health sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import grpc

from flaredb.model.ids import ClusterId, StoreId
from flaredb.server.call_counts import CallCounts
from flaredb.server.counters import Counters
from flaredb.server.service_settings import KvServiceSettings
from flaredb.store.messages import Input
from flaredb.wire.pb import kvrpcpb_pb2
from flaredb.wire.requests import RequestRules, RouteReader

_HEALTHY_SLOW_SCORE = 1


class Front:
    """One per process. Used on the event loop's thread only."""

    def __init__(
        self,
        submit: Callable[[Input], None],
        cluster_id: ClusterId,
        store_id: StoreId,
        settings: KvServiceSettings,
        now_ms: Callable[[], int],
        counters: Counters | None = None,
    ) -> None:
        self.submit = submit
        self.settings = settings
        self.counts = CallCounts(counters or Counters())
        self.rules = RequestRules(settings.key_size_bytes_max)
        self.routes = RouteReader(cluster_id)
        self._store_id = store_id
        self._now_ms = now_ms
        self._feedback_sequence = 0

    def health_feedback(self) -> kvrpcpb_pb2.GetHealthFeedbackResponse:
        """A sample whose sequence number grows, over restarts too: clients drop what looks older."""
        self._feedback_sequence = max(self._feedback_sequence + 1, self._now_ms())
        return kvrpcpb_pb2.GetHealthFeedbackResponse(
            health_feedback=kvrpcpb_pb2.HealthFeedback(
                store_id=self._store_id, feedback_seq_no=self._feedback_sequence, slow_score=_HEALTHY_SLOW_SCORE
            )
        )


async def abort(context: grpc.aio.ServicerContext, code: grpc.StatusCode, text: str) -> NoReturn:
    """End the call with a gRPC status."""
    await context.abort(code, text)
    raise AssertionError("abort returned")
