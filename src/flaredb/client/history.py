"""What went wrong during one call, by cause: the answer to "why did it take so long"."""

from __future__ import annotations

from flaredb.model.outcomes import Cause


class History:
    """Counts and time per cause. Time is what passed until the try after it, waiting included."""

    __slots__ = ("_by_cause", "_last_ms", "hints", "last_text")

    def __init__(self, began_ms: int) -> None:
        self._by_cause: dict[Cause, list[int]] = {}
        self._last_ms = began_ms
        self.hints = 0
        """Leaders named, one after the other, that were not."""

        self.last_text = ""
        """The text of the last trouble."""

    def note(self, cause: Cause, text: str, now_ms: int) -> int:
        """A try has failed; how many have for this cause before."""
        seen = self._by_cause.setdefault(cause, [0, 0])
        seen[0] += 1
        seen[1] += now_ms - self._last_ms
        self._last_ms = now_ms
        self.last_text = text
        return seen[0] - 1

    def waited(self, cause: Cause, now_ms: int) -> None:
        """A pause because of the cause has ended."""
        self._by_cause[cause][1] += now_ms - self._last_ms
        self._last_ms = now_ms

    def only(self, *causes: Cause) -> bool:
        """True if nothing but these has gone wrong, and something has."""
        return bool(self._by_cause) and self._by_cause.keys() <= set(causes)

    def __str__(self) -> str:
        """As people read it, the longest first; "" if nothing went wrong."""
        ordered = sorted(self._by_cause.items(), key=lambda item: (-item[1][1], item[0]))
        return ", ".join(f"{count}x {cause} {took_ms / 1000:.1f} s" for cause, (count, took_ms) in ordered)
