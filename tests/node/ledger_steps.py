"""Steps that tests of the ledger take again and again."""

from pathlib import Path
from typing import Any

from inference.errors import ReasonCode
from inference.findings import Findings, Outcome, Reason
from node.ledger import Ledger
from node.ledger.jobs import RunResult
from node.ledger.records import Arrival, Claim
from node.results.objects import ResultObject
from node.routing import Considered, Decision
from node.states import Receipt
from tests.node.support import at, ct_header

LEASE_S = 60


def arrive(ledger: Ledger, number: int = 1, *, now_s: float = 0, sha: str = "a", association: int | None = None, **header: Any) -> Receipt:
    """One instance arrives; ``sha`` stands for its content."""
    known = ct_header(number, **header)
    arrival = Arrival(
        header=known,
        path=f"{known.study_instance_uid}/{known.sop_instance_uid}~{sha}.dcm",
        content_sha256=sha * 64,
        size_bytes=1000,
        association_id=association,
        received_at=at(now_s),
    )
    return ledger.arrivals.record(arrival)


def complete(ledger: Ledger, now_s: float = 100) -> list[bool]:
    """Take every receiving study as complete."""
    return [ledger.progress.complete(facts, "it is quiet", at(now_s)) for facts in ledger.progress.receiving()]


def decision(study_uid: str = "1.2.3", *, matched: bool = True, destinations: tuple[str, ...] = ("pacs",)) -> Decision:
    """A decision for the CT route, or for none."""
    reason = None if matched else Reason(code=ReasonCode.NO_MATCHING_ROUTE, text="nothing matched")
    return Decision(
        study_instance_uid=study_uid,
        route="ct" if matched else None,
        workflow="ct" if matched else None,
        destinations=destinations if matched else (),
        on_refusal="none",
        considered=(Considered(route="ct", matched=matched, because="Modality is CT" if matched else "Modality is MR"),),
        reason=reason,
    )


def route(ledger: Ledger, now_s: float = 101, *, matched: bool = True) -> list[bool]:
    """Route every complete study."""
    return [ledger.progress.route(facts, decision(facts.study_uid, matched=matched), at(now_s)) for facts in ledger.progress.to_route()]


def claimed(ledger: Ledger, owner: str = "w1", now_s: float = 102) -> Claim:
    """The next run, claimed."""
    from datetime import timedelta

    claim = ledger.jobs.claim(owner, timedelta(seconds=LEASE_S), at(now_s))
    assert claim is not None, "nothing to claim"
    return claim


def working(ledger: Ledger, **options: Any) -> Claim:
    """A study of one instance on its way to a worker, and the claim."""
    arrive(ledger, **options)
    complete(ledger)
    route(ledger)
    return claimed(ledger)


def result(study_uid: str = "1.2.3", *uids: str, refused: bool = False, destinations: tuple[str, ...] = ("pacs",)) -> RunResult:
    """A result with a SEG and an SR per UID pair, or a refusal without objects."""
    reason = Reason(code=ReasonCode.NO_SUITABLE_SERIES, text="nothing axial") if refused else None
    findings = Findings(
        study_instance_uid=study_uid,
        workflow="ct",
        outcome=Outcome.REFUSED if refused else Outcome.RESULT,
        reason=reason,
        timings_s={"total": 1.5, "odd": float("nan")},
    )
    objects = tuple(
        ResultObject(
            kind="sr" if uid.endswith("sr") else "seg", sop_class_uid="1.2.840.1", sop_instance_uid=uid, path=Path(f"/results/{uid}.dcm")
        )
        for uid in uids
    )
    return RunResult(findings=findings, objects=objects, picture=None, targets=dict.fromkeys(destinations, ("seg", "sr")))
