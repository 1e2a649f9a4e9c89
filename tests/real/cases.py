"""The real CT studies, each as findings, with what is known of them; :mod:`tests.real.table` prints and the tests assert them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.ct.options import CtOptions
from inference.errors import ReasonCode
from inference.findings import Findings
from inference.reading import find_files, group_studies, read_headers
from inference.volume import Volume
from inference.workflows import WorkflowOptions, run_workflow
from tests.paths import real_image
from tests.real.studies import extract_archive, labels_on_volume, nifti_to_dicom

ABDOMEN = "ct/abdomen_native_3mm"
LUMBAR = "ct/lumbar_low_density_1.5mm"
READERS = ("classical", "network", "both")
Truth = Callable[[Volume], dict[str, NDArray[np.bool_]]]
"""Masks of the true bodies by level, on the grid of the measured volume."""


def abdomen_truth(volume: Volume) -> dict[str, NDArray[np.bool_]]:
    """T12 to L5: inside the vertebra's label and the bodies' one."""
    vertebrae = labels_on_volume(real_image(f"{ABDOMEN}/vertebrae.nii.gz"), volume)
    bodies = labels_on_volume(real_image(f"{ABDOMEN}/vertebral_bodies.nii.gz"), volume) == 1
    return {
        level: bodies & (vertebrae == label) for label, level in zip(range(32, 26, -1), ("T12", "L1", "L2", "L3", "L4", "L5"), strict=True)
    }


def lumbar_truth(volume: Volume) -> dict[str, NDArray[np.bool_]]:
    """L2 to L4: cortex and trabecular bone of the body (49, 50)."""
    vertebrae = labels_on_volume(real_image(f"{LUMBAR}/sub-ct_seg-vert_label-22_msk.nii.gz"), volume)
    parts = labels_on_volume(real_image(f"{LUMBAR}/sub-ct_seg-subreg_label-22_msk.nii.gz"), volume)
    bodies = (parts == 49) | (parts == 50)
    return {level: bodies & (vertebrae == label) for label, level in ((21, "L2"), (22, "L3"), (23, "L4"))}


def thorax_truth(volume: Volume) -> dict[str, NDArray[np.bool_]]:
    """T11 (its lower rim) and T12, as near as this file comes to their bodies.

    Its labels are those of whole vertebrae, made by a program, and T11's reaches into T12: a slice in front of the spinal cord (79) is the
    body of the label that has more of it.
    """
    labels = labels_on_volume(real_image("ct/thorax_siemens_labels/vertebrae.nii.gz"), volume)
    cord = np.array([np.flatnonzero(rows)[0] if rows.any() else 0 for rows in (labels == 79).any(axis=2)])
    in_front = (np.arange(labels.shape[1])[None, :] < cord[:, None])[:, :, None]
    eleventh, twelfth = ((labels == label) & in_front for label in (33, 32))
    lower = (twelfth.sum(axis=(1, 2)) > eleventh.sum(axis=(1, 2)))[:, None, None]
    return {"T11": (eleventh | twelfth) & ~lower, "T12": (eleventh | twelfth) & lower}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One real study. ``reference_hu`` holds the README's mean of the 6 mm core; ``refusal`` the code it must be refused with."""

    name: str
    files: Callable[[Path], Path]
    """Puts the study's DICOM files into an empty folder and returns where they are."""
    truth: Truth | None = None
    reference_hu: Mapping[str, float] = field(default_factory=dict)
    refusal: frozenset[ReasonCode] = frozenset()


def _as_they_are(relative: str) -> Callable[[Path], Path]:
    return lambda _: real_image(relative)


def _unpacked(relative: str) -> Callable[[Path], Path]:
    return lambda folder: extract_archive(real_image(relative), folder)


def _written(relative: str) -> Callable[[Path], Path]:
    return lambda folder: nifti_to_dicom(real_image(relative), folder)


_LEVEL_UNKNOWN = frozenset({ReasonCode.LEVEL_UNCERTAIN, ReasonCode.L1_NOT_IN_VIEW, ReasonCode.SPINE_NOT_FOUND})

CASES = {
    case.name: case
    for case in (
        Case(
            name="abdomen_native_3mm",
            files=_written(f"{ABDOMEN}/ct.nii.gz"),
            truth=abdomen_truth,
            reference_hu={"T12": 102, "L1": 111, "L2": 113, "L3": 108, "L4": 110, "L5": 114},
        ),
        Case(
            name="lumbar_low_density_1.5mm",
            files=_written(f"{LUMBAR}/sub-ct_label-22_ct.nii.gz"),
            truth=lumbar_truth,
            reference_hu={"L3": 52, "L4": 33},
            refusal=frozenset({ReasonCode.LEVEL_UNCERTAIN}),
        ),
        Case(
            name="thorax_siemens",
            files=_as_they_are("ct/thorax_siemens_dicom"),
            truth=thorax_truth,
            refusal=_LEVEL_UNKNOWN | {ReasonCode.NO_USABLE_LEVEL},  # the network sees T12, cut off
        ),
        Case(name="thorax_philips", files=_unpacked("ct/thorax_philips_lidc0314/lower140_slices.tar.xz"), refusal=_LEVEL_UNKNOWN),
        Case(
            name="mixed_study",
            files=_unpacked("edge/mixed_study/Philips_S21570_localizer_axial_examsummary.tar.xz"),
            refusal=frozenset({ReasonCode.WRONG_BODY_PART}),
        ),
        Case(
            name="tilt_18.5_variable_spacing",
            files=_unpacked("edge/gantry_tilt/GE_tilt18.5_variable_spacing.tar.xz"),
            refusal=frozenset({ReasonCode.GANTRY_TILT}),
        ),
        Case(name="tilt_14", files=_as_they_are("edge/geometry/gantry_tilt_14deg"), refusal=frozenset({ReasonCode.GANTRY_TILT})),
        Case(name="missing_slice", files=_as_they_are("edge/geometry/missing_slice"), refusal=frozenset({ReasonCode.MISSING_SLICES})),
        Case(name="one_position", files=_as_they_are("edge/geometry/not_a_volume"), refusal=frozenset({ReasonCode.NOT_A_VOLUME})),
        Case(
            name="duplicate_positions",
            files=_unpacked("edge/geometry/dupe-positions.zip"),
            refusal=frozenset({ReasonCode.MISSING_SLICES, ReasonCode.DUPLICATE_POSITIONS}),
        ),
        Case(name="syntaxes", files=_as_they_are("edge/transfer_syntaxes"), refusal=frozenset({ReasonCode.NOT_A_VOLUME})),
        Case(
            name="ct_scout",
            files=_as_they_are("cxr/negatives/ct_scout.dcm"),
            refusal=frozenset({ReasonCode.LOCALIZER}),
        ),
    )
}


def findings_of(case: Case, folder: Path, reader: str = READERS[-1]) -> Findings:
    """Read the study's files and run the CT workflow over it."""
    return findings_by_reader(case, folder, (reader,))[reader]


def findings_by_reader(case: Case, folder: Path, readers: Sequence[str] = READERS) -> dict[str, Findings]:
    """Read the study's files once and run the CT workflow over it with every reader."""
    headers, _ = read_headers(find_files([case.files(folder)]))
    (study,) = group_studies(headers).values()
    return {reader: run_workflow("ct", study, WorkflowOptions(ct=CtOptions(segmenter=reader))) for reader in readers}


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Twice the overlap over the sum."""
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def best_body(mask: NDArray[np.bool_], findings: Findings) -> tuple[int | None, float]:
    """The label of the body that overlaps a true one most, listed or not, and their Dice; None without any overlap."""
    if findings.images is None:
        return None, 0.0
    labels = np.unique(findings.images.bodies[mask])
    found = [(int(label), dice(findings.images.bodies == label, mask)) for label in labels if label]
    return max(found, key=lambda pair: pair[1], default=(None, 0.0))


def true_level(label: int, findings: Findings, truth: Mapping[str, NDArray[np.bool_]]) -> tuple[str | None, float]:
    """The level that the body with this label overlaps most, and their Dice; None without any overlap."""
    if findings.images is None:
        raise ValueError("a study without masks has no overlap")
    mask = findings.images.bodies == label
    level, overlap = max(((level, dice(mask, body)) for level, body in truth.items()), key=lambda pair: pair[1])
    return (level if overlap > 0 else None, overlap)
