"""Keyspaces, which clients with API V2 ask PD for (wire facts 1.2b): there are none, and every call says so."""

from __future__ import annotations

from typing import Any

import grpc

from flaredb.wire.services import KEYSPACE_METHODS

SERVICE = "keyspacepb.Keyspace"


def keyspace_handlers() -> grpc.GenericRpcHandler:
    """Handlers of the whole service. Requests are not read: the answer is the same for all of them."""
    return grpc.method_handlers_generic_handler(SERVICE, {name: _refusing(name) for name in KEYSPACE_METHODS})


def _refusing(name: str) -> Any:
    async def refuse(_request: bytes, context: grpc.aio.ServicerContext) -> None:
        text = (
            f"{name} is not built: FlareDB has one key space; create the client without a keyspace and without API V2"
        )
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, text)

    return getattr(grpc, f"{KEYSPACE_METHODS[name].arity}_rpc_method_handler")(refuse)
