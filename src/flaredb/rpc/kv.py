"""Connections to stores: calls share BatchCommands frames, and go one by one where a store has no such stream.

A link is one connection's life: it resolves the store's address, dials, carries calls, and ends with the connection.
What was not sent yet is then told NotSent, what was sent Lost; the next call to the store makes a new link. There is no
task and no future per call: a stream has a reader and a writer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from flaredb.model.limits import MIB
from flaredb.model.outcomes import Cause, Failed, Lost, NotSent
from flaredb.rpc.channels import open_channel
from flaredb.wire.client_frames import entry, frame, read_frame
from flaredb.wire.raw_requests import RawMethod
from flaredb.wire.services import TIKV_METHODS

_BATCH_COMMANDS = TIKV_METHODS["BatchCommands"].path
_STATUS_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class KvLinkSettings:
    """How much one connection carries. What does not fit waits until its deadline."""

    frame_requests_max: int = 128
    frame_bytes_max: int = MIB
    """A frame ends with the request that exceeds it."""

    unanswered_max: int = 4096
    """Requests on the stream without an answer; also those whose caller has given up."""

    unary_max: int = 128
    """Calls outside of the stream under way."""

    gather_requests: int = 32
    """With so many a frame goes at once; with fewer it may wait for more, see KvLink._should_gather."""

    gather_ms: int = 2
    """The longest such wait."""

    connect_timeout_ms: int = 1_500
    sweep_ms: int = 50
    """How often deadlines are looked at: calls end up to this much later."""


class KvCall:
    """One request to one store. Whoever sends it implements ``answered``, which is called exactly once per send."""

    __slots__ = ("due_ms", "method", "request")

    method: RawMethod
    request: bytes
    """Encoded, as wire/raw_requests.py makes it."""

    due_ms: int

    def answered(self, outcome: Any) -> None:
        """The method's result, or a Trouble."""
        raise NotImplementedError

    def is_given_up(self) -> bool:
        """True if nobody waits for the answer any more, so it need not be sent if it was not yet."""
        return False


class KvLinks:
    """The links to all stores, by id."""

    def __init__(
        self,
        resolve: Callable[[int], Awaitable[str]],
        now_ms: Callable[[], int],
        settings: KvLinkSettings | None = None,
    ) -> None:
        """``resolve``: the address of a store; raises an Exception whose text says why there is none."""
        self.settings = settings or KvLinkSettings()
        self.resolve = resolve
        self.now_ms = now_ms
        self._links: dict[int, KvLink] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def send(self, store_id: int, call: KvCall) -> None:
        """Have the store answer ``call``, at the latest (about) when it is due. Pre: on the event loop."""
        link = self._links.get(store_id)
        if link is None:
            link = self._links[store_id] = KvLink(self, store_id)
        link.send(call)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(self.settings.sweep_ms / 1000, self._sweep)

    def forget(self, link: KvLink) -> None:
        """The link has ended."""
        if self._links.get(link.store_id) is link:
            del self._links[link.store_id]

    async def close(self) -> None:
        """End all links; calls under way are told."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        links = list(self._links.values())
        self._links.clear()
        await asyncio.gather(*(link.close() for link in links))

    def _sweep(self) -> None:
        now_ms = self.now_ms()
        is_busy = False
        for link in list(self._links.values()):
            is_busy |= link.sweep(now_ms)
        self._sweeper = None
        if is_busy:
            self._sweeper = asyncio.get_running_loop().call_later(self.settings.sweep_ms / 1000, self._sweep)


class KvLink:
    """One connection to one store, from its dialling to its end.

    Invariants: every call sent is answered once; ``_sent`` has at most ``unanswered_max`` entries.
    """

    def __init__(self, links: KvLinks, store_id: int) -> None:
        self.store_id = store_id
        self._links = links
        self._settings = links.settings
        self._pending: deque[KvCall] = deque()
        self._pending_unary: deque[KvCall] = deque()
        self._sent: dict[int, KvCall | None] = {}
        """By request id; None where the caller has given up."""

        self._next_id = 0
        self._gather_until_s = 0.0
        self._has_stream = True
        self._news = asyncio.Event()
        self._unary: dict[asyncio.Task[Any], KvCall] = {}
        self._address = ""
        self._has_ended = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    def send(self, call: KvCall) -> None:
        """Queue a call."""
        if self._has_stream and call.method.in_frames:
            self._pending.append(call)
        else:
            self._pending_unary.append(call)
        self._news.set()

    def sweep(self, now_ms: int) -> bool:
        """Tell the calls that are overdue; True if any call is under way."""
        late = {number: call for number, call in self._sent.items() if call is not None and call.due_ms <= now_ms}
        self._sent.update(dict.fromkeys(late))
        unsent = _take_late(self._pending, now_ms) + _take_late(self._pending_unary, now_ms)
        for call in late.values():
            call.answered(Lost(f"no answer from {self._name()} in time"))
        for call in unsent:
            call.answered(NotSent(f"{self._name()} did not take the request in time", Cause.STORE_SLOW))
        return bool(self._sent or self._pending or self._pending_unary or self._unary)

    async def close(self) -> None:
        """End the link at once."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if not self._has_ended:
            # Cancelled before its first step, so nothing of it ran.
            self._end("the client was closed")

    def _name(self) -> str:
        return f"store {self.store_id} at {self._address}" if self._address else f"store {self.store_id}"

    # ------------------------------------------------------------ life

    async def _run(self) -> None:
        channel: grpc.aio.Channel | None = None
        why = "the client was closed"
        try:
            self._address = await self._links.resolve(self.store_id)
            channel = open_channel(self._address)
            await self._connect(channel)
            why = await self._carry(channel)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            why = str(error) or type(error).__name__
        finally:
            self._end(why)
            if channel is not None:
                await channel.close()

    async def _connect(self, channel: grpc.aio.Channel) -> None:
        """Wait until the connection stands. Errors: ConnectionError."""
        ready = grpc.ChannelConnectivity.READY
        failed = (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN)
        try:
            async with asyncio.timeout(self._settings.connect_timeout_ms / 1000):
                while (state := channel.get_state(try_to_connect=True)) is not ready:
                    if state in failed:
                        raise ConnectionError(f"{self._name()} refuses connections")
                    await channel.wait_for_state_change(state)
        except TimeoutError:
            raise ConnectionError(
                f"{self._name()} does not take a connection within {self._settings.connect_timeout_ms / 1000:g} s"
            ) from None

    async def _carry(self, channel: grpc.aio.Channel) -> str:
        """Serve until the connection ends; why it did."""
        loop = asyncio.get_running_loop()
        while True:
            stream = channel.stream_stream(_BATCH_COMMANDS)() if self._has_stream else None
            reader = loop.create_task(self._read_all(stream, channel))
            writer = loop.create_task(self._write_all(stream, channel))
            try:
                await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
                if stream is not None and not reader.done():
                    # A write fails as soon as the call has ended. Why it ended the reader hears a little later.
                    await asyncio.wait((reader,), timeout=_STATUS_WAIT_S)
                ended = reader if reader.done() else writer
                why = ended.exception() or "it closed the connection"
            finally:
                for task in (reader, writer):
                    task.cancel()
                await asyncio.gather(reader, writer, return_exceptions=True)
            if stream is not None and stream.done() and await stream.code() is grpc.StatusCode.UNIMPLEMENTED:
                self._without_stream()
                continue
            if stream is not None:
                stream.cancel()
            return f"{self._name()}: {_text_of(why)}"

    def _without_stream(self) -> None:
        """The store has no BatchCommands: it has not looked at what was sent."""
        self._has_stream = False
        again = [call for call in self._sent.values() if call is not None]
        self._pending_unary.extend(again)
        self._pending_unary.extend(self._pending)
        self._sent.clear()
        self._pending.clear()
        self._news.set()

    def _end(self, why: str) -> None:
        """The connection is gone."""
        self._has_ended = True
        self._links.forget(self)
        for task in self._unary:
            task.cancel()
        sent = [call for call in self._sent.values() if call is not None]
        unsent = [*self._pending, *self._pending_unary]
        self._sent.clear()
        self._pending.clear()
        self._pending_unary.clear()
        for call in sent:
            call.answered(Lost(f"the connection broke before the answer came: {why}"))
        for call in unsent:
            call.answered(NotSent(why))

    # ------------------------------------------------------------ the stream

    async def _write_all(self, stream: Any, channel: grpc.aio.Channel) -> None:
        unanswered_max = self._settings.unanswered_max
        while True:
            if self._pending_unary:
                self._start_unary(channel)
            if stream is not None and self._pending and len(self._sent) < unanswered_max and not self._should_gather():
                if data := self._next_frame():
                    await stream.write(data)
                continue
            self._news.clear()
            await self._news.wait()

    def _should_gather(self) -> bool:
        """Whether to wait for more requests to share the next frame: a moment, while more answers are on their way.

        A frame costs both ends as much as ten requests do. Waiting until there are as many as are unanswered makes two
        frames of half the callers take turns. A lone caller never waits: it has nothing else under way.
        """
        settings = self._settings
        if len(self._pending) >= min(len(self._sent), settings.gather_requests):
            self._gather_until_s = 0.0
            return False
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        if not self._gather_until_s:
            self._gather_until_s = now_s + settings.gather_ms / 1000
            loop.call_later(settings.gather_ms / 1000, self._news.set)
            return True
        if now_s < self._gather_until_s:
            return True
        self._gather_until_s = 0.0
        return False

    def _next_frame(self) -> bytes:
        """The next frame; b"" if nobody waits for anything that is pending."""
        pending, sent = self._pending, self._sent
        count = min(len(pending), self._settings.frame_requests_max)
        bytes_left = self._settings.frame_bytes_max
        entries = []
        first = self._next_id
        while count and bytes_left > 0:
            call = pending.popleft()
            count -= 1
            if call.is_given_up():
                call.answered(NotSent("nobody waited for it any more"))
                continue
            entries.append(entry(call.method.entry_head, call.request))
            sent[self._next_id] = call
            self._next_id += 1
            bytes_left -= len(call.request)
        return frame(entries, range(first, self._next_id)) if entries else b""

    async def _read_all(self, stream: Any, channel: grpc.aio.Channel) -> None:
        if stream is None:
            await _until_broken(channel)
            return
        while True:
            data = await stream.read()
            if data is grpc.aio.EOF:
                return
            self._take(data)

    def _take(self, data: bytes) -> None:
        pop = self._sent.pop
        for response, number in zip(*read_frame(data), strict=True):
            call = pop(number, None)
            if call is not None:
                call.answered(_decoded(call.method.decode_entry, response))
        if self._pending:
            self._news.set()

    # ------------------------------------------------------------ one by one

    def _start_unary(self, channel: grpc.aio.Channel) -> None:
        while self._pending_unary and len(self._unary) < self._settings.unary_max:
            call = self._pending_unary.popleft()
            if call.is_given_up():
                call.answered(NotSent("nobody waited for it any more"))
                continue
            task = asyncio.get_running_loop().create_task(self._call_unary(channel, call))
            self._unary[task] = call
            task.add_done_callback(self._unary_done)

    def _unary_done(self, task: asyncio.Task[Any]) -> None:
        # Here and not in the task: one that is cancelled before its first step never runs.
        call = self._unary.pop(task)
        if task.cancelled():
            call.answered(Lost(f"the connection to {self._name()} was closed before the answer came"))
        else:
            call.answered(task.result())
        self._news.set()

    async def _call_unary(self, channel: grpc.aio.Channel, call: KvCall) -> Any:
        timeout_s = max(0.001, (call.due_ms - self._links.now_ms()) / 1000)
        try:
            data = await channel.unary_unary(call.method.path)(call.request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            return _outcome_of_status(error, call.method.name, self._name())
        except Exception as error:
            return Lost(f"{self._name()}: {_text_of(error)}")
        return _decoded(call.method.decode, data)


def _take_late(queue: deque[KvCall], now_ms: int) -> list[KvCall]:
    """Remove the overdue calls of a queue."""
    late = [call for call in queue if call.due_ms <= now_ms]
    if late:
        kept = [call for call in queue if call.due_ms > now_ms]
        queue.clear()
        queue.extend(kept)
    return late


def _decoded(decode: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return decode(data)
    except (DecodeError, ValueError, IndexError) as error:
        # It has answered, so a write was looked at; what it said is not known.
        return Lost(f"the answer cannot be read: {error}")


def _outcome_of_status(error: grpc.aio.AioRpcError, name: str, store: str) -> Failed | Lost:
    text = f"{store} answered {name} with {error.code().name}: {error.details() or 'no reason given'}"
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return Failed(f"UNIMPLEMENTED: {text}")
    if error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED):
        return Failed(text)
    return Lost(text)


def _text_of(why: object) -> str:
    if isinstance(why, grpc.aio.AioRpcError):
        return str(why.details() or why.code().name)
    return str(why) or type(why).__name__


async def _until_broken(channel: grpc.aio.Channel) -> None:
    """Return once the connection of a channel without a stream is gone."""
    state = channel.get_state()
    while state is grpc.ChannelConnectivity.READY:
        await channel.wait_for_state_change(state)
        state = channel.get_state()
