"""``flaredb top``: a live view of stores, regions, rates and moves. series, rates, frame: pure; poller, keys: not."""
