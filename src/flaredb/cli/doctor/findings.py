"""What the doctor says: findings, each with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How bad it is; the worst one is the exit status."""

    OK = 0
    WARNING = 1
    """It works, but will disappoint sooner or later."""

    PROBLEM = 2
    """Something does not work, or data is at risk."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``fix`` says what to do, "" if nothing need be done."""

    check: str
    severity: Severity
    what: str
    fix: str = ""


def ok(check: str, what: str) -> Finding:
    """All is well there."""
    return Finding(check, Severity.OK, what)


def warning(check: str, what: str, fix: str) -> Finding:
    """It works, but should be mended."""
    return Finding(check, Severity.WARNING, what, fix)


def problem(check: str, what: str, fix: str) -> Finding:
    """It must be mended."""
    return Finding(check, Severity.PROBLEM, what, fix)


def worst(findings: list[Finding]) -> Severity:
    """OK if there is none."""
    return max((finding.severity for finding in findings), default=Severity.OK)
