"""From received to routed: the facts of completion and routing, and the decision."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from inference.reading import header_from_json
from node.ledger import steps
from node.ledger.database import Database
from node.ledger.encoding import plain
from node.ledger.records import CompletionFacts, EventKind, RoutingFacts, StoredInstance
from node.ledger.schema import associations, decisions, instances, jobs, studies
from node.routing import Decision
from node.states import JobState, StudyState


class Progress:
    """Studies on their way to a worker."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def receiving(self) -> list[CompletionFacts]:
        """The facts of every study that is still receiving."""
        with self._database.read() as conn:
            rows = conn.execute(
                select(studies.c.study_uid, studies.c.receiving_since, studies.c.last_instance_at).where(
                    studies.c.state == StudyState.RECEIVING.value
                )
            ).all()
            if not rows:
                return []
            uids = [row.study_uid for row in rows]
            modalities, open_by_study = _modalities(conn, uids), _open_associations(conn)
        return [
            CompletionFacts(
                study_uid=row.study_uid,
                receiving_since=row.receiving_since,
                last_instance_at=row.last_instance_at,
                modalities=modalities[row.study_uid],
                open_associations=open_by_study[row.study_uid],
            )
            for row in rows
        ]

    def complete(self, facts: CompletionFacts, because: str, now: datetime) -> bool:
        """Take a study as complete; False if an instance arrived since the facts were read."""
        with self._database.write() as conn:
            state = steps.lock_study(conn, facts.study_uid)
            last = conn.execute(select(studies.c.last_instance_at).where(studies.c.study_uid == facts.study_uid)).scalar_one()
            if state is not StudyState.RECEIVING or last != facts.last_instance_at:
                return False
            steps.move(conn, facts.study_uid, state, StudyState.COMPLETE, now)
            steps.add_event(conn, EventKind.STUDY_COMPLETE, because, now=now, study_uid=facts.study_uid)
            return True

    def to_route(self) -> list[RoutingFacts]:
        """The facts of every study that is complete and not routed."""
        with self._database.read() as conn:
            uids = conn.execute(select(studies.c.study_uid).where(studies.c.state == StudyState.COMPLETE.value)).scalars().all()
            return [routing_facts(conn, uid) for uid in uids]

    def routing_facts(self, study_uid: str) -> RoutingFacts:
        """The facts of one study, for a replay of the routes."""
        with self._database.read() as conn:
            return routing_facts(conn, study_uid)

    def route(self, facts: RoutingFacts, decision: Decision, now: datetime) -> bool:
        """Record a decision: a job for a worker, or a refusal. False if the study changed since the facts were read."""
        with self._database.write() as conn:
            state = steps.lock_study(conn, facts.study_uid)
            if state is not StudyState.COMPLETE or _source_count(conn, facts.study_uid) != len(facts.instances):
                return False
            run = _next_run(conn, facts.study_uid)
            conn.execute(
                insert(decisions).values(
                    study_uid=facts.study_uid,
                    run=run,
                    decided_at=now,
                    route=decision.route,
                    workflow=decision.workflow,
                    decision=plain(decision),
                )
            )
            if decision.route is None or decision.workflow is None:
                _refuse(conn, facts.study_uid, state, decision, now)
            else:
                _queue(conn, facts.study_uid, run, decision, now)
                steps.move(conn, facts.study_uid, state, StudyState.ROUTED, now)
            return True


def stored_instances(conn: Connection, study_uid: str, roles: Sequence[str]) -> tuple[StoredInstance, ...]:
    """The study's instances of these roles, in the order of arrival."""
    rows = conn.execute(
        select(instances).where(instances.c.study_uid == study_uid, instances.c.role.in_(roles)).order_by(instances.c.id)
    ).all()
    return tuple(
        StoredInstance(
            sop_instance_uid=row.sop_uid,
            series_instance_uid=row.series_uid,
            role=row.role,
            path=row.path,
            content_sha256=row.content_sha256,
            size_bytes=row.size_bytes,
            duplicates=row.duplicates,
            received_at=row.received_at,
            header=header_from_json(row.header, None),
        )
        for row in rows
    )


def routing_facts(conn: Connection, study_uid: str) -> RoutingFacts:
    """What routing looks at, inside the caller's transaction."""
    titles = conn.execute(
        select(associations.c.calling_ae_title, associations.c.called_ae_title)
        .join(instances, instances.c.association_id == associations.c.id)
        .where(instances.c.study_uid == study_uid, instances.c.role == "source")
        .distinct()
    ).all()
    return RoutingFacts(
        study_uid=study_uid,
        instances=stored_instances(conn, study_uid, ("source",)),
        calling_ae_titles=frozenset(row.calling_ae_title for row in titles),
        called_ae_titles=frozenset(row.called_ae_title for row in titles),
    )


def _source_count(conn: Connection, study_uid: str) -> int:
    query = select(func.count()).select_from(instances).where(instances.c.study_uid == study_uid, instances.c.role == "source")
    return int(conn.execute(query).scalar_one())


def _modalities(conn: Connection, study_uids: Sequence[str]) -> dict[str, frozenset[str]]:
    found: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
    query = select(instances.c.study_uid, instances.c.modality).where(instances.c.study_uid.in_(study_uids), instances.c.role == "source")
    for row in conn.execute(query.distinct()):
        found[row.study_uid] |= {row.modality}
    return found


def _open_associations(conn: Connection) -> defaultdict[str, int]:
    """How many open associations sent each study last."""
    latest = (
        select(func.max(instances.c.id))
        .join(associations, associations.c.id == instances.c.association_id)
        .where(associations.c.closed_at.is_(None))
        .group_by(instances.c.association_id)
    )
    found: defaultdict[str, int] = defaultdict(int)
    for uid in conn.execute(select(instances.c.study_uid).where(instances.c.id.in_(latest))).scalars():
        found[uid] += 1
    return found


def _next_run(conn: Connection, study_uid: str) -> int:
    conn.execute(update(studies).where(studies.c.study_uid == study_uid).values(run=studies.c.run + 1))
    return int(conn.execute(select(studies.c.run).where(studies.c.study_uid == study_uid)).scalar_one())


def _refuse(conn: Connection, study_uid: str, state: StudyState, decision: Decision, now: datetime) -> None:
    if decision.reason is None:
        raise ValueError("a decision without a route has a reason")
    steps.move(conn, study_uid, state, StudyState.REFUSED, now, decision.reason)
    steps.add_event(conn, EventKind.REFUSED, f"{decision.reason.code}: {decision.reason.text}", now=now, study_uid=study_uid)


def _queue(conn: Connection, study_uid: str, run: int, decision: Decision, now: datetime) -> None:
    conn.execute(
        insert(jobs).values(
            study_uid=study_uid,
            run=run,
            state=JobState.QUEUED.value,
            route=decision.route,
            workflow=decision.workflow,
            queued_at=now,
            not_before=now,
        )
    )
    because = next((item.because for item in decision.considered if item.matched), "")
    text = f"route {decision.route}, workflow {decision.workflow}" + (f": {because}" if because else "")
    steps.add_event(conn, EventKind.ROUTED, text, now=now, study_uid=study_uid)
