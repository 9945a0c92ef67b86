"""The store's gRPC port without the gRPC library: HTTP/2 (RFC 9113) and gRPC's framing over an asyncio.Protocol.

``frames``, ``heads``, ``limits``, ``stream`` and ``connection`` are pure: bytes and times in, events and bytes out.
``calls`` joins them to the handlers, ``front`` to sockets and clocks.
"""
