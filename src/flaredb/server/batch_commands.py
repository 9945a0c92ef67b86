"""BatchCommands: many requests in a frame, many frames on a stream, answers in any order (wire facts 3.8).

A frame is one input of the store, and the answers of one step of the store are one frame back. There is no task and no
future per request: a stream is a few counters. Who reads and writes it is the front end's: `aio_batch`, `http2.calls`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from typing import Any

from google.protobuf.message import DecodeError, Message

from flaredb.model.commands import Request
from flaredb.model.errors import InvalidRequest, RegionError
from flaredb.server.front import Front
from flaredb.server.not_built import not_built_text
from flaredb.store.messages import RequestsReceived
from flaredb.wire import lazy_context
from flaredb.wire.pb import tikvpb_pb2 as pb
from flaredb.wire.raw_calls import EMPTY_ENTRY, RAW_CALLS, RawCall, frame, frame_entry
from flaredb.wire.replies import member_tag, refusal
from flaredb.wire.requests import Known, WrongCluster
from flaredb.wire.services import TIKV_METHODS


class Kind:
    """The requests of one frame that are of one call: they arrived together and are counted together."""

    __slots__ = ("arrived_s", "call", "share_bytes")

    def __init__(self, call: RawCall, arrived_s: float, share_bytes: int) -> None:
        self.call = call
        self.arrived_s = arrived_s
        self.share_bytes = share_bytes
        """Each request's share of the frame's bytes."""


Slot = tuple[int, Kind]
"""Of a request given to the store: its id on the stream, and what it is."""

_MEMBERS = pb.BatchCommandsResponse.Response.DESCRIPTOR.fields_by_name
_CALLS = {name: RAW_CALLS[name] for name in _MEMBERS if name in RAW_CALLS}


def _entry(name: str, response: bytes) -> bytes:
    return frame_entry(member_tag(_MEMBERS[name].number), response)


def _refused_entries() -> dict[str, bytes]:
    """What each command that is not built is answered: constant, so encoded once."""
    served = {*_CALLS, "Empty", "GetHealthFeedback"}
    entries = {}
    for name, member in _MEMBERS.items():
        if name not in served:
            response: type[Message] = getattr(pb.BatchCommandsResponse.Response(), name).__class__
            method = name if name in TIKV_METHODS else f"Kv{name}"
            entries[name] = frame_entry(member_tag(member.number), refusal(response)(not_built_text(method)))
    return entries


_REFUSED_ENTRIES = _refused_entries()


class InvalidFrame(Exception):
    """A frame that cannot be taken apart; ends the stream."""


class BatchRequests(ABC):
    """The requests of one stream and the sink of their answers.

    Invariants: every request id is answered at most once, and exactly once while the stream lives; no frame is taken
    while a limit of the settings is reached, so what a stream holds is bounded by those limits plus one frame; answers
    of the store are counted, and ``_answered`` is empty, after each flush.
    """

    def __init__(self, front: Front) -> None:
        self._front = front
        self._unanswered = 0
        self._unanswered_bytes = 0
        self._answered: list[Slot] = []
        self._entries: list[bytes] = []
        self._request_ids: list[int] = []
        self._closed = False

    @property
    @abstractmethod
    def unwritten_bytes(self) -> int:
        """Answers that the client has not taken."""

    @abstractmethod
    def _send(self, data: bytes) -> None:
        """One frame of answers; never after ``close``."""

    @abstractmethod
    def _changed(self) -> None:
        """``has_room`` and ``is_drained`` may say something else now."""

    def has_room(self) -> bool:
        """A further frame may be taken."""
        settings = self._front.settings
        return (
            self._unanswered < settings.stream_requests_max
            and self._unanswered_bytes < settings.stream_bytes_max
            and self.unwritten_bytes < settings.stream_unwritten_bytes_max
        )

    def is_drained(self) -> bool:
        """Everything that was asked is answered, and the answers are written."""
        return not self._unanswered and not self.unwritten_bytes

    def close(self) -> None:
        """The stream has ended: answers that still come are counted and dropped."""
        self._closed = True

    # ------------------------------------------------------------ sink

    def answer(self, slot: Slot, result: Any) -> None:
        """Takes one answer of the store; it leaves, and is counted, with the next flush."""
        self._answered.append(slot)
        if result is not None and type(result) is not bytes and isinstance(result, RegionError):
            self._front.counts.region_error(result)
        if not self._closed:
            self._entries.append(slot[1].call.answer_in_frame(result))

    def flush(self) -> None:
        """Makes one frame of the answers taken since the last flush."""
        if self._answered:
            self._count_answered()
        if self._entries:
            data = frame(self._entries, self._request_ids)
            self._entries = []
            self._request_ids = []
            if not self._closed:
                self._send(data)
        self._changed()

    def _count_answered(self) -> None:
        """Once per flush, not per answer: a frame of puts costs as much to count as one put."""
        ids, kinds = zip(*self._answered, strict=True)
        self._answered = []
        count = len(kinds)
        is_one_kind = kinds.count(kinds[0]) == count
        for kind, times in ((kinds[0], count),) if is_one_kind else Counter(kinds).items():
            self._unanswered_bytes -= times * kind.share_bytes
            self._front.counts.answered(kind.call.name, kind.arrived_s, times)
        self._unanswered -= count
        if not self._closed:
            self._request_ids += ids

    # ------------------------------------------------------------ frames of the client

    def take(self, data: bytes) -> None:
        """Gives a frame's requests to the store as one input.

        Errors: InvalidFrame, WrongCluster, before any of them is given: they end the stream (INVALID_ARGUMENT).
        """
        try:
            batch = _parse(data)
            share_bytes = len(data) // max(1, len(batch.requests))
            requests = self._read(batch, share_bytes)
        except (InvalidFrame, WrongCluster):
            self._front.counts.failed("BatchCommands")
            raise
        except DecodeError as error:
            self._front.counts.failed("BatchCommands")
            raise InvalidFrame(f"the frame is no valid tikvpb.BatchCommandsRequest: {error}") from error
        if requests:
            self._unanswered += len(requests)
            self._unanswered_bytes += share_bytes * len(requests)
            self._front.submit(RequestsReceived(requests))
        self.flush()

    def _read(self, batch: Any, share_bytes: int) -> list[Request]:
        """The requests of a frame that need the store; the others are answered."""
        requests: list[Request] = []
        routes, rules = self._front.routes, self._front.rules
        arrived_s = self._front.counts.now_s()
        kinds: dict[str | None, Kind] = {}
        for member, request_id in zip(batch.requests, batch.request_ids, strict=True):
            name = member.WhichOneof("cmd")
            kind = kinds.get(name)
            if kind is None:
                if name not in _CALLS:
                    self._answer_other(name, member, request_id)
                    continue
                kind = kinds[name] = Kind(_CALLS[name], arrived_s, share_bytes)
            call = kind.call
            body = getattr(member, call.name)
            try:
                route = routes.read(body.context)
                command = call.read(body, rules)
            except InvalidRequest as error:
                self._front.counts.failed(call.name)
                self._answer_now(request_id, call.entry(call.refuse(str(error))))
                continue
            if type(command) is Known:
                self._answer_now(request_id, call.answer_in_frame(command.result))
                continue
            requests.append(Request((self, (request_id, kind)), command, *route))
        return requests

    def _answer_now(self, request_id: int, entry: bytes) -> None:
        assert not self._answered, "ids follow the order of entries: flush the store's answers first"
        self._entries.append(entry)
        self._request_ids.append(request_id)

    def _answer_other(self, name: str | None, member: Any, request_id: int) -> None:
        """Commands that do not concern data, or that this server does not serve or know."""
        if name is None:
            self._answer_now(request_id, EMPTY_ENTRY)
            return
        context = getattr(getattr(member, name), "context", None)
        if context is not None:
            self._front.routes.check_cluster(context)
        if name == "Empty":
            self._answer_empty(member.Empty, request_id)
        elif name == "GetHealthFeedback":
            self._answer_now(request_id, _entry(name, self._front.health_feedback().SerializeToString()))
        else:
            self._answer_now(request_id, _REFUSED_ENTRIES[name])

    def _answer_empty(self, request: pb.BatchCommandsEmptyRequest, request_id: int) -> None:
        entry = _entry("Empty", pb.BatchCommandsEmptyResponse(test_id=request.test_id).SerializeToString())
        delay_ms = min(request.delay_time, self._front.settings.empty_delay_ms_max)
        if not delay_ms:
            self._answer_now(request_id, entry)
            return
        self._unanswered += 1
        asyncio.get_running_loop().call_later(delay_ms / 1000, self._answer_later, request_id, entry)

    def _answer_later(self, request_id: int, entry: bytes) -> None:
        self._unanswered -= 1
        self._answer_now(request_id, entry)
        self.flush()


def _parse(data: bytes) -> Any:
    batch = lazy_context.BatchCommandsRequest.FromString(data)
    if len(batch.requests) != len(batch.request_ids):
        raise InvalidFrame(f"the frame has {len(batch.requests)} requests but {len(batch.request_ids)} request ids")
    return batch
