"""Makes messages that no honest sender would: from descriptors, from other messages, from bytes.

One seed, one sequence. Values come from three sources: limits (0, 1, 2^31, 2^63, 2^64 - 1 ...), hints (ids, keys and
epochs that exist, so that a message gets past the first check), and chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import Message

DEPTH_MAX = 4
REPEATS = (0, 0, 1, 1, 1, 2, 3, 40)
HUGE_REPEAT = 3_000

_SIGNED_32 = (0, 1, -1, 2, 7, 2**31 - 1, -(2**31))
_UNSIGNED_32 = (0, 1, 2, 7, 2**31, 2**32 - 1)
_SIGNED_64 = (*_SIGNED_32, 2**32, 2**62, 2**63 - 1, -(2**63))
_UNSIGNED_64 = (*_UNSIGNED_32, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
_LIMITS = {
    Field.TYPE_INT32: _SIGNED_32,
    Field.TYPE_SINT32: _SIGNED_32,
    Field.TYPE_SFIXED32: _SIGNED_32,
    Field.TYPE_ENUM: _SIGNED_32,
    Field.TYPE_UINT32: _UNSIGNED_32,
    Field.TYPE_FIXED32: _UNSIGNED_32,
    Field.TYPE_INT64: _SIGNED_64,
    Field.TYPE_SINT64: _SIGNED_64,
    Field.TYPE_SFIXED64: _SIGNED_64,
    Field.TYPE_UINT64: _UNSIGNED_64,
    Field.TYPE_FIXED64: _UNSIGNED_64,
}
_FLOATS = (0.0, -1.0, 1e308, -1e308, float("inf"), float("-inf"), float("nan"))
_STRINGS = ("", "default", "write", "lock", "raft", "meta", "a:1", "\x00", "é", "x" * 300, "http://[", "6.5.0", "-1.x")


class Hints:
    """What exists, by the name of the field that holds it, so that some messages are nearly right."""

    def __init__(self, numbers: dict[str, Sequence[int]], keys: Sequence[bytes]) -> None:
        self.numbers = numbers
        self.keys = tuple(keys)


class Mutator:
    """Everything is drawn from ``rng``."""

    def __init__(self, rng: Random, hints: Hints) -> None:
        self.rng = rng
        self.hints = hints

    # ------------------------------------------------ values

    def number(self, name: str, limits: Sequence[int] = _UNSIGNED_64) -> int:
        """Mostly one that exists under this name, often a limit, now and then any."""
        known = self.hints.numbers.get(name)
        draw = self.rng.random()
        if known and draw < 0.75:
            value = self.rng.choice(known)
            return value if min(limits) <= value <= max(limits) else 0
        if draw < 0.95:
            return self.rng.choice(limits)
        return self.rng.randint(min(limits), max(limits))

    def key(self) -> bytes:
        """A key that exists, one beside it, an empty, a long or a random one."""
        draw = self.rng.random()
        if draw < 0.7:
            return self.rng.choice(self.hints.keys)
        if draw < 0.8:
            return self.rng.choice(self.hints.keys) + self.rng.choice((b"\x00", b"\xff"))
        if draw < 0.84:
            return bytes([self.rng.randrange(256)]) * self.rng.choice((8192, 8193, 100))
        return self.rng.randbytes(self.rng.choice((0, 0, 1, 4, 30)))

    def text(self) -> str:
        """A string of the protocol: a column family, an address, something odd."""
        return self.rng.choice(_STRINGS)

    # ------------------------------------------------ protobuf messages

    def message(self, cls: type[Message]) -> Any:
        """A message of this type with some of its fields set, embedded messages included."""
        made = cls()
        self._fill(made, 0)
        return made

    def _fill(self, message: Any, depth: int) -> None:
        rng = self.rng
        density = rng.choice((0.3, 0.8, 0.95)) if depth < 2 else 0.6
        for field in message.DESCRIPTOR.fields:
            if field.containing_oneof is not None and rng.random() > 2 / len(field.containing_oneof.fields):
                continue
            always = field.name in ("context", "header", "region_epoch", "peer") and rng.random() < 0.9
            if always or rng.random() < density:
                self._set(message, field, depth)

    def _set(self, message: Any, field: Any, depth: int) -> None:
        if field.is_repeated if hasattr(field, "is_repeated") else field.label == Field.LABEL_REPEATED:
            self._set_repeated(message, field, depth)
        elif field.type == Field.TYPE_MESSAGE:
            if depth < DEPTH_MAX:
                child = getattr(message, field.name)
                child.SetInParent()
                self._fill(child, depth + 1)
        else:
            setattr(message, field.name, self._scalar(field))

    def _set_repeated(self, message: Any, field: Any, depth: int) -> None:
        count = self.rng.choice(REPEATS) if depth < 2 else self.rng.choice((0, 1, 2))
        target = getattr(message, field.name)
        if field.type == Field.TYPE_MESSAGE:
            if field.message_type.GetOptions().map_entry or depth >= DEPTH_MAX:
                return
            for _ in range(min(count, 3)):
                self._fill(target.add(), depth + 1)
            return
        if depth < 2 and self.rng.random() < 0.005:
            target.extend([self._scalar(field)] * HUGE_REPEAT)
            return
        target.extend(self._scalar(field) for _ in range(count))

    def _scalar(self, field: Any) -> Any:
        kind = field.type
        if kind in _LIMITS:
            if kind == Field.TYPE_ENUM and self.rng.random() < 0.8:
                return self.rng.choice(field.enum_type.values).number
            owner = field.containing_type.name
            qualified = f"{owner}.{field.name}"
            return self.number(qualified if qualified in self.hints.numbers else field.name, _LIMITS[kind])
        if kind == Field.TYPE_BOOL:
            return self.rng.random() < 0.5
        if kind == Field.TYPE_BYTES:
            return self.key()
        if kind == Field.TYPE_STRING:
            return self.text()
        return self.rng.choice(_FLOATS)

    # ------------------------------------------------ bytes

    def mutated(self, data: bytes) -> bytes:
        """The bytes with one to four small damages: bits, cuts, repeats, insertions, lengths that lie."""
        out = bytearray(data)
        for _ in range(self.rng.choice((1, 1, 2, 4))):
            self._damage(out)
        return bytes(out)

    def _damage(self, out: bytearray) -> None:
        rng = self.rng
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(6)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(out):
            out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xC0, 0xD9, 0xDF, 0xFF, rng.randrange(256)))
        elif kind == 2:
            del out[at:]
        elif kind == 3:
            out[at:at] = rng.randbytes(rng.choice((1, 2, 8)))
        elif kind == 4:
            del out[at : at + rng.choice((1, 4, 16))]
        else:
            out[at:at] = out[at : at + rng.choice((1, 8, 64))]

    def encoded(self, cls: type[Message]) -> bytes:
        """Bytes for a method of this request type: mostly a message, a fifth of them damaged, a few of pure noise."""
        draw = self.rng.random()
        if draw < 0.02:
            return self.rng.randbytes(self.rng.choice((0, 1, 5, 100)))
        data = self.message(cls).SerializeToString()
        return self.mutated(data) if draw < 0.2 else data
