"""The tour's data: the names of the Unicode characters, from the standard library."""

from __future__ import annotations

import sys
import unicodedata

# Their names are only their numbers (ideographs) or spelt-out sounds (Hangul): a hundred thousand keys without a story.
_COMPUTED_NAMES = ("CJK UNIFIED IDEOGRAPH-", "HANGUL SYLLABLE ")


def unicode_names() -> dict[bytes, bytes]:
    """Name -> character (UTF-8), in ascending order of the names; about 34,000."""
    named = ((unicodedata.name(character, ""), character) for character in map(chr, range(sys.maxunicode + 1)))
    return {
        name.encode(): character.encode()
        for name, character in sorted(named)
        if name and not name.startswith(_COMPUTED_NAMES)
    }


def other_value(value: bytes) -> bytes:
    """A second value for a key, for writes that must be told from the first: "é U+00E9"."""
    return value + b" U+%04X" % ord(value.decode())
