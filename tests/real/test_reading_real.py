"""What each folder of real images becomes: a candidate series, or the reason that a radiologist would give."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from scipy import ndimage

from inference.ct.series import LoadedSeries, SeriesChoice, choose_series, load_series
from inference.errors import ReasonCode, Refusal, WarningCode
from inference.pixels import is_lossy, read_with_pixels, stored_pixels
from inference.reading import InstanceHeader, check_identity, find_files, group_studies, read_header, read_headers
from tests.paths import real_image
from tests.real.studies import extract_archive, labels_on_volume, nifti_to_dicom, on_lps_grid, volume_from_nifti, write_ct

pytestmark = pytest.mark.real

LUMBAR = "ct/lumbar_low_density_1.5mm/sub-ct_label-22_ct.nii.gz"
ABDOMEN = "ct/abdomen_native_3mm/ct.nii.gz"


def study_in(folder: Path) -> tuple[InstanceHeader, ...]:
    headers, _ = read_headers(find_files([folder]))
    (study,) = group_studies(headers).values()
    return study


def choice_of(folder: Path) -> SeriesChoice:
    return choose_series(study_in(folder))


def refusal_of(folder: Path) -> Refusal:
    choice = choice_of(folder)
    assert choice.candidates == ()
    return choice.refusal()


def loaded(folder: Path) -> LoadedSeries:
    (candidate,) = choice_of(folder).candidates
    return load_series(candidate)


def test_siemens_thorax_without_uids() -> None:
    folder = real_image("ct/thorax_siemens_dicom")
    study = study_in(folder)
    assert len({header.sop_instance_uid for header in study}) == 20
    assert len({header.series_instance_uid for header in study}) == 1
    assert study[0].study_instance_uid.startswith("2.25.")
    assert [notice.code for notice in check_identity(study)] == [WarningCode.IDENTITY_INCOMPLETE, WarningCode.UIDS_DERIVED]
    series = loaded(folder)
    assert series.volume.hu.shape == (20, 512, 512)
    np.testing.assert_allclose(series.volume.spacing_mm, (2.0, 0.9765625, 0.9765625))
    assert series.acquisition.slice_thickness_mm == 3.0
    assert series.acquisition.contrast_header == "APPLIED"
    labels, affine = on_lps_grid(real_image("ct/thorax_siemens_labels/vertebrae.nii.gz"))
    np.testing.assert_allclose(affine, series.volume.affine, atol=0.02)
    assert 100 < np.median(series.volume.hu[labels == 32]) < 400


def test_philips_thorax_feet_first(tmp_path: Path) -> None:
    folder = extract_archive(real_image("ct/thorax_philips_lidc0314/lower140_slices.tar.xz"), tmp_path)
    series = loaded(folder)
    assert series.volume.hu.shape == (140, 512, 512)
    np.testing.assert_allclose(series.volume.spacing_mm, (1.0, 0.78125, 0.78125), atol=1e-4)
    assert series.volume.affine[2, 0] > 0, "slices ascend towards the head"
    air_below = np.mean(series.volume.hu[:20] < -700)
    air_above = np.mean(series.volume.hu[-20:] < -700)
    assert air_above > air_below, "lungs lie above the abdomen"


@pytest.mark.parametrize("relative", [LUMBAR, ABDOMEN])
def test_nifti_volumes_survive_the_way_over_dicom(relative: str, tmp_path: Path) -> None:
    path = real_image(relative)
    series = loaded(nifti_to_dicom(path, tmp_path))
    direct = volume_from_nifti(path)
    np.testing.assert_array_equal(series.volume.hu, direct.hu)
    np.testing.assert_allclose(series.volume.affine, direct.affine, atol=1e-5)


def test_known_attenuation_lies_under_the_labels() -> None:
    """README: L3 of this patient reads about 52 HU inside the trabecular body, the arch and cortex far more."""
    volume = volume_from_nifti(real_image(LUMBAR))
    folder = "ct/lumbar_low_density_1.5mm"
    levels = labels_on_volume(real_image(f"{folder}/sub-ct_seg-vert_label-22_msk.nii.gz"), volume)
    parts = labels_on_volume(real_image(f"{folder}/sub-ct_seg-subreg_label-22_msk.nii.gz"), volume)
    l3 = volume.hu[(levels == 22) & (parts == 50)]
    assert np.median(l3) == pytest.approx(52, abs=12)
    assert np.median(volume.hu[parts == 49]) > 2 * np.median(l3)


def test_labels_of_another_grid_are_a_mistake() -> None:
    volume = volume_from_nifti(real_image(LUMBAR))
    with pytest.raises(ValueError, match="another grid"):
        labels_on_volume(real_image("ct/abdomen_native_3mm/vertebrae.nii.gz"), volume)


def tilted_copy(path: Path, degrees: float, out_dir: Path) -> tuple[NDArray[np.float64], Path]:
    """The volume as a gantry tilted about the patient's x axis would have imaged it."""
    hu, affine = on_lps_grid(path)
    angle = np.radians(degrees)
    tilted = affine.copy()
    tilted[:3, 1] = np.linalg.norm(affine[:3, 1]) * np.array([0, np.cos(angle), -np.sin(angle)])
    tilted[2, 3] += 0.5 * hu.shape[1] * np.linalg.norm(affine[:3, 1]) * np.sin(angle)
    to_source = np.linalg.inv(affine) @ tilted
    sampled = ndimage.affine_transform(hu.astype(float), to_source[:3, :3], to_source[:3, 3], order=3, cval=-1024)
    write_ct(sampled, tilted, out_dir, edit=mark_tilt)
    return tilted, out_dir


def mark_tilt(dataset: Dataset, index: int) -> None:
    del index
    dataset.GantryDetectorTilt = "-99"  # nobody may look at it


def test_tilted_abdomen_reads_as_the_upright_one(tmp_path: Path) -> None:
    """At 3 mm, the blur of linear interpolation raises the core of a body by 1 to 3 HU; the place is what it was."""
    path = real_image(ABDOMEN)
    _, folder = tilted_copy(path, 12.0, tmp_path)
    series = loaded(folder)
    assert [notice.code for notice in series.notices] == [WarningCode.TILT_RESAMPLED]
    upright = volume_from_nifti(path)
    labels = labels_on_volume(real_image("ct/abdomen_native_3mm/vertebrae.nii.gz"), upright)
    bodies = labels_on_volume(real_image("ct/abdomen_native_3mm/vertebral_bodies.nii.gz"), upright)
    for label in (27, 28, 29, 30, 31):
        core = ndimage.binary_erosion((labels == label) & (bodies == 1), iterations=2)
        there = series.volume.to_indices(upright.to_lps_mm(np.argwhere(core)))
        found = ndimage.map_coordinates(series.volume.hu.astype(float), there.T, order=3)
        assert np.median(found) == pytest.approx(np.median(upright.hu[core]), abs=4), f"label {label}"
        mask = np.zeros(series.volume.hu.shape, dtype=np.uint8)
        nearest = np.rint(there).astype(int)
        mask[tuple(nearest.T)] = 1
        back = series.to_source(mask)
        centre = (np.argwhere(back) @ series.source_affine[:3, :3].T + series.source_affine[:3, 3]).mean(axis=0)
        np.testing.assert_allclose(centre, series.volume.to_lps_mm(nearest).mean(axis=0), atol=1.5, err_msg="half a voxel")


def test_mixed_study_is_a_head(tmp_path: Path) -> None:
    folder = extract_archive(next(real_image("edge/mixed_study").glob("*.tar.xz")), tmp_path)
    headers, skipped = read_headers(find_files([folder]))
    assert {item.reason.code for item in skipped} == {ReasonCode.NOT_AN_IMAGE}
    assert {Path(item.path).name for item in skipped} == {"DICOMDIR", "DIRFILE"}
    choice = choose_series(headers)
    assert choice.candidates == ()
    assert Counter(item.reason.code for item in choice.skipped) == {
        ReasonCode.LOCALIZER: 1,
        ReasonCode.WRONG_BODY_PART: 1,
        ReasonCode.DERIVED_IMAGE: 1,
    }
    refusal = choice.refusal()
    assert refusal.code is ReasonCode.WRONG_BODY_PART
    assert "BRAIN" in refusal.text


def test_tilted_head_with_varying_spacing(tmp_path: Path) -> None:
    refusal = refusal_of(extract_archive(next(real_image("edge/gantry_tilt").glob("*.tar.xz")), tmp_path))
    assert refusal.code is ReasonCode.GANTRY_TILT
    assert "18.5 degrees" in refusal.text
    assert "1.08 to 7.00 mm" in refusal.text


@pytest.mark.parametrize(
    ("folder", "code", "said"),
    [
        ("missing_slice", ReasonCode.MISSING_SLICES, "between 28.1 and 38.1 mm"),
        ("not_a_volume", ReasonCode.NOT_A_VOLUME, "All 4 images lie at one position"),
        ("gantry_tilt_14deg", ReasonCode.GANTRY_TILT, "14.0 degrees"),
    ],
)
def test_broken_geometry(folder: str, code: ReasonCode, said: str) -> None:
    refusal = refusal_of(real_image(f"edge/geometry/{folder}"))
    assert refusal.code is code
    assert said in refusal.text


def test_eleven_slices_out_of_189_two_of_them_the_same(tmp_path: Path) -> None:
    refusal = refusal_of(extract_archive(real_image("edge/geometry/dupe-positions.zip"), tmp_path))
    assert refusal.code is ReasonCode.MISSING_SLICES
    assert "179 of 189" in refusal.text
    assert "1 position(s) hold several images" in refusal.text


SYNTAXES = {
    "": 0,
    "LittleEndianImplicitTransferSyntax_1.2.840.10008.1.2": 0,
    "LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1": 0,
    "DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99": 0,
    "BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2": 0,
    "JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70": 0,
    "JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80": 0,
    "JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90": 0,
    "JPEGLSLossyTransferSyntax_1.2.840.10008.1.2.4.81": 1,
}
"""Transfer syntaxes that are read, and by how many HU the image may differ."""

UNREAD = {
    "JPEGProcess2_4TransferSyntax_1.2.840.10008.1.2.4.51": "1.2.840.10008.1.2.4.51",
    "JPEGProcess6_8TransferSyntax_1.2.840.10008.1.2.4.53": "1.2.840.10008.1.2.4.53",
    "JPEGProcess10_12TransferSyntax_1.2.840.10008.1.2.4.55": "1.2.840.10008.1.2.4.55",
}


def in_syntax(name: str) -> Path:
    return real_image(f"edge/transfer_syntaxes/CTImage.dcm{'_' if name else ''}{name}{'.dcm' if name else ''}")


@pytest.mark.parametrize(("name", "difference"), SYNTAXES.items())
def test_transfer_syntaxes_that_are_read(name: str, difference: int) -> None:
    plain = in_syntax("")
    expected = stored_pixels(read_with_pixels(plain), plain.name).astype(int)
    path = in_syntax(name)
    dataset = read_with_pixels(path)
    assert np.abs(stored_pixels(dataset, path.name).astype(int) - expected).max() == difference
    assert is_lossy(dataset) is (difference > 0)


@pytest.mark.parametrize(("name", "uid"), UNREAD.items())
def test_transfer_syntaxes_that_are_named_and_refused(name: str, uid: str) -> None:
    path = in_syntax(name)
    dataset = read_with_pixels(path)
    with pytest.raises(Refusal) as refused:
        stored_pixels(dataset, path.name)
    assert refused.value.code is ReasonCode.UNREADABLE_PIXELS
    assert f"({uid})" in refused.value.text


@pytest.mark.parametrize("fraction", [0.6, 0.999])
@pytest.mark.parametrize("name", [name for name in SYNTAXES if ".4." in name])
def test_compressed_pixels_cut_short_are_never_half_an_image(name: str, fraction: float, tmp_path: Path) -> None:
    path = in_syntax(name)
    dataset = read_with_pixels(path)
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([frame[: int(len(frame) * fraction)]])
    cut_file = tmp_path / "cut.dcm"
    cut_file.write_bytes(path.read_bytes()[: int(path.stat().st_size * fraction)])
    for damaged in (dataset, read_with_pixels(cut_file)):
        with pytest.raises(Refusal) as refused:
            stored_pixels(damaged, "cut.dcm")
        assert refused.value.code is ReasonCode.UNREADABLE_PIXELS


def test_eight_bit_jpeg_is_read_and_known_to_be_lossy() -> None:
    path = in_syntax("JPEGProcess1TransferSyntax_1.2.840.10008.1.2.4.50")
    dataset = read_with_pixels(path)
    assert stored_pixels(dataset, path.name).dtype == np.uint8
    assert is_lossy(dataset)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("no_meta.dcm", ReasonCode.NOT_DICOM),
        ("meta_missing_tsyntax.dcm", ReasonCode.IDENTITY_MISSING),
        ("GH177_D_CLUNIE_CT1_IVRLE_BigEndian_undefined_length.dcm", ReasonCode.UNREADABLE_FILE),
    ],
)
def test_malformed_files_without_a_header(name: str, code: ReasonCode) -> None:
    with pytest.raises(Refusal) as refused:
        read_header(real_image(f"edge/malformed/{name}"))
    assert refused.value.code is code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("badVR.dcm", ReasonCode.WRONG_MODALITY),
        ("ExplVR_BigEnd.dcm", ReasonCode.WRONG_MODALITY),
        ("no-pixel-spacing.dcm", ReasonCode.WRONG_MODALITY),
        ("MR_truncated.dcm", ReasonCode.WRONG_MODALITY),
        ("GH227.dcm", ReasonCode.WRONG_MODALITY),
        ("GH1301.dcm", ReasonCode.WRONG_MODALITY),
        ("rtstruct.dcm", ReasonCode.NOT_AN_IMAGE),
        ("GH1728.dcm", ReasonCode.DERIVED_IMAGE),
        ("D_CLUNIE_CT1_RLE_FRAGS.dcm", ReasonCode.DERIVED_IMAGE),
        ("J2K_pixelrep_mismatch.dcm", ReasonCode.TOO_FEW_SLICES),
    ],
)
def test_malformed_files_with_a_header_are_no_ct_volume(name: str, code: ReasonCode) -> None:
    header = read_header(real_image(f"edge/malformed/{name}"))
    assert choose_series((header,)).refusal().code is code


def test_chinese_name_is_decoded() -> None:
    header = read_header(real_image("edge/malformed/GH1301.dcm"))
    assert header.patient_name == "Wang^XiaoDong=王^小东"


def test_truncated_pixels_are_found_when_read() -> None:
    path = real_image("edge/malformed/MR_truncated.dcm")
    with pytest.raises(Refusal) as refused:
        stored_pixels(read_with_pixels(path), path.name)
    assert refused.value.code is ReasonCode.UNREADABLE_PIXELS
    assert "8130 of 8192 bytes" in refused.value.text


@pytest.mark.parametrize("name", ["D_CLUNIE_CT1_RLE_FRAGS.dcm", "J2K_pixelrep_mismatch.dcm"])
def test_odd_but_readable_pixels(name: str) -> None:
    path = real_image(f"edge/malformed/{name}")
    pixels = stored_pixels(read_with_pixels(path), path.name)
    assert pixels.shape == (512, 512)
    assert pixels.min() == -2000, "signed padding survives"


def test_ct_scout_among_the_radiographs_is_a_localizer() -> None:
    assert choose_series((read_header(real_image("cxr/negatives/ct_scout.dcm")),)).refusal().code is ReasonCode.LOCALIZER


def test_every_file_of_the_folder_is_either_read_or_refused_with_a_reason() -> None:
    files = find_files([real_image("edge"), real_image("cxr"), real_image("ct"), real_image("peers")])
    headers, skipped = read_headers(files)
    assert {str(header.path) for header in headers} | {item.path for item in skipped} == {str(path) for path in files}
    for study in group_studies(headers).values():
        choice = choose_series(study)
        assert choice.candidates or choice.refusal().text
