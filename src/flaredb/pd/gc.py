"""How old data must be before it may vanish: the safe point, and services that hold it back."""

from __future__ import annotations

from flaredb.pd.messages import GcState, PdError, PdErrorKind, ServiceSafePoint
from flaredb.pd.state import PdState
from flaredb.wire.pd_states import GcRecord, ServiceClaim

GC_WORKER = b"gc_worker"
"""The service that moves the safe point itself; its claim always exists and never lapses."""

FOREVER_S = 2**63 - 1
SERVICES_MAX = 1_024
_NEVER = 0


class GcSafePoints:
    """Invariant: the safe point never goes back."""

    def __init__(self, state: PdState) -> None:
        self._state = state
        record = state.gc()
        self._safe_point = record.safe_point
        self._claims = dict(record.services)
        self._claims.setdefault(GC_WORKER, ServiceClaim(0, _NEVER))

    @property
    def safe_point(self) -> int:
        """Timestamp; versions below it that are not needed to read at it may be gone. 0: never set."""
        return self._safe_point

    def view(self, wall_ms: int) -> GcState:
        """The safe point and the claims in force, by service, without the GC worker's."""
        now_s = wall_ms // 1_000
        claims = (
            _shown(service, claim, now_s)
            for service, claim in sorted(self._claims.items())
            if service != GC_WORKER and not _lapsed(claim, now_s)
        )
        return GcState(self._safe_point, tuple(claims))

    def advance(self, safe_point: int) -> int:
        """Raise the safe point, never lower it; the one in force."""
        if safe_point > self._safe_point:
            self._safe_point = safe_point
            self._save()
        return self._safe_point

    def claim(self, service: bytes, ttl_s: int, safe_point: int, wall_ms: int) -> ServiceSafePoint:
        """Take, renew or (``ttl_s`` <= 0) end a claim; the oldest claim in force afterwards.

        A claim below the oldest one comes too late: nothing changes, and the answer shows why.

        Errors: PdError INVALID_VALUE for a claim that cannot be: no name, the GC worker's ended, too many.
        """
        now_s = wall_ms // 1_000
        self._check(service, ttl_s)
        kept = {name: claim for name, claim in self._claims.items() if not _lapsed(claim, now_s)}
        if ttl_s <= 0:
            kept.pop(service, None)
        elif safe_point >= min(claim.safe_point for claim in kept.values()):
            if service not in kept and len(kept) >= SERVICES_MAX:
                raise PdError(PdErrorKind.INVALID_VALUE, f"{SERVICES_MAX} services hold safe points; end some first")
            expires_at_s = _NEVER if service == GC_WORKER or ttl_s >= FOREVER_S - now_s else now_s + ttl_s
            kept[service] = ServiceClaim(safe_point, expires_at_s)
        if kept != self._claims:
            self._claims = kept
            self._save()
        oldest = min(kept, key=lambda name: (kept[name].safe_point, name))
        return _shown(oldest, kept[oldest], now_s)

    def _check(self, service: bytes, ttl_s: int) -> None:
        if not service:
            raise PdError(PdErrorKind.INVALID_VALUE, "a service safe point needs a service id")
        if service == GC_WORKER and ttl_s <= 0:
            raise PdError(PdErrorKind.INVALID_VALUE, "the safe point of gc_worker cannot be removed")

    def _save(self) -> None:
        self._state.put_gc(GcRecord(self._safe_point, dict(self._claims)))


def _lapsed(claim: ServiceClaim, now_s: int) -> bool:
    return claim.expires_at_s != _NEVER and claim.expires_at_s <= now_s


def _shown(service: bytes, claim: ServiceClaim, now_s: int) -> ServiceSafePoint:
    ttl_s = FOREVER_S if claim.expires_at_s == _NEVER else claim.expires_at_s - now_s
    return ServiceSafePoint(service, claim.safe_point, ttl_s)
