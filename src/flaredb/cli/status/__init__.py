"""``flaredb status``: how a cluster is, in a sentence; facts (pure), verdict (pure), gathering, showing."""
