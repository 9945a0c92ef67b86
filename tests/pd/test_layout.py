"""The initial layout tiles the key space and spreads replicas and first leaders evenly."""

from __future__ import annotations

from collections import Counter
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaredb.model.errors import ConfigError
from flaredb.model.ids import StoreId
from flaredb.model.layout import validate_layout
from flaredb.pd.config import PdConfig
from flaredb.pd.layout import initial_regions


@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 40))
def test_any_layout_is_valid_and_even(stores: int, replicas: int, split_keys: int) -> None:
    replicas = min(replicas, stores)
    store_ids = [StoreId(10 * number) for number in range(1, stores + 1)]
    numbers = count(1)
    keys = [b"%04d" % number for number in range(split_keys)]
    regions = initial_regions(keys, store_ids, replicas, lambda: next(numbers))
    validate_layout(regions, store_ids)
    assert len(regions) == split_keys + 1
    firsts = Counter(region.peers[0].store_id for region in regions)
    peers = Counter(peer.store_id for region in regions for peer in region.peers)
    assert max(firsts.values()) - min(firsts[store_id] for store_id in store_ids) <= 1
    assert max(peers.values()) - min(peers[store_id] for store_id in store_ids) <= replicas
    assert {len(region.peers) for region in regions} == {replicas}


def test_configurations_that_cannot_work_are_refused() -> None:
    for words, config in {
        "less than max_replicas": PdConfig(initial_stores=2),
        "how many stores": PdConfig(split_keys=(b"a",)),
        "must ascend": PdConfig(initial_stores=3, split_keys=(b"b", b"a")),
        "comes before b'a'": PdConfig(initial_stores=3, split_keys=(b"a", b"a")),
        "empty key": PdConfig(initial_stores=3, split_keys=(b"", b"a")),
        "clients give up": PdConfig(hold_ms=2_000),
        "max_replicas = 0": PdConfig(max_replicas=0),
    }.items():
        with pytest.raises(ConfigError, match=words):
            config.validate()
