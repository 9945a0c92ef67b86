"""Lines of the shell as words. Bytes literals stay whole, other quotes only hold a word together."""

from __future__ import annotations

import re

from flaredb.cli.notation import shown
from flaredb.model.keys import format_key

_WORD = re.compile(
    r"""\s*
    (?P<option>--?[a-z][-a-z]*=)?
    (?: (?P<literal>b'(?:\\.|[^'\\])*' | b"(?:\\.|[^"\\])*")
      | '(?P<single>[^']*)'
      | "(?P<double>(?:\\["\\]|[^"])*)"
      | (?P<plain>[^\s]+)
    )(?=\s|$)""",
    re.VERBOSE,
)


def words_of(line: str) -> list[str]:
    """The words of a line: get b'a b' "two words" --prefix='x y'.

    Errors: ValueError for a quote without its other half.
    """
    words: list[str] = []
    position, line = 0, line.rstrip()
    while position < len(line):
        found = _WORD.match(line, position)
        assert found is not None
        plain = found["plain"]
        if plain is not None and plain.startswith(("'", '"', "b'", 'b"')):
            raise ValueError(f"{plain} begins with a quote that does not end; a quote ends before a space")
        if found["double"] is not None:
            text = re.sub(r'\\(["\\])', r"\1", found["double"])
        else:
            text = next(text for text in (found["literal"], found["single"], plain) if text is not None)
        words.append((found["option"] or "") + text)
        position = found.end()
    return words


def word_of(key: bytes) -> str:
    """A key as one word of a line."""
    text = shown(key)
    return format_key(key) if " " in text or text[0] in "'\"" else text
