"""A gRPC server with the options that the clients of this ecosystem need (wire facts 3.10)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc

from flaredb.model.errors import ConfigError
from flaredb.model.limits import MIB

_HANDSHAKE_TIMEOUT_MS = 10_000
_MESSAGE_BYTES_MAX = 256 * MIB

SERVER_OPTIONS: tuple[tuple[str, Any], ...] = (
    # Clients ping every 10 s, with and without calls; by default a server sends them away for it.
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A batch put of 5 MiB is usual, and a client's frame may hold a hundred of them; what a store takes is bounded by
    # its own limits, with better messages. This one is for what no client sends: it would have to fit into memory.
    ("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", -1),
    # Two servers on one port would share its connections silently.
    ("grpc.so_reuseport", 0),
    # Without it a connection that never says anything stays open for ever.
    ("grpc.server_handshake_timeout_ms", _HANDSHAKE_TIMEOUT_MS),
)


def make_server(
    handlers: Iterable[grpc.GenericRpcHandler], address: str, extra_options: Iterable[tuple[str, Any]] = ()
) -> tuple[grpc.aio.Server, int]:
    """A server bound to ``address`` (host:port, port 0 for any), not started yet, and its port.

    ``extra_options`` replace those of the same name.

    Pre:    called on the event loop that will run it.
    Errors: ConfigError if the address cannot be bound.
    """
    options = dict(SERVER_OPTIONS) | dict(extra_options)
    server = grpc.aio.server(options=list(options.items()))
    server.add_generic_rpc_handlers(tuple(handlers))
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise ConfigError(_cannot_listen(address)) from error
    if not port:
        raise ConfigError(_cannot_listen(address))
    return server, port


def _cannot_listen(address: str) -> str:
    return f"cannot listen on {address}: the port is in use, or the host is not one of this machine; choose another"
