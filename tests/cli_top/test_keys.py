"""Keys as terminals tell them."""

from __future__ import annotations

import pytest

from flaredb.cli.top.keys import keys_in

PRESSED = [
    ("one key", "q", "q"),
    ("several at once", "ss q", "ss q"),
    ("Escape alone", "\x1b", "\x1b"),
    ("an arrow", "\x1b[A", ""),
    ("an arrow, then a key", "\x1b[Aq", "q"),
    ("F1 and F5", "\x1bOP\x1b[15~", ""),
]


@pytest.mark.parametrize(("case", "text", "keys"), PRESSED, ids=[row[0] for row in PRESSED])
def test_keys(case: str, text: str, keys: str) -> None:
    assert keys_in(text) == keys
