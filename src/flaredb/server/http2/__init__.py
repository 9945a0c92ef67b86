"""The store's gRPC port without the gRPC library: HTTP/2 (RFC 9113) and gRPC's framing over an asyncio.Protocol.

``connection`` is pure, and so is all it stands on (``frames``, ``heads``, ``limits``, ``stream``, ``sender``,
``receiver``): bytes and times in, events and bytes out. ``calls`` joins it to the handlers, ``front`` to sockets and
clocks.
"""
