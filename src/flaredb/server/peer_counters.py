"""Counts of the traffic between stores, and the socket settings that both ends share."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from flaredb.server.histogram import Histogram

DEAD_PEER_TIMEOUT_MS = 10_000
"""A machine that vanished without closing its connections is noticed by the kernel after about this long."""


@dataclass(slots=True)
class PeerCounters:
    """What one store sent to and received from others since its start. Numbers only grow."""

    messages_sent: int = 0
    """Handed to a connection; Raft learns from answers alone whether they arrived."""

    messages_dropped: int = 0
    messages_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    connects: int = 0
    """Outgoing connections that were welcomed."""

    reconnects: int = 0
    """Those of them that replaced an earlier one."""

    refused_inbound: int = 0
    """Incoming connections closed because they were not a store of this cluster, or too many."""


@dataclass(slots=True)
class SnapshotCounters:
    """Snapshots between stores since the start. Numbers only grow; bytes are those of chunks."""

    sent: int = 0
    """The receiver said that it has them."""

    send_failed: int = 0
    received: int = 0
    receive_failed: int = 0
    """Broken off, damaged or too slow."""

    refused: int = 0
    """Not wanted here, or too many at a time."""

    bytes_sent: int = 0
    bytes_received: int = 0
    send_seconds: Histogram = field(default_factory=Histogram)
    receive_seconds: Histogram = field(default_factory=Histogram)


def tune_socket(transport: asyncio.BaseTransport) -> None:
    """Send small frames at once, and let the kernel notice a peer that is gone."""
    sock: Any = transport.get_extra_info("socket")
    if sock is None:
        return
    with suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, DEAD_PEER_TIMEOUT_MS // 2000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, DEAD_PEER_TIMEOUT_MS // 2000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_TIMEOUT_MS)
