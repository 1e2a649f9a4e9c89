"""The real images: overlap with the references, attenuation, and no level that the image does not settle."""

import tarfile
from pathlib import Path

import numpy as np
import pydicom
import pytest

from inference.ct.segmentation import Segmentation, get_segmenter
from inference.errors import ReasonCode, Refusal
from inference.volume import Volume
from tests.inference.ct.segmentation.overlap import core_hu, dice, read_nifti
from tests.paths import real_image

pytestmark = pytest.mark.real

LABELS = {"L1": 31, "L2": 30, "L3": 29, "L4": 28, "L5": 27}
"""Values of ``vertebrae.nii.gz``."""


def read_slices(files: list[Path]) -> Volume:
    """DICOM slices stacked by position."""
    slices = sorted((pydicom.dcmread(file) for file in files), key=lambda ds: float(ds.ImagePositionPatient[2]))
    hu = np.stack([ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in slices])
    first, last = (np.array(ds.ImagePositionPatient, dtype=float) for ds in (slices[0], slices[-1]))
    rows, columns = (float(step) for step in slices[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0] = (last - first) / (len(slices) - 1)
    affine[:3, 1] = np.array(slices[0].ImageOrientationPatient[3:], dtype=float) * rows
    affine[:3, 2] = np.array(slices[0].ImageOrientationPatient[:3], dtype=float) * columns
    affine[:3, 3] = first
    return Volume(hu=np.rint(hu).astype(np.int16), affine=affine)


def with_hu(volume: Volume, hu: np.ndarray) -> Volume:
    """The same grid with other values."""
    return Volume(hu=np.clip(np.rint(hu), -1024, 3071).astype(np.int16), affine=volume.affine)


def abdomen() -> tuple[Volume, dict[str, np.ndarray]]:
    """The native abdomen and its reference bodies."""
    volume = read_nifti(real_image("ct/abdomen_native_3mm/ct.nii.gz"))
    labels = read_nifti(real_image("ct/abdomen_native_3mm/vertebrae.nii.gz")).hu
    bodies = read_nifti(real_image("ct/abdomen_native_3mm/vertebral_bodies.nii.gz")).hu == 1
    return volume, {name: (labels == value) & bodies for name, value in LABELS.items()}


def check_levels(volume: Volume, found: Segmentation, references: dict[str, np.ndarray], overlap: float, hu: float) -> None:
    """Every reference level is found under its own name, certain, whole, and reads the same."""
    named = {vertebra.level: vertebra for vertebra in found.vertebrae}
    for name, reference in references.items():
        assert named[name].level_certain
        assert named[name].whole
        mask = found.bodies == named[name].label
        assert dice(mask, reference) >= overlap, name
        np.testing.assert_allclose(core_hu(volume, mask), core_hu(volume, reference), atol=hu, err_msg=name)


def test_native_abdomen() -> None:
    volume, references = abdomen()
    found = get_segmenter("classical").segment(volume)
    assert [vertebra.level for vertebra in found.vertebrae] == ["L1", "L2", "L3", "L4", "L5"]
    assert "both agree" in found.level_because
    check_levels(volume, found, references, 0.90, 5.0)


@pytest.mark.parametrize(("noise_sd_hu", "offset_hu", "hu"), [(60, 0, 5), (0, -100, 5)])
def test_native_abdomen_with_noise_or_a_displaced_scale(noise_sd_hu: float, offset_hu: float, hu: float) -> None:
    volume, references = abdomen()
    noisy = with_hu(volume, volume.hu + offset_hu + np.random.default_rng(0).normal(0, max(noise_sd_hu, 1e-6), volume.hu.shape))
    check_levels(noisy, get_segmenter("classical").segment(noisy), references, 0.87, hu)


@pytest.mark.parametrize(("first", "last"), [(24, 64), (40, 80), (48, 88), (56, 111), (80, 112)])
def test_a_window_of_the_abdomen_is_never_named_wrongly(first: int, last: int) -> None:
    volume, references = abdomen()
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 0] * first
    found = get_segmenter("classical").segment(Volume(hu=volume.hu[first:last], affine=affine))
    assert found.vertebrae
    for vertebra in found.vertebrae:
        true = max(references, key=lambda name: int(((found.bodies == vertebra.label) & references[name][first:last]).sum()))
        assert vertebra.level in (None, true)
        assert vertebra.level is not None or not vertebra.level_certain


def test_very_low_density_lumbar_crop_stays_unnamed() -> None:
    volume = read_nifti(real_image("ct/lumbar_low_density_1.5mm/sub-ct_label-22_ct.nii.gz"))
    level = read_nifti(real_image("ct/lumbar_low_density_1.5mm/sub-ct_seg-vert_label-22_msk.nii.gz")).hu == 22
    parts = read_nifti(real_image("ct/lumbar_low_density_1.5mm/sub-ct_seg-subreg_label-22_msk.nii.gz")).hu
    reference = level & ((parts == 49) | (parts == 50))
    found = get_segmenter("classical").segment(volume)
    overlaps = [dice(found.bodies == vertebra.label, reference) for vertebra in found.vertebrae]
    best = found.vertebrae[int(np.argmax(overlaps))]
    assert max(overlaps) >= 0.90
    assert best.whole
    assert not any(vertebra.level_certain for vertebra in found.vertebrae)
    np.testing.assert_allclose(core_hu(volume, found.bodies == best.label), core_hu(volume, reference), atol=5)


def test_twenty_slices_are_too_short() -> None:
    volume = read_slices(sorted(real_image("ct/thorax_siemens_dicom").iterdir()))
    with pytest.raises(Refusal) as refused:
        get_segmenter("classical").segment(volume)
    assert refused.value.code is ReasonCode.SPINE_NOT_FOUND


def test_a_feet_first_chest_without_l1_names_nothing(tmp_path: Path) -> None:
    with tarfile.open(real_image("ct/thorax_philips_lidc0314/lower140_slices.tar.xz")) as archive:
        archive.extractall(tmp_path, filter="data")
    found = get_segmenter("classical").segment(read_slices([file for file in tmp_path.rglob("*") if file.is_file()]))
    assert len(found.vertebrae) >= 3
    assert not any(vertebra.level_certain for vertebra in found.vertebrae)
    assert "L1" not in {vertebra.level for vertebra in found.vertebrae}
