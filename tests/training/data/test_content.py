"""The same pixels are found under other names, UIDs, transfer syntaxes; blank images say nothing."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless, generate_uid

from training.data.content import image_hashes
from training.errors import TrainingError

pytestmark = pytest.mark.unit

PIXELS = np.random.default_rng(5).integers(0, 1000, (4, 12, 10), dtype=np.uint16)


def save_slice(path: Path, pixels: np.ndarray, syntax: str = ExplicitVRLittleEndian) -> None:
    """A CT slice with UIDs of its own."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.PatientID = CTImageStorage, generate_uid(), path.stem
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.PixelData = pixels.tobytes()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax == RLELossless:
        ds.compress(RLELossless, generate_instance_uid=False)
    else:
        ds.file_meta.TransferSyntaxUID = syntax
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)


def test_a_series_and_its_copy(tmp_path: Path) -> None:
    syntaxes = (RLELossless, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian)
    for index, image in enumerate(PIXELS[:3]):
        save_slice(tmp_path / "series" / f"{index}.dcm", image)
        save_slice(tmp_path / "copy" / f"IM{9 - index}", image, syntaxes[index])
    save_slice(tmp_path / "part" / "1.dcm", PIXELS[1])
    save_slice(tmp_path / "part" / "blank.dcm", 0 * PIXELS[1])
    save_slice(tmp_path / "other" / "1.dcm", PIXELS[3])
    (tmp_path / "series" / "notes.txt").write_text("not DICOM", encoding="utf-8")
    series = image_hashes(tmp_path / "series")
    assert len(series) == 3
    assert image_hashes(tmp_path / "copy") == series
    part = image_hashes(tmp_path / "part")
    assert len(part) == 1
    assert part < series
    assert not image_hashes(tmp_path / "other") & series
    assert image_hashes(tmp_path / "other" / "1.dcm") == image_hashes(tmp_path / "other")


def test_volumes_and_pictures(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.mha"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(PIXELS.astype(np.int16)), str(tmp_path / name))
    assert image_hashes(tmp_path / "a.nii.gz") == image_hashes(tmp_path / "b.mha")
    Image.fromarray(PIXELS[0].astype(np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(PIXELS[0].astype(np.uint8)).save(tmp_path / "b.bmp")
    Image.fromarray(PIXELS[0].astype(np.uint8).reshape(10, 12)).save(tmp_path / "c.png")
    assert image_hashes(tmp_path / "a.png") == image_hashes(tmp_path / "b.bmp")
    assert image_hashes(tmp_path / "a.png") != image_hashes(tmp_path / "c.png")


def test_what_holds_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, content in (("a.png", b"no"), ("a.nii", b"no"), ("a.dcm", b"no")):
        (tmp_path / name).write_bytes(content)
    for name, said in (
        ("absent", "no such image"),
        ("empty", "no readable DICOM"),
        ("a.png", "not a readable"),
        ("a.nii", "not a readable"),
        ("a.dcm", "a.dcm"),
    ):
        with pytest.raises(TrainingError, match=said) as caught:
            image_hashes(tmp_path / name)
        assert "\n" not in str(caught.value)
