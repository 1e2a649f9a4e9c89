"""When a study is complete: a pure function of (facts, configuration, now), and its reason in words."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from node.config import Completion
from node.ledger.records import CompletionFacts


@dataclass(frozen=True, kw_only=True)
class Complete:
    """Nothing more is expected."""

    because: str


@dataclass(frozen=True, kw_only=True)
class WaitUntil:
    """Something may still arrive; look again then."""

    until: datetime
    because: str


CompletionDecision = Complete | WaitUntil


def judge(facts: CompletionFacts, config: Completion, now: datetime) -> CompletionDecision:
    """Decide whether a study is complete.

    It is, once no instance came for the quiet time of its slowest modality and no association is open that sent it last; or once it has
    been receiving for ``max_wait_s``, whatever else holds. DICOM has no "study complete" for a C-STORE sender, so this is an estimate:
    a late instance re-opens the study.
    """
    deadline = facts.receiving_since + timedelta(seconds=config.max_wait_s)
    if now >= deadline:
        return Complete(because=f"the maximum wait of {config.max_wait_s:g} s is over")
    quiet_s, of = _quiet(facts.modalities, config)
    quiet_from = facts.last_instance_at + timedelta(seconds=quiet_s)
    if now < quiet_from:
        return WaitUntil(until=min(quiet_from, deadline), because=f"{quiet_s:g} s without a new instance ({of})")
    if facts.open_associations:
        plural = "association is" if facts.open_associations == 1 else "associations are"
        return WaitUntil(until=deadline, because=f"{facts.open_associations} {plural} open that sent this study last")
    return Complete(because=f"no new instance for {quiet_s:g} s ({of})")


def _quiet(modalities: frozenset[str], config: Completion) -> tuple[float, str]:
    """The longest quiet time among the modalities, and whose it is."""
    times = {modality: config.quiet_s.get(modality, config.default_quiet_s) for modality in modalities}
    if not times:
        return config.default_quiet_s, "default"
    slowest = max(sorted(times), key=lambda modality: times[modality])
    return times[slowest], slowest
