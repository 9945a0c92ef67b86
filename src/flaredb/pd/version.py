"""Versions of stores and of the cluster: which store may join (wire facts 4.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """major.minor.patch; a pre-release comes before the release of the same numbers."""

    major: int
    minor: int
    patch: int
    is_release: bool = True
    pre_release: str = ""

    def __str__(self) -> str:
        text = f"{self.major}.{self.minor}.{self.patch}"
        return f"{text}-{self.pre_release}" if self.pre_release else text

    def accepts(self, store: Version) -> bool:
        """True if a store of that version may join a cluster of this one."""
        return self < store or (self.major, self.minor) == (store.major, store.minor)


NO_VERSION = Version(0, 0, 0)
"""Of a cluster before its first store."""


def parse_version(text: str) -> Version:
    """The version; an empty text is 1.0.0, as for stores from before versions were reported.

    Errors: ValueError for what is not major.minor.patch, a "v" before it allowed.
    """
    if not text:
        return Version(1, 0, 0)
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError(f"{text!r} is not a version such as 6.5.0")
    return Version(int(form[1]), int(form[2]), int(form[3]), form[4] is None, form[4] or "")
