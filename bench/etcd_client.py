"""The least that a Python client of etcd must do: grpc.aio with requests and answers as bytes, made and read here.

Not a client to use; a bound. A real one makes message objects, keeps leases, retries and checks, and is slower.
"""

from __future__ import annotations

import grpc

_OPTIONS = (("grpc.max_receive_message_length", -1),)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(len(data)) + data


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    """The length-delimited fields of a message; numbers are skipped."""
    found, at = [], 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    while at < len(data):
        tag = varint()
        size = varint()
        if tag & 7 == 2:
            found.append((tag >> 3, data[at : at + size]))
            at += size
    return found


class EtcdByBytes:
    """Put and linearizable get on one etcd member. Errors: grpc.RpcError."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, _OPTIONS)
        self._put = self._channel.unary_unary("/etcdserverpb.KV/Put")
        self._range = self._channel.unary_unary("/etcdserverpb.KV/Range")

    async def put(self, key: bytes, value: bytes) -> None:
        """Write a pair."""
        await self._put(_field(1, key) + _field(2, value))

    async def get(self, key: bytes) -> bytes | None:
        """Read a value; None if there is none."""
        for number, row in _fields(await self._range(_field(1, key))):
            if number == 2:
                return next((data for field, data in _fields(row) if field == 5), b"")
        return None

    async def close(self) -> None:
        """Let go of the connection."""
        await self._channel.close()
