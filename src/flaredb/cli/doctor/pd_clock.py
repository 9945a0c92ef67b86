"""PD's timestamps beside our clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from flaredb.cli.doctor.judge_machine import ClockSample
from flaredb.rpc.pd import PdClient, PdClientTimes
from flaredb.wire.pb import pdpb_pb2 as pdpb
from flaredb.wire.services import PD_METHODS

ROUNDS = 7
TIMEOUT_S = 3.0


def clock_samples(addresses: Sequence[str]) -> list[ClockSample]:
    """Some questions for a timestamp. Errors: PdError, TimeoutError, grpc's."""
    return asyncio.run(asyncio.wait_for(_samples(addresses), TIMEOUT_S))


async def _samples(addresses: Sequence[str]) -> list[ClockSample]:
    pd = PdClient(list(addresses), PdClientTimes(connect_window_ms=int(TIMEOUT_S * 1_000)))
    try:
        await pd.connect()
        method = PD_METHODS["Tso"]
        stream = pd.channel(await pd.leader()).stream_stream(
            method.path, method.request.SerializeToString, method.response.FromString
        )()
        samples = []
        for _ in range(ROUNDS):
            asked_s = time.time()
            await stream.write(pdpb.TsoRequest(header=pdpb.RequestHeader(cluster_id=pd.cluster_id), count=1))
            answer = await stream.read()
            samples.append(ClockSample(asked_s, time.time(), answer.timestamp.physical / 1_000))
        await stream.done_writing()
        return samples
    finally:
        await pd.close()
