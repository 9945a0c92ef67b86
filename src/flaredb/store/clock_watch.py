"""Does another store's clock run faster than leases allow? Judged by what the stores' beats say (contacts.py).

A lease trusts that no member's clock is faster than the leader's by more than (100 + CLOCK_RATE_PERCENT) to
(100 - CLOCK_RATE_PERCENT). Each beat says what its sender's clock shows, and what it showed when the receiver's last
beat came, which is named by the receiver's own time of sending. So each beat pins two readings of the other's clock
between two of one's own: the earlier one was taken after ``sent_ms``, the later one before ``heard_ms``. Between the
earlier reading of one beat and the later one of another no more than ``heard_ms - sent_ms`` can have passed here,
however long messages took: if the other's clock went on by more than that allows, it *is* too fast (or jumped, which
cannot be told from it). That it is not is known once a whole window shows it. What lies between proves nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from flaredb.model.limits import CLOCK_RATE_PERCENT

SAMPLES_MAX = 32
"""Beats that are compared with each other."""

ROUNDING_MS = 2
"""What readings in whole milliseconds hide."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one beat says. All in milliseconds, the outer two of one's own clock, the inner two of the other's."""

    sent_ms: int
    """One's own beat left, which the other heard before it sent this one."""

    noted_ms: int
    """The other heard it."""

    shown_ms: int
    """The other sent this one."""

    heard_ms: int
    """It arrived."""


class ClockWatch:
    """What is known of one other store's clock.

    Invariant: samples are in the order of ``sent_ms``; a clock once found too fast stays so until a window of
    samples shows the opposite.
    """

    __slots__ = ("_samples", "is_fast")

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self.is_fast = False

    def restart(self) -> None:
        """The other store has restarted, and its clock perhaps with it: what it said is void, the verdict is not."""
        self._samples.clear()

    def take(self, sample: Sample) -> bool:
        """One more beat. True if the verdict has changed. Samples that contradict their own order are dropped."""
        samples = self._samples
        if not (sample.sent_ms <= sample.heard_ms and sample.noted_ms <= sample.shown_ms):
            return False
        if samples and (samples[-1].sent_ms >= sample.sent_ms or samples[-1].shown_ms >= sample.shown_ms):
            return False  # it says nothing new: the last beat of one's own is still the one before
        samples.append(sample)
        was_fast = self.is_fast
        if any(_is_too_fast(old, sample) for old in samples):
            self.is_fast = True
        elif self.is_fast:
            self.is_fast = not (len(samples) == SAMPLES_MAX and _is_within(samples[0], sample) and not self._is_odd())
        return self.is_fast is not was_fast

    def _is_odd(self) -> bool:
        """True if any two samples of the window prove that the clock was too fast."""
        samples = list(self._samples)
        return any(_is_too_fast(old, new) for at, new in enumerate(samples) for old in samples[: at + 1])


def _is_too_fast(old: Sample, new: Sample) -> bool:
    """More has passed there than can have been allowed here."""
    there_ms = new.shown_ms - old.noted_ms
    here_ms_max = new.heard_ms - old.sent_ms + ROUNDING_MS
    return there_ms * (100 - CLOCK_RATE_PERCENT) > here_ms_max * (100 + CLOCK_RATE_PERCENT)


def _is_within(old: Sample, new: Sample) -> bool:
    """No more has passed there than is allowed here, however the messages travelled."""
    there_ms = new.shown_ms - old.noted_ms
    here_ms_min = new.sent_ms - old.heard_ms - ROUNDING_MS
    return there_ms * (100 - CLOCK_RATE_PERCENT) <= here_ms_min * (100 + CLOCK_RATE_PERCENT)
