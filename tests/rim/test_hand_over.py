"""A store that is told to stop: leaders first, for a bounded time, and at once when told again."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from flaredb.server import main
from flaredb.server.node import StoreNode
from flaredb.server.settings import StoreSettings, load_store_settings
from flaredb.store.messages import Input, LeadersHandedOver
from tests.rim.fake_pd import eventually

DEADLINE_S = 30


class FakeParts:
    """What hand_over needs of a node's loop, store and link."""

    def __init__(self, led_count: int) -> None:
        self.store = self
        self.led_count = led_count
        self.inputs: list[Input] = []
        self.beats = 0

    def submit(self, item: Input) -> None:
        self.inputs.append(item)

    def beat_soon(self) -> None:
        self.beats += 1


def node_with(parts: FakeParts, timeout: str = "10s") -> StoreNode:
    node = StoreNode(load_store_settings(None, {"server": {"graceful-shutdown-timeout": timeout}}))
    fake: Any = parts
    node.loop, node.pd_link = fake, fake
    return node


async def test_the_store_serves_until_it_leads_nothing() -> None:
    parts = FakeParts(2)
    handing = asyncio.ensure_future(node_with(parts, "10m").hand_over())
    await eventually(lambda: parts.inputs)
    assert parts.inputs == [LeadersHandedOver()]
    assert parts.beats == 1, "PD is told that it stops"
    assert not handing.done()
    parts.led_count = 0
    await asyncio.wait_for(handing, DEADLINE_S)


async def test_it_does_not_wait_longer_than_it_may(caplog: pytest.LogCaptureFixture) -> None:
    await asyncio.wait_for(node_with(FakeParts(2), "100ms").hand_over(), DEADLINE_S)
    assert "some leaders could not be handed over in time" in caplog.text


@pytest.mark.parametrize(("led", "timeout"), [(0, "10m"), (2, "0s")], ids=["nobody to hand to", "switched off"])
async def test_it_does_not_wait_at_all(led: int, timeout: str) -> None:
    parts = FakeParts(led)
    await asyncio.wait_for(node_with(parts, timeout).hand_over(), DEADLINE_S)
    assert parts.inputs == []


class FakeNode:
    """Hands over for ever."""

    exit_status = 0

    def __init__(self, events: list[str]) -> None:
        self.events = events

    async def start(self) -> None:
        self.events.append("start")

    async def hand_over(self) -> None:
        self.events.append("hand over")
        await asyncio.Event().wait()

    async def stop(self) -> None:
        self.events.append("stop")


@pytest.mark.parametrize(
    ("signals", "events"),
    [
        ([signal.SIGTERM, signal.SIGTERM], ["start", "hand over", "stop"]),
        ([signal.SIGTERM, signal.SIGINT], ["start", "hand over", "stop"]),
        ([signal.SIGINT], ["start", "stop"]),
    ],
    ids=["told twice", "interrupted while handing over", "interrupted"],
)
async def test_signals(
    signals: list[signal.Signals], events: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    happened: list[str] = []
    monkeypatch.setattr(main, "StoreNode", lambda _settings: FakeNode(happened))
    serving = asyncio.ensure_future(main._serve(StoreSettings()))
    await eventually(lambda: happened == ["start"])
    for number, name in zip(signals, events[1:], strict=False):
        os.kill(os.getpid(), number)
        await eventually(lambda name=name: name in happened)
    assert await asyncio.wait_for(serving, DEADLINE_S) == 0
    assert happened == events
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)
