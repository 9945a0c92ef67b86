"""gRPC channels as FlareDB's own processes open them (wire facts 3.10)."""

from __future__ import annotations

from typing import Any

import grpc

CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    # A machine that vanished is noticed within 13 s, on idle connections as well.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # What is too large is decided by limits that name the cure, not by the transport.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A process that restarts is found again at once; the default waits up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 500),
    # Retries are ours to decide, and neighbours in a cluster are never behind a web proxy.
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    # Two clients in one process do not share a broken connection.
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel to host:port; connects with the first call. Pre: called on the event loop that will use it."""
    return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)


def address_of_url(url: str) -> str:
    """host:port of a client URL as PD members advertise it: "http://host:port" or plain."""
    return url.strip().removeprefix("http://").rstrip("/")
