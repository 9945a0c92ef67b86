"""The client's faces: asyncio and synchronous, of the same names and signatures, over the decisions of ``client/``."""

import logging

# A library is quiet unless its user asks for its log.
logging.getLogger("flaredb").addHandler(logging.NullHandler())
