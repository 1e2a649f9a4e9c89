"""``python -m tests.real.table [--only NAME]``: every real CT study, what each reader said of it, and what is known of it.

Two tables: the readers beside each other, level by level; then all that the workflow says with both.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from inference.findings import Findings, RoiKind, VertebraFinding
from inference.rounding import round_hu
from node.results.second_reader import second_reader_text
from tests.real.cases import CASES, READERS, Case, best_body, findings_by_reader, true_level

COLUMNS = (
    "study",
    "outcome",
    "level",
    "core mean/median",
    "ellipse mean/median",
    "reference",
    "Dice",
    "heights a/m/p",
    "used",
    "warnings",
    "s",
)


def _roi(vertebra: VertebraFinding, kind: RoiKind) -> str:
    roi = vertebra.roi(kind)
    return f"{round_hu(roi.attenuation.mean_hu)}/{round_hu(roi.attenuation.median_hu)}" if roi else "-"


def _heights(vertebra: VertebraFinding) -> str:
    if vertebra.heights is None:
        return "-"
    return f"{vertebra.heights.anterior_mm:.0f}/{vertebra.heights.middle_mm:.0f}/{vertebra.heights.posterior_mm:.0f}"


def _vertebra_row(vertebra: VertebraFinding, case: Case, findings: Findings, truth: Mapping[str, NDArray[np.bool_]]) -> list[str]:
    level, overlap = true_level(vertebra.label, findings, truth) if truth else (None, 0.0)
    said = vertebra.level or "uncertain"
    return [
        "",
        "",
        said if level is None or level == vertebra.level else f"{said} (is {level})",
        _roi(vertebra, RoiKind.CORE),
        _roi(vertebra, RoiKind.ELLIPSE),
        str(round_hu(case.reference_hu[level])) if level is not None and level in case.reference_hu else "",
        f"{overlap:.2f}" if truth else "",
        _heights(vertebra),
        "yes" if vertebra.excluded_because is None else str(vertebra.excluded_because.code),
        ", ".join(notice.code for notice in vertebra.warnings),
        "",
    ]


def rows(case: Case, findings: Findings) -> list[list[str]]:
    """One row for the study, one for each vertebra."""
    said = str(findings.outcome) if findings.reason is None else f"{findings.outcome}: {findings.reason.code}"
    summary = findings.summary
    band = (
        f"{summary.level}: {round_hu(summary.attenuation_hu)} HU, {summary.band}" if summary and summary.attenuation_hu is not None else ""
    )
    phase = f"{findings.acquisition.contrast_phase}: {findings.acquisition.contrast_because}" if findings.acquisition else ""
    codes = ", ".join(dict.fromkeys(notice.code for notice in findings.warnings))
    first = [case.name, said, band, phase, "", "", "", "", "", codes, f"{findings.timings_s['total']:.1f}"]
    truth = case.truth(findings.images.volume) if case.truth and findings.images else {}
    return [first, *(_vertebra_row(vertebra, case, findings, truth) for vertebra in findings.vertebrae)]


def reader_rows(case: Case, by_reader: Mapping[str, Findings]) -> list[list[str]]:
    """One row for the study, one for each true level, else for each body that is listed with both readers."""
    said = [_outcome(by_reader[reader]) for reader in READERS]
    rows = [[case.name, "", "", *said, ""]]
    some = next((found.images for found in by_reader.values() if found.images is not None), None)
    if case.truth is not None and some is not None:
        for level, mask in case.truth(some.volume).items():
            reference = str(round_hu(case.reference_hu[level])) if level in case.reference_hu else ""
            bodies = {reader: best_body(mask, by_reader[reader]) for reader in READERS}
            cells = [_body(by_reader[reader], *bodies[reader]) for reader in READERS]
            rows.append(["", level, reference, *cells, _agreement(_listed(by_reader["both"], bodies["both"][0]))])
        return rows
    listed = by_reader["both"].vertebrae
    return rows + [["", "", "", "", "", f"{_name(body)} {_roi(body, RoiKind.CORE)}", _agreement(body)] for body in listed]


def _outcome(findings: Findings) -> str:
    said = f"{findings.reason.code}" if findings.reason is not None else str(findings.outcome)
    summary = findings.summary
    band = f" {summary.level} {round_hu(summary.attenuation_hu)} HU" if summary and summary.attenuation_hu is not None else ""
    return f"{said}{band} ({findings.timings_s['segmentation']:.1f} s)"


def _listed(findings: Findings, label: int | None) -> VertebraFinding | None:
    return next((vertebra for vertebra in findings.vertebrae if vertebra.label == label), None)


def _name(vertebra: VertebraFinding) -> str:
    return vertebra.level or "uncertain"


def _body(findings: Findings, label: int | None, overlap: float) -> str:
    """``L1 .90 114/112``: what it is called, Dice, mean and median of the core; a body that is not listed (cut) has its Dice alone."""
    if label is None:
        return "-"
    vertebra = _listed(findings, label)
    return f"{overlap:.2f}" if vertebra is None else f"{_name(vertebra)} {overlap:.2f} {_roi(vertebra, RoiKind.CORE)}"


def _agreement(vertebra: VertebraFinding | None) -> str:
    return second_reader_text(vertebra).removeprefix("second reader: ") if vertebra is not None and vertebra.second_reader else ""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only studies whose name contains this")
    only = parser.parse_args().only
    readers = Table(title="Readers: name, Dice, core mean/median in HU")
    details = Table(title="Real CT studies, both readers")
    for column in ("study", "level", "reference", *READERS, "agreement of the two"):
        readers.add_column(column)
    for column in COLUMNS:
        details.add_column(column)
    for case in (case for case in CASES.values() if only in case.name):
        with tempfile.TemporaryDirectory() as folder:
            by_reader = findings_by_reader(case, Path(folder))
            for row in reader_rows(case, by_reader):
                readers.add_row(*row)
            for row in rows(case, by_reader["both"]):
                details.add_row(*row)
        readers.add_section()
        details.add_section()
    console = Console(width=220)
    console.print(readers)
    console.print(details)


if __name__ == "__main__":
    main()
