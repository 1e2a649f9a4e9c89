"""The one door: findings in, DICOM files out."""

import datetime
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import UID

from inference.findings import Findings
from inference.reading import InstanceHeader
from inference.tolerant import tolerant
from node.results.capture import build_capture
from node.results.equipment import software_versions
from node.results.objects import ResultContext, ResultKind, ResultObject, WrittenResults
from node.results.page_cxr import draw_cxr_page
from node.results.page_dxa import draw_dxa_page
from node.results.picture import draw_page
from node.results.seg import build_segmentation, plan_segments
from node.results.source import Source, read_source, stamp_identity
from node.results.sr import build_report
from node.results.sr_cxr import build_cxr_report
from node.results.sr_dxa import build_dxa_report
from node.results.text import build_text
from node.results.uids import ResultKey, derived_uid, result_key

IMPLEMENTATION_CLASS_UID: Final = derived_uid("implementation", "osteon")
ORDER: Final[tuple[ResultKind, ...]] = ("seg", "sr", "text", "picture")


def write_results(
    findings: Findings, source_headers: Sequence[InstanceHeader], context: ResultContext, out_dir: Path, kinds: Collection[ResultKind]
) -> WrittenResults:
    """Write the result objects of one study.

    Parameters
    ----------
    findings
        What the workflow said.
    source_headers
        Headers of every instance of the study; those of the measured series must be among them.
    context
        Version and configuration.
    out_dir
        Created where absent; files of an earlier try are replaced.
    kinds
        What is wanted. Without masks only ``text`` can be written; of a densitometry study or a chest film with a used image all but
        ``seg``. In CT ``sr`` points at the segments of ``seg``, whose UIDs are the same whether or not it is wanted.

    Returns
    -------
    WrittenResults
        In the order in which they should be sent: what is referred to comes first.

    Raises
    ------
    PermanentError
        The source files are gone or are not those that were measured.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    with tolerant():
        source = read_source(findings, source_headers)
        key = result_key(findings, source.input_uids, context)
        possible = possible_kinds(findings, source)
        wanted = [kind for kind in ORDER if kind in kinds and kind in possible]
        png = out_dir / "picture.png" if "picture" in wanted else None
        datasets = _build(findings, source, key, context, wanted)
        if png is not None:
            page = _page(findings, context)
            page.save(png, format="PNG", optimize=False)
            datasets["picture"] = build_capture(page, findings, source, key, context, _series_number(source, "picture"))
        _stamp_time(datasets.values())
        objects = tuple(_save(kind, datasets[kind], source, context, out_dir) for kind in wanted)
    return WrittenResults(objects=objects, picture_png=png)


def _page(findings: Findings, context: ResultContext) -> Image.Image:
    if findings.dxa is not None:
        return draw_dxa_page(findings, context)
    return draw_cxr_page(findings, context) if findings.cxr is not None else draw_page(findings, context)


def possible_kinds(findings: Findings, source: Source) -> frozenset[ResultKind]:
    """What can be written of these findings: objects that show bodies need bodies on the source slices, or the one image that is used."""
    if source.projection is not None:
        return frozenset({"sr", "text", "picture"})
    if source.images is None or not any(segment.family == "body" for segment in plan_segments(findings, source.images)):
        return frozenset({"text"})
    return frozenset(ORDER)


def _series_number(source: Source, kind: ResultKind) -> int:
    return source.next_series_number + ORDER.index(kind)


def _build(
    findings: Findings, source: Source, key: ResultKey, context: ResultContext, wanted: Collection[ResultKind]
) -> dict[ResultKind, Dataset]:
    built: dict[ResultKind, Dataset] = {}
    if findings.dxa is not None and "sr" in wanted:
        built["sr"] = build_dxa_report(findings, source, key, context, _series_number(source, "sr"))
    elif findings.cxr is not None and "sr" in wanted:
        built["sr"] = build_cxr_report(findings, source, key, context, _series_number(source, "sr"))
    elif "seg" in wanted or "sr" in wanted:
        built["seg"] = segmentation = build_segmentation(findings, source, key, context, _series_number(source, "seg"))
        if "sr" in wanted:
            built["sr"] = build_report(findings, source, segmentation, key, context, _series_number(source, "sr"))
    if "text" in wanted:
        built["text"] = build_text(findings, source, key, context, _series_number(source, "text"))
    return built


def _stamp_time(datasets: Iterable[Dataset]) -> None:
    """One time for all objects of a study."""
    now = datetime.datetime.now()
    for dataset in datasets:
        for keyword in ("ContentDate", "InstanceCreationDate", "SeriesDate"):
            setattr(dataset, keyword, now.strftime("%Y%m%d"))
        for keyword in ("ContentTime", "InstanceCreationTime", "SeriesTime"):
            setattr(dataset, keyword, now.strftime("%H%M%S"))
        for item in dataset.get("ContributingEquipmentSequence", []):
            if "ContributionDateTime" in item:
                item.ContributionDateTime = now.strftime("%Y%m%d%H%M%S")
        if "TimeOfSecondaryCapture" in dataset:
            dataset.DateOfSecondaryCapture, dataset.TimeOfSecondaryCapture = now.strftime("%Y%m%d"), now.strftime("%H%M%S")


def _save(kind: ResultKind, dataset: Dataset, source: Source, context: ResultContext, out_dir: Path) -> ResultObject:
    """Stamp the patient's identity on an object, and write it whole or not at all."""
    stamp_identity(dataset, source.identity)
    dataset.SoftwareVersions = software_versions(context)
    dataset.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    dataset.file_meta.ImplementationVersionName = "OSTEON"
    path = out_dir / f"{kind}.dcm"
    part = path.with_suffix(".part")
    dataset.save_as(part, enforce_file_format=True)
    part.replace(path)
    return ResultObject(kind=kind, sop_class_uid=str(dataset.SOPClassUID), sop_instance_uid=str(dataset.SOPInstanceUID), path=path)
