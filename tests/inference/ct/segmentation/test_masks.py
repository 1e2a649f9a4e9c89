"""Masks from anybody: bodies cut from whole vertebrae, names judged, files found, read, and refused where they are of something else."""

import dataclasses
import itertools
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid
from scipy.spatial.transform import Rotation

from inference.ct.segmentation import MaskOptions, get_segmenter
from inference.ct.segmentation.from_labels import MaskKind, edge_hu, segmentation_from_labels
from inference.ct.segmentation.label_levels import Beside, NamedBody, judge_names
from inference.ct.segmentation.mask_files import LabelMap, read_nifti_labels
from inference.ct.segmentation.masks import find_mask
from inference.ct.segmentation.numbering import TOTALSEGMENTATOR, VERSE, Numbering
from inference.ct.segmentation.whole import cut_bodies
from inference.ct.series import choose_series, load_series
from inference.errors import ReasonCode, Refusal, WarningCode
from inference.findings import ModelUsed
from inference.preprocessing import read_label_image
from inference.reading import find_files, read_headers
from inference.volume import SeriesReference, Volume
from tests.inference.ct.segmentation.overlap import core_hu, dice, moved, read_nifti
from tests.paths import real_image
from tests.simulated import simulated_ct, write_study
from training.simulation.masks import write_labels

pytestmark = pytest.mark.unit

SOMEBODY = ModelUsed(name="somebody", version="1", sha256="0" * 64, trained_on="not trained")
SERIES = SeriesReference(patient_id="P", study_instance_uid="1.2", series_instance_uid="1.2.3", frame_of_reference_uid="1.2.9")
Mask = NDArray[np.uint8]


def phantom(levels: int = 4, step_mm: float = 32.0) -> tuple[Volume, Mask, Mask]:
    """Vertebrae of boxes, L1 at the top, 2 mm: a scan, its whole vertebrae in VerSe numbering, and their bodies alone."""
    shape = (round(step_mm * levels / 2) + 20, 70, 60)
    whole, bodies = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for n in range(levels):
        low = 10 + round(step_mm / 2 * (levels - 1 - n))
        z = slice(low, low + 12)
        label = 20 + n
        bodies[z, 15:31, 20:40] = label  # 24 mm high, 32 mm deep, 40 mm wide
        whole[z, 15:31, 20:40] = label
        for side in (slice(20, 24), slice(36, 40)):  # pedicles
            whole[low + 5 : low + 12, 31:41, side] = label
        whole[low : low + 12, 41:45, 20:40] = label  # lamina
        whole[low : low + 8, 45:58, 28:32] = label  # spinous process
    hu = np.full(shape, 40, np.int16)
    hu[whole > 0] = 300
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, 2], [0, 2, 0], [2, 0, 0]]
    return Volume(hu=hu, affine=affine), whole, bodies


def refusal_of(volume: Volume, labels: Mask, numbering: Numbering = VERSE) -> ReasonCode:
    with pytest.raises(Refusal) as refused:
        segmentation_from_labels(volume, labels, numbering, model=SOMEBODY)
    return refused.value.code


# The arch is cut off


def test_bodies_are_cut_from_whole_vertebrae() -> None:
    volume, whole, bodies = phantom()
    found = segmentation_from_labels(volume, whole, VERSE, model=SOMEBODY)
    assert [body.level for body in found.vertebrae] == ["L1", "L2", "L3", "L4"]
    for body in found.vertebrae:
        assert dice(found.bodies == body.label, bodies == body.label + 19) > 0.97
        np.testing.assert_allclose(body.cranial, [0, 0, 1], atol=0.02)
        np.testing.assert_allclose(body.anterior, [0, -1, 0], atol=0.02)
        np.testing.assert_allclose(body.left, [1, 0, 0], atol=0.02)
        assert body.level_certain
        assert body.whole
    assert found.whole is not None
    np.testing.assert_array_equal(found.whole > 0, whole > 0)
    assert found.canal_lps_mm is not None
    canal = volume.to_indices(found.canal_lps_mm)
    assert np.all((canal[:, 1] > 31) & (canal[:, 1] < 41))  # between body and lamina
    assert np.all(np.diff(canal[:, 0]) < 0)  # head to foot


@pytest.mark.parametrize("euler_deg", [(25, 0, 0), (0, 20, 0), (0, 0, 20)])
def test_a_turned_patient_is_cut_alike(euler_deg: tuple[float, float, float]) -> None:
    volume, whole, bodies = phantom()
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("zyx", euler_deg, degrees=True).as_matrix()
    turned = Volume(hu=volume.hu, affine=turn @ volume.affine)
    found = segmentation_from_labels(turned, whole, VERSE, model=SOMEBODY)
    for body in found.vertebrae:
        assert dice(found.bodies == body.label, bodies == body.label + 19) > 0.95
        np.testing.assert_allclose(body.anterior, turn[:3, :3] @ [0, -1, 0], atol=0.06)


def test_bodies_alone_are_left_as_they_are() -> None:
    volume, _, bodies = phantom()
    found = segmentation_from_labels(volume, bodies, VERSE, model=SOMEBODY, kind=MaskKind.BODIES)
    np.testing.assert_array_equal(found.bodies > 0, bodies > 0)
    assert found.whole is None
    assert found.canal_lps_mm is None


def test_a_spinous_process_alone_is_no_body() -> None:
    volume, whole, _ = phantom()
    whole[(whole == 20) & (np.arange(whole.shape[1])[None, :, None] < 41)] = 0
    found = segmentation_from_labels(volume, whole, VERSE, model=SOMEBODY)
    assert [body.level for body in found.vertebrae] == ["L2", "L3", "L4"]
    assert [notice.code for notice in found.notices] == [WarningCode.MASK_INCOMPLETE]
    assert "L1" in found.notices[0].text


def test_a_vertebra_at_the_edge_is_not_whole() -> None:
    volume, whole, _ = phantom()
    cut = Volume(hu=volume.hu[:-15], affine=volume.affine)
    found = segmentation_from_labels(cut, whole[:-15], VERSE, model=SOMEBODY, cut_off=frozenset({23}))
    assert [body.whole for body in found.vertebrae] == [False, True, True, False]


@pytest.mark.real
def test_real_whole_vertebrae() -> None:
    """Dice against the real bodies, and their attenuation: README of the images, trabecular mean of each body."""
    volume = read_nifti(real_image("ct/abdomen_native_3mm/ct.nii.gz"))
    labels = read_nifti(real_image("ct/abdomen_native_3mm/vertebrae.nii.gz")).hu.astype(np.uint8)
    bodies = read_nifti(real_image("ct/abdomen_native_3mm/vertebral_bodies.nii.gz")).hu == 1
    found = segmentation_from_labels(volume, labels, TOTALSEGMENTATOR, model=SOMEBODY, by_program=True)
    expected_hu = {"T12": 102, "L1": 111, "L2": 113, "L3": 108, "L4": 110, "L5": 114}
    assert [body.level for body in found.vertebrae] == list(expected_hu)
    for body in found.vertebrae:
        mask = found.bodies == body.label
        assert body.level is not None
        label = next(value for value, name in TOTALSEGMENTATOR.vertebrae.items() if name == body.level)
        assert dice(mask, bodies & (labels == label)) > 0.93
        assert core_hu(volume, mask)[0] == pytest.approx(expected_hu[body.level], abs=3)
        assert body.level_certain
    assert "sacrum at L5" in found.level_because


@pytest.mark.real
def test_real_lumbar_vertebrae_of_low_density() -> None:
    folder = "ct/lumbar_low_density_1.5mm/sub-ct_"
    volume = read_nifti(real_image(f"{folder}label-22_ct.nii.gz"))
    labels = read_nifti(real_image(f"{folder}seg-vert_label-22_msk.nii.gz")).hu.astype(np.uint8)
    parts = read_nifti(real_image(f"{folder}seg-subreg_label-22_msk.nii.gz")).hu
    found = segmentation_from_labels(volume, labels, VERSE, model=SOMEBODY)
    assert [(body.level, body.whole) for body in found.vertebrae] == [("L2", False), ("L3", True), ("L4", False)]
    for body, label in zip(found.vertebrae, (21, 22, 23), strict=True):
        assert dice(found.bodies == body.label, np.isin(parts, (49, 50)) & (labels == label)) > 0.95


@pytest.mark.real
def test_an_expert_mask_of_thorax_and_loins() -> None:
    """Real anatomy without its image: bone and soft tissue are painted."""
    mask = read_nifti(next(real_image("ct/verse004_mask").glob("*.nii.gz")))
    labels = mask.hu.astype(np.uint8)
    painted = Volume(hu=np.where(labels > 0, 250, 30).astype(np.int16), affine=mask.affine)
    found = segmentation_from_labels(painted, labels, VERSE, model=SOMEBODY)
    assert [body.level for body in found.vertebrae] == ["T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5"]
    assert all(body.level_certain for body in found.vertebrae)
    for body in found.vertebrae[1:-1]:
        share = float((found.bodies == body.label).sum() / (labels == body.label + 15).sum())
        assert 0.45 < share < 0.8  # a body is about two thirds of its vertebra


# Masks that do not fit


def test_values_of_another_numbering_are_refused() -> None:
    volume, whole, _ = phantom()
    assert refusal_of(volume, np.where(whole > 0, whole + 11, 0).astype(np.uint8)) is ReasonCode.MASK_UNREADABLE


def test_a_mask_of_somewhere_else_in_the_image_is_refused() -> None:
    volume, whole, _ = phantom()
    assert edge_hu(volume, whole > 0) > 200
    assert refusal_of(volume, np.roll(whole, 12, axis=2)) is ReasonCode.MASK_MISMATCH


def test_a_mask_without_vertebrae_is_refused() -> None:
    volume, whole, _ = phantom()
    assert refusal_of(volume, np.where(whole > 0, 26, 0).astype(np.uint8)) is ReasonCode.SPINE_NOT_FOUND


def test_another_shape_is_a_mistake_of_the_caller() -> None:
    volume, whole, _ = phantom()
    with pytest.raises(ValueError, match="shape"):
        segmentation_from_labels(volume, whole[1:], VERSE, model=SOMEBODY)


def test_one_name_for_two_pieces_is_not_certain() -> None:
    volume, whole, _ = phantom()
    hu = volume.hu.copy()
    whole[58:70, 60:68, 5:55] = 20
    hu[58:70, 60:68, 5:55] = 300
    found = segmentation_from_labels(Volume(hu=hu, affine=volume.affine), whole, VERSE, model=SOMEBODY)
    assert not next(body for body in found.vertebrae if body.level == "L1").level_certain
    assert next(body for body in found.vertebrae if body.level == "L2").level_certain


# Names


def column(names: str, steps_mm: list[float]) -> list[NamedBody]:
    heights = itertools.accumulate([0.0, *(-step for step in steps_mm)])
    return [NamedBody(name=name, centre_lps_mm=np.array([0, 0, z])) for name, z in zip(names.split(), heights, strict=True)]


@pytest.mark.parametrize(
    ("names", "steps_mm", "beside", "certain", "because"),
    [
        ("T12 L1 L2 L3", [30, 32, 34], Beside(), True, "neither sacrum nor twelfth ribs"),
        ("L1", [], Beside(), True, "somebody"),
        ("L4 L5", [36], Beside(sacrum=frozenset({"L5"})), True, "sacrum at L5"),
        ("L3 L4", [36], Beside(sacrum=frozenset({"L4"})), False, "the sacrum lies at L4"),
        ("T12 L1", [30], Beside(twelfth_ribs=frozenset({"L1"})), False, "twelfth ribs lie at L1"),
        ("T12 L1", [30], Beside(twelfth_ribs=frozenset({"T12", "T11"})), False, "twelfth ribs lie at T11"),
        ("L2 L1", [32], Beside(), False, "L1 lies below L2"),
        ("L1 L3 L4", [32, 34], Beside(), False, "L1 and L3 lie 32 mm apart"),
        ("L1 L2 L3", [64, 34], Beside(), False, "L1 and L2 lie 64 mm apart"),
        ("L1 L3 L4", [66, 34], Beside(), True, "somebody"),
        ("T9 T10 T11 T12", [20, 20, 38], Beside(), False, "times those beside it"),
        ("T12 T13 L1", [28, 30], Beside(), False, "transitional"),
        ("L5 L6", [34], Beside(), False, "transitional"),
    ],
)
def test_names_hold_unless_something_contradicts_them(
    names: str, steps_mm: list[float], beside: Beside, certain: bool, because: str
) -> None:
    verdict = judge_names(column(names, steps_mm), beside, by_program=False, source="somebody")
    assert verdict.certain is certain
    assert because in verdict.because


def test_a_program_needs_an_anchor() -> None:
    bodies = column("T12 L1 L2", [30, 32])
    assert not judge_names(bodies, Beside(), by_program=True, source="a program").certain
    assert judge_names(bodies, Beside(twelfth_ribs=frozenset({"T12"})), by_program=True, source="a program").certain


def test_a_vertebra_left_out_is_said() -> None:
    verdict = judge_names(column("L1 L3", [66]), Beside(), by_program=False, source="somebody")
    assert [notice.code for notice in verdict.notices] == [WarningCode.MASK_INCOMPLETE]
    assert "L2" in verdict.notices[0].text


def test_the_sacrum_of_a_mask_contradicts_its_names() -> None:
    volume, whole, _ = phantom()
    whole[2:9, 15:31, 20:40] = 26  # below L4
    found = segmentation_from_labels(volume, whole, VERSE, model=SOMEBODY)
    assert not any(body.level_certain for body in found.vertebrae)
    assert all("the sacrum lies at L4" in body.uncertain_because for body in found.vertebrae)


# Files


@pytest.fixture
def files(tmp_path: Path) -> tuple[Volume, Mask, Path]:
    volume, whole, _ = phantom()
    return dataclasses.replace(volume, series=SERIES), whole, write_labels(whole, volume.affine, tmp_path / "mask.nii.gz")


def test_a_nifti_lies_where_its_scan_does(files: tuple[Volume, Mask, Path]) -> None:
    volume, whole, path = files
    labels, affine = read_label_image(path)
    np.testing.assert_array_equal(labels, whole)
    np.testing.assert_allclose(affine, volume.affine, atol=1e-5)


@pytest.mark.parametrize("order", list(itertools.permutations((0, 1, 2)))[1:4])
def test_a_mask_with_other_axes_and_voxels_is_resampled(files: tuple[Volume, Mask, Path], order: tuple[int, int, int]) -> None:
    volume, whole, path = files
    other = moved(volume, order, (True, False, True))
    labels, _ = read_nifti_labels(path, VERSE).on_volume(other)
    back = moved(Volume(hu=whole.astype(np.int16), affine=volume.affine), order, (True, False, True)).hu
    np.testing.assert_array_equal(labels, back)


def test_a_mask_smaller_than_the_scan_cuts_its_vertebrae(files: tuple[Volume, Mask, Path]) -> None:
    volume, whole, _ = files
    read = LabelMap(labels=whole[:-15], affine=volume.affine, numbering=VERSE)
    labels, cut_off = read.on_volume(volume)
    assert labels.shape == volume.hu.shape
    assert cut_off == {20}


def test_a_mask_of_another_place_is_refused(files: tuple[Volume, Mask, Path]) -> None:
    volume, whole, _ = files
    affine = volume.affine.copy()
    affine[2, 3] += 800.0
    with pytest.raises(Refusal) as refused:
        LabelMap(labels=whole, affine=affine, numbering=VERSE).on_volume(volume)
    assert refused.value.code is ReasonCode.MASK_MISMATCH


def test_the_segmenter_reads_a_file(files: tuple[Volume, Mask, Path]) -> None:
    volume, _, path = files
    segmenter = get_segmenter("masks", masks=MaskOptions(path=path))
    found = segmenter.segment(volume)
    assert [body.level for body in found.vertebrae] == ["L1", "L2", "L3", "L4"]
    assert found.model == segmenter.model
    assert found.model.name == "masks-verse"
    other = get_segmenter("masks", masks=MaskOptions(path=path, kind=MaskKind.BODIES))
    assert other.model.sha256 != segmenter.model.sha256


def test_binary_files_named_after_vertebrae(files: tuple[Volume, Mask, Path], tmp_path: Path) -> None:
    volume, whole, _ = files
    folder = tmp_path / SERIES.series_instance_uid
    folder.mkdir()
    for label, name in ((20, "L1"), (21, "L2"), (22, "L3"), (23, "L4")):
        write_labels((whole == label).astype(np.uint8), volume.affine, folder / f"vertebrae_{name}.nii.gz")
    write_labels((whole == 20).astype(np.uint8), volume.affine, folder / "liver.nii.gz")
    options = MaskOptions(path=tmp_path, numbering="totalsegmentator")
    found = get_segmenter("masks", masks=options).segment(volume)
    assert [body.level for body in found.vertebrae] == ["L1", "L2", "L3", "L4"]
    assert not any(body.level_certain for body in found.vertebrae)  # a program, and no sacrum


@pytest.mark.parametrize("name", ["1.2.3.nii.gz", "1.2.3_mask.nii.gz", "1.2.nii"])
def test_a_file_is_found_by_its_uid(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    (tmp_path / "1.2.34.nii.gz").touch()
    assert find_mask(tmp_path, SERIES) == (tmp_path / name,)


@pytest.mark.parametrize("names", [(), ("1.2.34.nii.gz",), ("1.2.3.nii.gz", "1.2.3_b.nii.gz")])
def test_no_file_or_two_are_none(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(Refusal) as refused:
        find_mask(tmp_path, SERIES)
    assert refused.value.code is ReasonCode.MASK_MISSING


def test_what_is_no_label_image_is_refused(tmp_path: Path, files: tuple[Volume, Mask, Path]) -> None:
    text = tmp_path / "text.nii"
    text.write_text("no image")
    with pytest.raises(Refusal) as refused:
        read_label_image(text)
    assert refused.value.code is ReasonCode.MASK_UNREADABLE
    nib = pytest.importorskip("nibabel")
    volume, whole, _ = files
    for values, affine in ((whole.astype(np.float32) / 2, np.diag([2.0, 2, 2, 1])), (whole, None), (np.stack([whole] * 2, -1), np.eye(4))):
        path = tmp_path / "bad.nii.gz"
        nib.save(nib.Nifti1Image(values, affine), path)
        with pytest.raises(Refusal) as refused:
            read_label_image(path)
        assert refused.value.code is ReasonCode.MASK_UNREADABLE
    assert volume.hu.shape == whole.shape


# DICOM Segmentation


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


def loaded(folder: Path) -> Volume:
    headers, _ = read_headers(find_files([folder]))
    return load_series(choose_series(headers).candidates[0]).volume


def write_segmentation(study: Path, path: Path, kind: hd.seg.SegmentationTypeValues) -> Path:
    """The simulated bodies as highdicom writes them; the segments are numbered foot to head, so that their numbers mislead."""
    truth = simulated_ct().truth
    slices = sorted((pydicom.dcmread(file) for file in study.iterdir()), key=lambda ds: float(ds.ImagePositionPatient[2]))
    levels = sorted(truth.levels, key=lambda level: -level.label)
    numbers = np.zeros(256, np.uint8)
    descriptions = []
    for number, level in enumerate(levels, start=1):
        numbers[level.label] = number
        code = getattr(codes.SCT, f"{level.name}Vertebra")
        descriptions.append(
            hd.seg.SegmentDescription(
                segment_number=number,
                segment_label=f"segment {number}",
                segmented_property_category=codes.SCT.AnatomicalStructure,
                segmented_property_type=code,
                algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
            )
        )
    made = hd.seg.Segmentation(
        source_images=slices,
        pixel_array=numbers[truth.bodies],
        segmentation_type=kind,
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(),
        series_number=9,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Somebody",
        manufacturer_model_name="A hand",
        software_versions="1",
        device_serial_number="1",
    )
    made.save_as(path)
    return path


@pytest.mark.parametrize("kind", [hd.seg.SegmentationTypeValues.BINARY, hd.seg.SegmentationTypeValues.LABELMAP])
def test_a_dicom_segmentation_names_its_own_segments(study: Path, tmp_path: Path, kind: hd.seg.SegmentationTypeValues) -> None:
    write_segmentation(study, tmp_path / "seg.dcm", kind)
    volume, truth = loaded(study), simulated_ct().truth
    found = get_segmenter("masks", masks=MaskOptions(path=tmp_path, kind=MaskKind.BODIES)).segment(volume)  # by its referenced series
    named = {body.level: body for body in found.vertebrae}
    assert {level.name for level in truth.levels if level.whole} <= set(named)
    for level in truth.levels:
        if level.whole:
            np.testing.assert_array_equal(found.bodies == named[level.name].label, truth.bodies == level.label)
            assert named[level.name].level_certain


@pytest.mark.parametrize(("keyword", "what"), [("PatientID", "patient"), ("FrameOfReferenceUID", "frame of reference")])
def test_a_dicom_segmentation_of_somebody_else_is_refused(study: Path, tmp_path: Path, keyword: str, what: str) -> None:
    path = write_segmentation(study, tmp_path / "seg.dcm", hd.seg.SegmentationTypeValues.BINARY)
    dataset = pydicom.dcmread(path)
    setattr(dataset, keyword, "1.2.3.4")
    dataset.save_as(path)
    with pytest.raises(Refusal) as refused:
        get_segmenter("masks", masks=MaskOptions(path=path, kind=MaskKind.BODIES)).segment(loaded(study))
    assert refused.value.code is ReasonCode.MASK_MISMATCH
    assert what in refused.value.text


def test_an_image_is_no_segmentation(study: Path) -> None:
    with pytest.raises(Refusal) as refused:
        get_segmenter("masks", masks=MaskOptions(path=next(study.iterdir()))).segment(loaded(study))
    assert refused.value.code is ReasonCode.MASK_UNREADABLE


def test_masks_need_a_path_and_a_known_numbering(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        get_segmenter("masks")
    assert refused.value.code is ReasonCode.SEGMENTER_UNAVAILABLE
    with pytest.raises(ValueError, match="numbering"):
        MaskOptions(path=tmp_path, numbering="mine")


def test_nothing_to_cut_is_nothing() -> None:
    volume, whole, _ = phantom()
    tails = np.where(np.arange(whole.shape[1])[None, :, None] > 45, whole, 0).astype(np.uint8)
    assert cut_bodies(volume, tails, [20, 21, 22, 23]) == ()
