"""``flaredb kv``: reading and writing data from the command line, with the Python client."""
