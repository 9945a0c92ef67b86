"""``flaredb status``."""
