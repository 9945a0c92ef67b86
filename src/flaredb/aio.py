"""The asyncio client: ``async with flaredb.aio.connect() as db: await db.put(b"k", b"v")``."""

from flaredb.faces.aio_client import Client, connect

__all__ = ["Client", "connect"]
