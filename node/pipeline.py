"""One study, from its files to its result objects: what the worker and ``osteon process`` both do."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inference import __version__
from inference.bundles import BundleSource
from inference.ct.opinions import OpinionSource
from inference.ct.options import CalibrationEntry, CtOptions
from inference.ct.segmentation import MaskOptions, TotalSegmentatorOptions
from inference.ct.segmentation.from_labels import MaskKind
from inference.cxr.options import CxrOptions
from inference.cxr.reference import SexPolicy
from inference.dxa.options import DxaOptions
from inference.errors import ReasonCode
from inference.findings import Findings, Outcome, RoiKind, Threshold
from inference.reading import InstanceHeader
from inference.workflows import WorkflowOptions, run_workflow
from node.config import Config, Masks, TotalSegmentator
from node.results import write_results
from node.results.objects import ResultContext, ResultKind, ResultObject
from node.routing import Decision

ALL_KINDS: tuple[ResultKind, ...] = ("seg", "sr", "text", "picture")

_NO_OBJECTS = frozenset({ReasonCode.IDENTITY_CONFLICT, ReasonCode.IDENTITY_MISSING})
"""Refusals that leave no identity to copy into an object, and none may be invented."""


@dataclass(frozen=True, kw_only=True)
class ProcessedStudy:
    """What was found, and the objects that say so."""

    decision: Decision
    findings: Findings
    objects: tuple[ResultObject, ...]
    picture_png: Path | None


def process_study(headers: Sequence[InstanceHeader], decision: Decision, config: Config, out_dir: Path) -> ProcessedStudy:
    """Run the decided workflow over one study and write its result objects into ``out_dir``.

    A study that no route matched is refused with the decision's reason and gets no objects: nobody asked for them. A refusal by the
    workflow is written as a text report where the route says ``on_refusal: text``.

    Raises
    ------
    OsteonError
        Reading or writing failed in a way that is not a refusal.
    """
    if decision.workflow is None:
        findings = Findings(study_instance_uid=decision.study_instance_uid, workflow="", outcome=Outcome.REFUSED, reason=decision.reason)
        return ProcessedStudy(decision=decision, findings=findings, objects=(), picture_png=None)
    findings = run_workflow(decision.workflow, headers, workflow_options(config))
    if findings.reason is not None and (decision.on_refusal == "none" or findings.reason.code in _NO_OBJECTS):
        return ProcessedStudy(decision=decision, findings=findings, objects=(), picture_png=None)
    started = time.monotonic()
    context = ResultContext(software_version=__version__, config_sha256=config.sha256)
    written = write_results(findings, headers, context, out_dir, _kinds(decision, config))
    writing_s = time.monotonic() - started
    timings_s = dict(findings.timings_s)
    total_s = timings_s.pop("total", 0.0) + writing_s
    findings = replace(findings, timings_s={**timings_s, "writing": writing_s, "total": total_s})
    return ProcessedStudy(decision=decision, findings=findings, objects=written.objects, picture_png=written.picture_png)


def workflow_options(config: Config) -> WorkflowOptions:
    """The parameters of every workflow, as plain data that knows nothing of the configuration file."""
    dxa = DxaOptions(bundles=bundle_source(config), classifier=config.workflows.dxa.classifier)
    return WorkflowOptions(ct=ct_options(config), cxr=cxr_options(config), dxa=dxa)


def bundle_source(config: Config) -> BundleSource:
    """The site's bundles."""
    return BundleSource(folder=config.bundles.folder, pinned=config.bundles.pinned, allow_simulated=config.bundles.allow_simulated)


def cxr_options(config: Config) -> CxrOptions:
    """The chest workflow's parameters."""
    cxr = config.workflows.cxr
    return CxrOptions(
        bundles=bundle_source(config),
        landmarks=cxr.landmarks,
        model=cxr.model,
        thresholds=cxr.thresholds,
        references=cxr.reference.table,
        sex_policy=SexPolicy(cxr.reference.sex_policy),
        accepted=frozenset(cxr.reference.accepted),
        preferred=cxr.reference.preferred,
    )


def ct_options(config: Config) -> CtOptions:
    """The CT workflow's parameters."""
    ct = config.workflows.ct
    return CtOptions(
        segmenter=ct.segmenter,
        bundles=bundle_source(config),
        classifier=ct.classifier,
        experts=ct.experts,
        densitometer=ct.densitometer,
        leading=OpinionSource(ct.leading),
        masks=_masks(ct.masks),
        totalsegmentator=_totalsegmentator(ct.totalsegmentator),
        roi=RoiKind(ct.roi),
        core_erosion_mm=ct.core_erosion_mm,
        high_sensitivity=Threshold(name="high sensitivity", hu=ct.high_sensitivity.hu, source=ct.high_sensitivity.source),
        high_specificity=Threshold(name="high specificity", hu=ct.high_specificity.hu, source=ct.high_specificity.source),
        fallback_levels=ct.fallback_levels,
        height_loss_exclude=ct.height_loss_exclude,
        max_noise_hu=ct.max_noise_hu,
        height_loss_warn=ct.height_loss_warn,
        max_slice_spacing_mm=ct.max_slice_spacing_mm,
        warn_slice_spacing_mm=ct.warn_slice_spacing_mm,
        contrast_correction=ct.contrast_correction,
        kvp_correction=ct.kvp_correction,
        calibration=tuple(CalibrationEntry(**entry.model_dump()) for entry in ct.calibration),
    )


def _masks(masks: Masks) -> MaskOptions | None:
    if masks.path is None:
        return None
    return MaskOptions(path=masks.path, numbering=masks.numbering, kind=MaskKind(masks.kind))


def _totalsegmentator(package: TotalSegmentator) -> TotalSegmentatorOptions | None:
    if package.weights is None:
        return None
    values = package.model_dump(exclude={"weights"})
    return TotalSegmentatorOptions(weights=package.weights, **values)


def _kinds(decision: Decision, config: Config) -> tuple[ResultKind, ...]:
    """What any of the decision's destinations wants; everything where there is none (files on disk)."""
    wanted = {kind for name in decision.destinations for kind in config.destination(name).send}
    return tuple(kind for kind in ALL_KINDS if kind in wanted or not wanted)
