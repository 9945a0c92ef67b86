"""The GC safe point never goes back, and services hold it back for as long as they said."""

from __future__ import annotations

from flaredb.pd.gc import FOREVER_S
from flaredb.pd.messages import GetGcSafePoint, GetGcState, PdError, ServiceSafePoint, UpdateGcSafePoint
from flaredb.pd.messages import UpdateServiceSafePoint as Claim
from tests.pd.helpers import Driver

ALWAYS = ServiceSafePoint(b"gc_worker", 0, FOREVER_S)


def test_the_safe_point_only_rises_and_is_kept() -> None:
    driver = Driver()
    assert driver.ask(GetGcSafePoint()) == 0
    assert driver.ask(UpdateGcSafePoint(50)) == 50
    assert driver.ask(UpdateGcSafePoint(40)) == 50
    assert driver.restart(power_cut=True).ask(GetGcSafePoint()) == 50


def test_the_oldest_claim_is_the_answer() -> None:
    driver = Driver()
    assert driver.ask(Claim(b"backup", 60, 10)) == ALWAYS
    assert driver.ask(Claim(b"gc_worker", 1, 30)) == ServiceSafePoint(b"backup", 10, 60)
    driver.wall_ms += 20_000
    assert driver.ask(Claim(b"cdc", 60, 20)) == ServiceSafePoint(b"backup", 10, 40)
    assert driver.ask(Claim(b"cdc", 60, 5)) == ServiceSafePoint(b"backup", 10, 40), "too late: below the oldest"
    assert driver.ask(GetGcState()).services == (
        ServiceSafePoint(b"backup", 10, 40),
        ServiceSafePoint(b"cdc", 20, 60),
    )


def test_a_claim_lapses_or_is_ended() -> None:
    driver = Driver()
    driver.ask(Claim(b"backup", 60, 10))
    driver.ask(Claim(b"cdc", 600, 20))
    driver.ask(Claim(b"gc_worker", 1, 30))
    driver = driver.restart(power_cut=True)
    driver.wall_ms += 60_000
    assert driver.ask(Claim(b"gc_worker", 1, 31)) == ServiceSafePoint(b"cdc", 20, 540)
    assert driver.ask(Claim(b"cdc", 0, 0)) == ServiceSafePoint(b"gc_worker", 31, FOREVER_S)
    assert driver.ask(GetGcState()).services == ()


def test_claims_that_cannot_be_are_refused() -> None:
    driver = Driver()
    for claim in (Claim(b"", 60, 1), Claim(b"gc_worker", 0, 1)):
        assert isinstance(driver.ask(claim), PdError)


def test_a_claim_for_ever_does_not_overflow() -> None:
    driver = Driver()
    driver.ask(Claim(b"backup", FOREVER_S, 10))
    assert driver.ask(GetGcState()).services == (ServiceSafePoint(b"backup", 10, FOREVER_S),)
