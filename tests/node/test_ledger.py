"""The ledger on SQLite and on PostgreSQL: what arrives, is decided, is measured and is delivered."""

import threading
from datetime import timedelta

import pytest

from inference.errors import PermanentError, ReasonCode, WarningCode
from inference.findings import Notice
from node.errors import NotFoundError
from node.ledger import Ledger
from node.ledger.jobs import MAX_LOSSES, LeaseLostError
from node.ledger.records import EventKind
from node.states import DeliveryState, JobState, Receipt, StudyState
from tests.node.ledger_steps import arrive, claimed, complete, decision, result, route, working
from tests.node.support import at

pytestmark = pytest.mark.integration


def state(ledger: Ledger, study_uid: str = "1.2.3") -> StudyState:
    return ledger.study(study_uid).summary.state


def kinds(ledger: Ledger, study_uid: str = "1.2.3") -> list[EventKind]:
    return [event.kind for event in ledger.study(study_uid).events]


class TestArrival:
    def test_a_first_instance_opens_its_study(self, ledger: Ledger) -> None:
        assert ledger.is_empty()
        assert arrive(ledger, 1, PatientID="P\x007", StudyDescription="Grüße") is Receipt.NEW
        assert not ledger.is_empty()
        report = ledger.study("1.2.3")
        assert report.summary.state is StudyState.RECEIVING
        assert report.summary.instances == 1
        assert report.summary.modalities == ("CT",)
        assert report.summary.first_instance_at == at(0)
        header = report.instances[0].header
        assert header.study_description == "Grüße"
        assert header.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
        assert header.rows == 8
        assert header.path is None

    def test_the_same_again_is_counted_and_changes_nothing_else(self, ledger: Ledger) -> None:
        arrive(ledger)
        assert arrive(ledger, now_s=5) is Receipt.DUPLICATE
        assert arrive(ledger, now_s=6) is Receipt.DUPLICATE
        report = ledger.study("1.2.3")
        assert [item.duplicates for item in report.instances] == [2]
        assert report.summary.last_instance_at == at(6)

    def test_a_duplicate_does_not_reopen_a_study(self, ledger: Ledger) -> None:
        working(ledger)
        assert arrive(ledger, now_s=200) is Receipt.DUPLICATE
        assert state(ledger) is StudyState.WORKING
        assert ledger.study("1.2.3").summary.last_instance_at == at(0)

    def test_other_content_under_the_same_uid_is_kept_and_not_used(self, ledger: Ledger) -> None:
        arrive(ledger)
        assert arrive(ledger, sha="b", now_s=5) is Receipt.CONFLICT
        assert arrive(ledger, sha="b", now_s=6) is Receipt.DUPLICATE
        assert [item.role for item in ledger.study("1.2.3").instances] == ["source", "conflict"]
        assert EventKind.INSTANCE_CONFLICT in kinds(ledger)
        complete(ledger)
        facts = ledger.progress.to_route()[0]
        assert [item.content_sha256 for item in facts.instances] == ["a" * 64]

    def test_one_sop_instance_uid_in_two_studies_is_said(self, ledger: Ledger) -> None:
        arrive(ledger, sop_uid="1.9")
        assert arrive(ledger, study_uid="1.2.4", sop_uid="1.9") is Receipt.NEW
        assert "also belongs to study 1.2.3" in ledger.study("1.2.4").events[-1].text

    def test_a_result_that_comes_back_is_not_measured(self, ledger: Ledger) -> None:
        claim = working(ledger)
        ledger.jobs.finish(claim.job_id, "w1", result("1.2.3", "1.7"), at(110))
        assert arrive(ledger, sop_uid="1.7", now_s=120) is Receipt.OWN_RESULT
        assert state(ledger) is StudyState.DONE
        assert ledger.study("1.2.3").summary.instances == 1

    @pytest.mark.parametrize("late", ["complete", "routed", "working", "done"])
    def test_a_late_instance_reopens_the_study(self, ledger: Ledger, late: str) -> None:
        arrive(ledger)
        complete(ledger)
        if late != "complete":
            route(ledger)
        if late in ("working", "done"):
            claim = claimed(ledger)
            if late == "done":
                ledger.jobs.finish(claim.job_id, "w1", result("1.2.3", "7.sr"), at(110))
        assert arrive(ledger, 2, now_s=200) is Receipt.NEW
        assert state(ledger) is StudyState.RECEIVING
        assert ledger.progress.receiving()[0].receiving_since == at(200)
        assert not ledger.jobs.has_work(at(300))
        complete(ledger, 300)
        route(ledger, 301)
        again = claimed(ledger, "w2", 302)
        assert again.run == (1 if late == "complete" else 2)
        assert len(again.instances) == 2
        if late == "working":
            with pytest.raises(LeaseLostError):
                ledger.jobs.finish(claim.job_id, "w1", result("1.2.3", "8.sr"), at(303))
            assert ledger.study("1.2.3").objects == ()

    def test_associations_end_once(self, ledger: Ledger) -> None:
        first = ledger.arrivals.open_association(calling_ae_title="CT1", called_ae_title="OSTEON", peer=("10.0.0.1", 4711), now=at(0))
        arrive(ledger, association=first)
        assert [facts.open_associations for facts in ledger.progress.receiving()] == [1]
        arrive(ledger, association=first, study_uid="1.2.4")
        assert {facts.study_uid: facts.open_associations for facts in ledger.progress.receiving()} == {"1.2.3": 0, "1.2.4": 1}
        ledger.arrivals.close_association(first, "released", stored=2, refused=0, now=at(1))
        assert ledger.arrivals.close_lost_associations(at(2)) == 0
        assert [facts.open_associations for facts in ledger.progress.receiving()] == [0, 0]

    def test_what_a_dead_node_left_open_is_closed(self, ledger: Ledger) -> None:
        ledger.arrivals.open_association(calling_ae_title="CT1", called_ae_title="OSTEON", peer=("10.0.0.1", 4711), now=at(0))
        assert ledger.arrivals.close_lost_associations(at(2)) == 1

    def test_many_at_once_lose_nothing(self, ledger: Ledger) -> None:
        receipts: list[Receipt] = []

        def sender(offset: int) -> None:
            receipts.extend(arrive(ledger, number + offset, now_s=number) for number in range(15))

        threads = [threading.Thread(target=sender, args=(offset,)) for offset in (0, 0, 100, 200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(receipts) == ["duplicate"] * 15 + ["new"] * 45
        assert ledger.study("1.2.3").summary.instances == 45
        assert kinds(ledger).count(EventKind.STUDY_OPENED) == 1


class TestProgress:
    def test_completion_is_dropped_if_an_instance_arrived_meanwhile(self, ledger: Ledger) -> None:
        arrive(ledger)
        facts = ledger.progress.receiving()[0]
        arrive(ledger, 2, now_s=50)
        assert not ledger.progress.complete(facts, "quiet", at(60))
        assert state(ledger) is StudyState.RECEIVING
        assert complete(ledger) == [True]
        assert not ledger.progress.complete(facts, "quiet", at(60))

    def test_routing_knows_who_sent_it(self, ledger: Ledger) -> None:
        first = ledger.arrivals.open_association(calling_ae_title="CT1", called_ae_title="OSTEON", peer=("10.0.0.1", 1), now=at(0))
        arrive(ledger, association=first)
        facts = ledger.progress.routing_facts("1.2.3")
        assert facts.calling_ae_titles == {"CT1"}
        assert facts.called_ae_titles == {"OSTEON"}

    def test_a_study_that_no_route_matched_is_refused(self, ledger: Ledger) -> None:
        arrive(ledger)
        complete(ledger)
        assert route(ledger, matched=False) == [True]
        report = ledger.study("1.2.3")
        assert report.summary.state is StudyState.REFUSED
        assert report.summary.reason_code == "NO_MATCHING_ROUTE"
        assert report.decision == decision(matched=False)
        assert report.events[-1].text == "NO_MATCHING_ROUTE: nothing matched"
        assert not ledger.jobs.has_work(at(200))

    def test_a_decision_without_route_and_reason_is_a_defect(self, ledger: Ledger) -> None:
        from dataclasses import replace

        arrive(ledger)
        complete(ledger)
        facts = ledger.progress.to_route()[0]
        with pytest.raises(ValueError, match="has a reason"):
            ledger.progress.route(facts, replace(decision(matched=False), reason=None), at(101))
        assert state(ledger) is StudyState.COMPLETE
        assert ledger.study("1.2.3").decision is None

    def test_a_decision_on_old_facts_is_dropped(self, ledger: Ledger) -> None:
        arrive(ledger)
        complete(ledger)
        facts = ledger.progress.to_route()[0]
        arrive(ledger, 2, now_s=150)
        assert not ledger.progress.route(facts, decision(), at(151))
        complete(ledger, 160)
        assert not ledger.progress.route(facts, decision(), at(161))
        assert route(ledger, 162) == [True]


class TestJobs:
    def test_a_claim_carries_what_the_worker_needs(self, ledger: Ledger) -> None:
        claim = working(ledger, StudyDescription="CT abdomen")
        assert (claim.study_uid, claim.run, claim.attempt, claim.failures) == ("1.2.3", 1, 1, 0)
        assert claim.decision == decision()
        assert claim.instances[0].header.study_description == "CT abdomen"
        assert state(ledger) is StudyState.WORKING
        assert [(lease.owner, lease.lease_until, lease.workflow) for lease in ledger.jobs.leases()] == [("w1", at(162), "ct")]

    def test_one_run_has_one_worker(self, ledger: Ledger) -> None:
        working(ledger)
        assert ledger.jobs.claim("w2", timedelta(seconds=60), at(103)) is None

    def test_two_workers_claim_two_studies_at_once(self, ledger: Ledger) -> None:
        for number in range(6):
            arrive(ledger, study_uid=f"1.2.{number}")
        complete(ledger)
        route(ledger)
        claims: list[str] = []

        def worker(owner: str) -> None:
            for _ in range(6):
                claim = ledger.jobs.claim(owner, timedelta(seconds=60), at(103))
                if claim is not None:
                    claims.append(claim.study_uid)
                    ledger.jobs.finish(claim.job_id, owner, result(claim.study_uid), at(104))

        threads = [threading.Thread(target=worker, args=(f"w{number}",)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(claims) == [f"1.2.{number}" for number in range(6)]

    def test_a_result_is_recorded_with_its_deliveries(self, ledger: Ledger) -> None:
        claim = working(ledger)
        ledger.jobs.finish(claim.job_id, "w1", result("1.2.3", "7.seg", "7.sr", destinations=("pacs", "mirror")), at(110))
        report = ledger.study("1.2.3")
        assert report.summary.state is StudyState.DONE
        assert report.summary.outcome == "result"
        assert report.findings is not None
        assert report.findings["timings_s"] == {"total": 1.5, "odd": None}
        assert (report.findings["study_uid"], report.findings["route"]) == ("1.2.3", "ct")
        assert [item["sop_instance_uid"] for item in report.findings["outputs"]] == ["7.seg", "7.sr"]
        assert [item.sop_instance_uid for item in report.objects] == ["7.seg", "7.sr"]
        assert len(report.deliveries) == 4
        assert report.summary.deliveries == {DeliveryState.PENDING: 4}
        assert ledger.outbox.due_destinations(at(110)) == {"pacs", "mirror"}
        assert ledger.jobs.leases() == []

    def test_nothing_is_recorded_when_a_part_of_it_fails(self, ledger: Ledger) -> None:
        claim = working(ledger)
        with pytest.raises(TypeError, match="does not belong in the ledger"):
            ledger.jobs.finish(claim.job_id, "w1", _with_an_image(), at(110))
        report = ledger.study("1.2.3")
        assert report.summary.state is StudyState.WORKING
        assert report.findings is None
        assert report.deliveries == ()

    def test_a_refusal_is_recorded(self, ledger: Ledger) -> None:
        claim = working(ledger)
        ledger.jobs.finish(claim.job_id, "w1", result("1.2.3", refused=True), at(110))
        report = ledger.study("1.2.3")
        assert report.summary.state is StudyState.REFUSED
        assert (report.summary.outcome, report.summary.reason_code) == ("refused", "NO_SUITABLE_SERIES")
        assert report.events[-1].text == "refused, NO_SUITABLE_SERIES: nothing axial"

    def test_a_crash_queues_again_and_too_many_quarantine(self, ledger: Ledger) -> None:
        working(ledger)
        assert ledger.jobs.worker_died("w1", "signal SIGSEGV", 2, at(110)) is StudyState.ROUTED
        assert claimed(ledger, "w2", 111).attempt == 2
        assert ledger.jobs.worker_died("w2", "signal SIGKILL", 2, at(112)) is StudyState.QUARANTINED
        report = ledger.study("1.2.3")
        assert report.summary.reason_code == ReasonCode.QUARANTINED
        assert report.summary.reason_text == "this study killed the worker 2 times, the last time by: signal SIGKILL"
        assert report.jobs[0].state is JobState.QUARANTINED
        assert not ledger.jobs.has_work(at(1000))

    def test_a_worker_without_a_run_blames_nobody(self, ledger: Ledger) -> None:
        assert ledger.jobs.worker_died("w9", "signal SIGKILL", 2, at(0)) is None
        assert ledger.jobs.worker_stopped("w9", at(0)) is None

    def test_a_stopped_worker_counts_no_crash(self, ledger: Ledger) -> None:
        working(ledger)
        for _ in range(3):
            assert ledger.jobs.worker_stopped("w1", at(110)) is StudyState.ROUTED
            claimed(ledger, "w1", 111)
        assert ledger.study("1.2.3").jobs[0].crashes == 0

    def test_an_expired_lease_is_released_and_an_extended_one_is_not(self, ledger: Ledger) -> None:
        working(ledger)
        assert ledger.jobs.release_lost(at(162)) == []
        ledger.jobs.extend(["w1"], at(300))
        assert ledger.jobs.release_lost(at(200)) == []
        assert ledger.jobs.release_lost(at(301)) == ["1.2.3"]
        assert state(ledger) is StudyState.ROUTED
        assert claimed(ledger, "w2", 302).attempt == 2

    def test_a_new_node_releases_every_lease_and_not_for_ever(self, ledger: Ledger) -> None:
        working(ledger)
        for loss in range(1, MAX_LOSSES):
            assert ledger.jobs.release_lost(at(103), every=True) == ["1.2.3"]
            assert state(ledger) is StudyState.ROUTED
            claimed(ledger, f"w{loss}", 104)
        ledger.jobs.release_lost(at(105), every=True)
        assert state(ledger) is StudyState.QUARANTINED

    def test_a_passing_error_waits_its_time(self, ledger: Ledger) -> None:
        claim = working(ledger)
        assert ledger.jobs.put_back(claim.job_id, "w1", error="disk full", not_before=at(200), now=at(110)) == 1
        assert not ledger.jobs.has_work(at(199))
        assert ledger.jobs.claim("w1", timedelta(seconds=60), at(199)) is None
        assert claimed(ledger, "w1", 200).failures == 1

    def test_only_the_owner_ends_a_run(self, ledger: Ledger) -> None:
        claim = working(ledger)
        for call in (
            lambda: ledger.jobs.finish(claim.job_id, "w2", result(), at(110)),
            lambda: ledger.jobs.finish(claim.job_id + 1, "w1", result(), at(110)),
            lambda: ledger.jobs.put_back(claim.job_id, "w2", error="x", not_before=at(0), now=at(0)),
        ):
            with pytest.raises(LeaseLostError):
                call()
        assert state(ledger) is StudyState.WORKING


class TestDeliveries:
    @pytest.fixture
    def pending(self, ledger: Ledger) -> Ledger:
        claim = working(ledger)
        ledger.jobs.finish(claim.job_id, "w1", result("1.2.3", "7.seg", "7.sr"), at(110))
        return ledger

    def test_delivered_is_delivered(self, pending: Ledger) -> None:
        first = pending.outbox.pending("pacs", 10)[0]
        pending.outbox.delivered(first, 0xB000, "stored with warning 0xB000", at(120))
        pending.outbox.delivered(first, 0x0000, None, at(130))
        kept = next(item for item in pending.deliveries() if item.delivery_id == first.delivery_id)
        assert (kept.state, kept.delivered_at, kept.status, kept.attempts) == (DeliveryState.DELIVERED, at(120), 0xB000, 1)
        assert kinds(pending).count(EventKind.DELIVERED) == 1
        assert len(pending.outbox.pending("pacs", 10)) == 1

    def test_failed_waits(self, pending: Ledger) -> None:
        first = pending.outbox.pending("pacs", 1)[0]
        pending.outbox.failed(first, "down", None, at(150), at(120))
        pending.outbox.postpone("pacs", at(150))
        assert pending.outbox.due_destinations(at(149)) == set()
        assert pending.outbox.due_destinations(at(150)) == {"pacs"}
        assert [item.attempts for item in pending.outbox.pending("pacs", 10)] == [1, 0]
        assert kinds(pending)[-1] is EventKind.DELIVERY_FAILED

    @pytest.mark.parametrize("end", [DeliveryState.REJECTED, DeliveryState.GAVE_UP])
    def test_ended_is_over_until_a_person_retries(self, pending: Ledger, end: DeliveryState) -> None:
        for item in pending.outbox.pending("pacs", 10):
            pending.outbox.ended(item, end, "no", 0x0122, at(120))
        assert pending.outbox.due_destinations(at(10**6)) == set()
        assert pending.study("1.2.3").summary.deliveries == {end: 2}
        pending.retry("1.2.3", at(200))
        assert pending.outbox.due_destinations(at(200)) == {"pacs"}
        assert [item.attempts for item in pending.deliveries(states=[DeliveryState.PENDING])] == [0, 0]

    def test_the_same_objects_again_are_not_sent_again(self, pending: Ledger) -> None:
        for item in pending.outbox.pending("pacs", 10):
            pending.outbox.delivered(item, 0, None, at(120))
        pending.retry("1.2.3", at(200))
        route(pending, 201)
        claim = claimed(pending, "w1", 202)
        pending.jobs.finish(claim.job_id, "w1", result("1.2.3", "7.seg", "7.sr"), at(203))
        assert pending.outbox.due_destinations(at(300)) == set()
        assert len(pending.study("1.2.3").objects) == 2

    def test_a_later_run_supersedes_what_nobody_has_taken(self, pending: Ledger) -> None:
        seg, sr = sorted(pending.outbox.pending("pacs", 10), key=lambda item: item.kind)
        pending.outbox.delivered(seg, 0, None, at(120))
        arrive(pending, 2, now_s=200)
        complete(pending, 300)
        route(pending, 301)
        claim = claimed(pending, "w1", 302)
        pending.jobs.finish(claim.job_id, "w1", result("1.2.3", "8.seg", "8.sr"), at(303))
        states = {item.sop_instance_uid: item.state for item in pending.deliveries()}
        assert states == {"7.seg": "delivered", "7.sr": "superseded", "8.seg": "pending", "8.sr": "pending"}
        pending.outbox.failed(sr, "down", None, at(400), at(304))
        assert {item.sop_instance_uid: item.state for item in pending.deliveries()}["7.sr"] is DeliveryState.SUPERSEDED

    def test_deliveries_of_one_study(self, pending: Ledger) -> None:
        assert len(pending.deliveries(study_uid="1.2.3")) == 2
        assert pending.deliveries(study_uid="9") == []


class TestViews:
    def test_studies_the_latest_first(self, ledger: Ledger) -> None:
        arrive(ledger, study_uid="1.2.3", now_s=0)
        arrive(ledger, study_uid="1.2.4", now_s=10)
        assert [item.study_uid for item in ledger.studies()] == ["1.2.4", "1.2.3"]
        assert [item.study_uid for item in ledger.studies(limit=1)] == ["1.2.4"]
        assert ledger.studies(state=StudyState.DONE) == []

    def test_an_unknown_study(self, ledger: Ledger) -> None:
        with pytest.raises(NotFoundError, match=r"no study 9\.9"):
            ledger.study("9.9")
        with pytest.raises(NotFoundError):
            ledger.retry("9.9", at(0))

    def test_retry_of_a_refused_study(self, ledger: Ledger) -> None:
        arrive(ledger)
        complete(ledger)
        route(ledger, matched=False)
        ledger.retry("1.2.3", at(200))
        assert state(ledger) is StudyState.COMPLETE
        assert ledger.study("1.2.3").summary.reason_code is None
        route(ledger, 201)
        assert claimed(ledger, now_s=202).run == 2

    def test_retry_of_a_study_on_its_way(self, ledger: Ledger) -> None:
        arrive(ledger)
        with pytest.raises(PermanentError, match="is receiving: it is still on its way"):
            ledger.retry("1.2.3", at(200))

    def test_events_of_no_study(self, ledger: Ledger) -> None:
        ledger.arrivals.note(EventKind.ASSOCIATION_REJECTED, "who is that?", now=at(5))
        arrive(ledger)
        assert [event.text for event in ledger.events(kind=EventKind.ASSOCIATION_REJECTED)] == ["who is that?"]
        assert len(ledger.events()) == 2


def _with_an_image() -> object:
    from dataclasses import replace

    import numpy as np

    run = result("1.2.3", "7.sr")
    picture = Notice(code=WarningCode.DENSE_VOXELS, text=np.zeros(3))
    return replace(run, findings=replace(run.findings, warnings=(picture,)))
