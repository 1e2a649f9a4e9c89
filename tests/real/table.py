"""``python -m tests.real.table``: every real CT study, what was said of it, and what is known of it."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from inference.findings import Findings, RoiKind, VertebraFinding
from tests.real.cases import CASES, Case, findings_of, true_level

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
    return f"{roi.attenuation.mean_hu:.0f}/{roi.attenuation.median_hu:.0f}" if roi else "-"


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
        f"{case.reference_hu[level]:.0f}" if level in case.reference_hu else "",
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
    band = f"{summary.level}: {summary.attenuation_hu:.0f} HU, {summary.band}" if summary and summary.attenuation_hu is not None else ""
    phase = f"{findings.acquisition.contrast_phase}: {findings.acquisition.contrast_because}" if findings.acquisition else ""
    codes = ", ".join(dict.fromkeys(notice.code for notice in findings.warnings))
    first = [case.name, said, band, phase, "", "", "", "", "", codes, f"{findings.timings_s['total']:.1f}"]
    truth = case.truth(findings.images.volume) if case.truth and findings.images else {}
    return [first, *(_vertebra_row(vertebra, case, findings, truth) for vertebra in findings.vertebrae)]


def main() -> None:
    """Print the table."""
    table = Table(title="Real CT studies")
    for column in COLUMNS:
        table.add_column(column)
    for case in CASES.values():
        with tempfile.TemporaryDirectory() as folder:
            for row in rows(case, findings_of(case, Path(folder))):
                table.add_row(*row)
        table.add_section()
    Console(width=220).print(table)


if __name__ == "__main__":
    main()
