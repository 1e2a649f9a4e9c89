"""The two steps between receiver and worker: take studies as complete, and route them."""

import logging
from datetime import datetime

from node.completion import Complete, judge
from node.config import Config
from node.ledger import Ledger
from node.routing import decide

log = logging.getLogger(__name__)


def complete_studies(ledger: Ledger, config: Config, now: datetime) -> list[str]:
    """Take as complete each study that :func:`node.completion.judge` says is; their UIDs."""
    completed = []
    for facts in ledger.progress.receiving():
        decision = judge(facts, config.completion, now)
        if isinstance(decision, Complete) and ledger.progress.complete(facts, decision.because, now):
            log.info("study %s is complete: %s", facts.study_uid, decision.because)
            completed.append(facts.study_uid)
    return completed


def route_studies(ledger: Ledger, config: Config, now: datetime) -> list[str]:
    """Route each complete study: a job for a worker where a route matches, a recorded refusal where none does; their UIDs."""
    routed = []
    for facts in ledger.progress.to_route():
        headers = [instance.header for instance in facts.instances]
        decision = decide(headers, config.routes, facts.calling_ae_titles, facts.called_ae_titles)
        if not ledger.progress.route(facts, decision, now):
            continue
        routed.append(facts.study_uid)
        if decision.route is not None:
            log.info("study %s: route %s, workflow %s", facts.study_uid, decision.route, decision.workflow)
        elif decision.reason is not None:
            log.info("study %s is refused: %s", facts.study_uid, decision.reason.code)  # the text may quote descriptions
    return routed
