"""When a failed delivery is tried again: a pure function of (attempt, age, policy, error, now), as a value."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from inference.errors import OsteonError, PermanentError
from node.config import Retry


@dataclass(frozen=True, kw_only=True)
class TryAgain:
    """Not before this moment."""

    at: datetime


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """Trying again changes nothing."""


@dataclass(frozen=True, kw_only=True)
class GiveUp:
    """It was tried for as long as the policy says."""

    after_s: float


RetryDecision = TryAgain | Rejected | GiveUp


def delay_s(attempt: int, policy: Retry) -> float:
    """Seconds to wait after attempt number ``attempt`` (1 is the first): ``first_s * factor ** (attempt - 1)``, at most ``max_s``."""
    if attempt < 1:
        raise ValueError(f"attempts count from 1, not {attempt}")
    if policy.first_s >= policy.max_s:
        return policy.max_s
    # Compared as logarithms: the power overflows after about a thousand attempts.
    if (attempt - 1) * math.log(policy.factor) >= math.log(policy.max_s / policy.first_s):
        return policy.max_s
    return float(policy.first_s * policy.factor ** (attempt - 1))


def after_failure(*, attempt: int, queued_at: datetime, policy: Retry, error: OsteonError, now: datetime) -> RetryDecision:
    """Decide what follows attempt number ``attempt``, which failed with ``error``.

    The last attempt lies at the end of ``give_up_after_s``, not before it: a destination that comes back in time is still served.
    """
    if isinstance(error, PermanentError):
        return Rejected()
    end = queued_at + timedelta(seconds=policy.give_up_after_s)
    if now >= end:
        return GiveUp(after_s=(now - queued_at).total_seconds())
    return TryAgain(at=min(now + timedelta(seconds=delay_s(attempt, policy)), end))
