"""Waiting for a drain and for operators: when it is over, when it fails, and what is told meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flaredb.cli.ctl.http import Pd, PdUnreachable
from flaredb.cli.ctl.waiting import Clock, CtlFailed, DrainProgress, _Lines, order_and_wait, wait_for_tombstone
from flaredb.model.cluster import StoreState
from flaredb.pd.messages import GetOperator, OperatorStatus, PdError, PdErrorKind, Why
from tests.ctl.ctl_rig import CtlRig
from tests.rim.scheduling_fake import operator


class FakeClock:
    """Time that goes by only while somebody pauses."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.clock = Clock(lambda: self.now_s, self.pause)

    def pause(self, seconds: float) -> None:
        self.now_s += seconds


class Drain:
    """Store 2, whose regions leave one a look; then it is buried."""

    def __init__(self, ctl: CtlRig, stuck_at: int = -1) -> None:
        self.ctl = ctl
        self.stuck_at = stuck_at
        self.told: list[DrainProgress] = []
        self.time = FakeClock()
        ctl.fake.set_state(2, StoreState.OFFLINE, region_count=4)
        ctl.fake.on_look = self.look

    def look(self) -> None:
        fake = self.ctl.fake
        left = fake.statuses[2].region_count
        if left == 0:
            fake.set_state(2, StoreState.TOMBSTONE)
        elif left != self.stuck_at:
            fake.set_state(2, StoreState.OFFLINE, region_count=left - 1)

    async def wait(self, timeout_s: float = 600.0) -> dict[str, Any]:
        pd = Pd(f"127.0.0.1:{self.ctl.pd.port}")
        return await asyncio.to_thread(wait_for_tombstone, pd, 2, timeout_s, self.told.append, self.time.clock)


async def test_a_drain_is_over_when_the_store_is_a_tombstone(ctl: CtlRig) -> None:
    drain = Drain(ctl)
    assert (await drain.wait())["store"]["state_name"] == "Tombstone"
    assert [(told.left, told.of) for told in drain.told] == [(3, 3), (2, 3), (1, 3), (0, 3)]
    assert drain.told[2].text == "1 of 3 regions left; 2.0/s, about 0s to go"
    assert drain.told[3].text == "no region left; waiting to be buried"


async def test_a_drain_that_is_stuck_says_why(ctl: CtlRig) -> None:
    drain = Drain(ctl, stuck_at=1)
    ctl.fake.answers[Why] = "no other store has room"
    with pytest.raises(CtlFailed, match="store 2 still has 1 region after 50s; the drain goes on"):
        await drain.wait(timeout_s=50)
    assert drain.told[-1].why == "no other store has room"
    assert drain.told[-1].text == "1 of 3 regions left; no other store has room"
    assert [told.why for told in drain.told].index("no other store has room") == 42, "not before 20 s have gone by"


async def test_a_drain_that_is_called_off_fails(ctl: CtlRig) -> None:
    drain = Drain(ctl)
    ctl.fake.on_look = lambda: None
    ctl.fake.set_state(2, StoreState.UP, region_count=9)
    with pytest.raises(CtlFailed, match="store 2 is Up again with 9 regions: somebody called the drain off"):
        await drain.wait()


async def test_pd_may_be_away_for_a_while(ctl: CtlRig) -> None:
    pd = Pd(f"127.0.0.1:{ctl.pd.port}")
    found, time = pd._places, FakeClock()
    pd._places = [("127.0.0.1", 1)]
    drain = Drain(ctl)

    def pause(seconds: float) -> None:
        time.pause(seconds)
        if time.now_s > 110:
            pd._places = found

    clock = Clock(lambda: time.now_s, pause)
    await asyncio.to_thread(wait_for_tombstone, pd, 2, 600.0, drain.told.append, clock)
    pd._places = [("127.0.0.1", 1)]
    time.now_s = 0.0
    with pytest.raises(PdUnreachable):
        await asyncio.to_thread(wait_for_tombstone, pd, 2, 600.0, drain.told.append, time.clock)
    assert 29 < time.now_s < 32


async def test_the_command_tells_of_a_drain_in_lines(ctl: CtlRig) -> None:
    Drain(ctl)
    ran = await ctl.run("store", "delete", "2", "--wait")
    assert ran.code == 0
    assert ran.out == "store 2 is a tombstone: it holds nothing any more and may be stopped\n"
    first, *_, last = ran.err.splitlines()
    assert first.startswith("store 2: ")
    assert last == "store 2: no region left; waiting to be buried"


async def test_a_drain_that_is_refused_is_not_waited_for(ctl: CtlRig) -> None:
    from flaredb.pd.messages import RemoveStore

    ctl.fake.answers[RemoveStore] = PdError(PdErrorKind.UNKNOWN, "2 stores would stay Up, 3 replicas need 3")
    ran = await ctl.run("store", "delete", "2", "--wait")
    assert (ran.code, ran.out, ran.err) == (1, "", "flaredb: 2 stores would stay Up, 3 replicas need 3\n")


def test_lines_come_at_once_then_not_too_often(capsys: pytest.CaptureFixture[str]) -> None:
    time = FakeClock()
    lines = _Lines(2, time.clock)
    for left, why in [(9, ""), (9, ""), (8, ""), (7, ""), (6, ""), (6, "no room"), (0, "")]:
        lines.tell(DrainProgress(left, 9, 0.0, why))
        time.pause(2)
    assert capsys.readouterr().err.splitlines() == [
        "store 2: 9 of 9 regions left",
        "store 2: 7 of 9 regions left",
        "store 2: 6 of 9 regions left; no room",
        "store 2: no region left; waiting to be buried",
    ]


BODY = {"name": "transfer-peer", "region_id": 2, "from_store_id": 1, "to_store_id": 4}
NONE = PdError(PdErrorKind.REGION_NOT_FOUND, "region 2 has no operator")


async def ended(ctl: CtlRig, *seen: Any, timeout_s: float = 60.0) -> str:
    """``seen``: what a look at the operator shows, look after look, the first before the order."""
    ctl.fake.answers[GetOperator] = list(seen)
    pd = Pd(f"127.0.0.1:{ctl.pd.port}")
    return await asyncio.to_thread(order_and_wait, pd, BODY, timeout_s, FakeClock().clock)


async def test_an_operator_is_waited_for(ctl: CtlRig) -> None:
    running, done = operator(2), operator(2, status=OperatorStatus.SUCCESS)
    assert await ended(ctl, NONE, running, running, done) == "region 2: transfer-peer is done"
    old = operator(2, created_at_ms=1, status=OperatorStatus.CANCEL)
    assert await ended(ctl, old, running, done) == "region 2: transfer-peer is done"
    assert await ended(ctl, old, old) == "region 2: there was nothing to do"
    assert await ended(ctl, NONE, NONE) == "region 2: there was nothing to do"


async def test_an_operator_that_does_not_succeed(ctl: CtlRig) -> None:
    failed = operator(2, status=OperatorStatus.TIMEOUT, reason="step 1 took too long")
    with pytest.raises(CtlFailed, match="region 2: transfer-peer ended as timeout: step 1 took too long"):
        await ended(ctl, NONE, operator(2), failed)
    with pytest.raises(CtlFailed, match="still under way after 1m00s; look at it by operator check 2"):
        await ended(ctl, NONE, operator(2))


async def test_the_command_waits_for_an_operator(ctl: CtlRig) -> None:
    ctl.fake.answers[GetOperator] = [NONE, operator(2), operator(2, status=OperatorStatus.SUCCESS)]
    ran = await ctl.done("operator", "add", "transfer-leader", "2", "4", "--wait")
    assert ran.out == "region 2: transfer-leader is done\n"
