"""The real NIfTI volumes as DICOM studies, and their masks on the grid that Osteon loads from these."""

import hashlib
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from inference.volume import Volume

INTERCEPT_HU = -1024
EditSlice = Callable[[Dataset, int], None]
"""Called with each data set and its index from the feet before it is written; may change anything."""


def uid(*parts: object) -> str:
    """A UID that is the same for the same parts."""
    text = "/".join(str(part) for part in parts)
    return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"


def on_lps_grid(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A NIfTI image as (slices towards the head, rows towards the back, columns towards the left) and its affine to LPS mm."""
    image = nibabel.load(path)
    turn = ornt_transform(io_orientation(image.affine), axcodes2ornt(("L", "P", "S")))
    data = apply_orientation(np.asanyarray(image.dataobj), turn)
    ijk_to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine @ inv_ornt_aff(turn, image.shape)
    return np.ascontiguousarray(data.transpose(2, 1, 0)), ijk_to_lps[:, [2, 1, 0, 3]]


def volume_from_nifti(path: Path) -> Volume:
    """A NIfTI CT as a Volume, without the way over DICOM; values below -1024 HU become -1024, as when loaded."""
    data, affine = on_lps_grid(path)
    return Volume(hu=np.clip(np.rint(data), INTERCEPT_HU, 32767).astype(np.int16), affine=affine)


def labels_on_volume(mask_path: Path, volume: Volume) -> NDArray[np.int64]:
    """A NIfTI label mask on a volume's grid, int64 (slices, rows, columns), which must be the mask's own up to the order of axes."""
    labels, affine = on_lps_grid(mask_path)
    if labels.shape != volume.hu.shape or not np.allclose(affine, volume.affine, atol=0.02):
        raise ValueError(f"{mask_path.name} lies on another grid than the volume: {labels.shape} against {volume.hu.shape}")
    return labels.astype(np.int64)


def nifti_to_dicom(
    ct_path: Path,
    out_dir: Path,
    *,
    patient_id: str = "REAL-1",
    study_description: str = "CT ABDOMEN",
    series_description: str = "ABDOMEN NATIVE",
    kvp: float | None = 120.0,
    convolution_kernel: str = "B30f",
    edit: EditSlice | None = None,
) -> Path:
    """Write a NIfTI CT as a series of axial CT Image Storage instances; returns ``out_dir``.

    UIDs follow from the file's folder, its name, the patient and the series description: the same call writes the same study.
    """

    def describe(dataset: Dataset, index: int) -> None:
        dataset.StudyDescription = study_description
        dataset.KVP = "" if kvp is None else str(kvp)
        dataset.ConvolutionKernel = convolution_kernel
        if edit is not None:
            edit(dataset, index)

    hu, affine = on_lps_grid(ct_path)
    identity = (ct_path.parent.name, ct_path.name, patient_id)
    return write_ct(hu, affine, out_dir, identity=identity, series_description=series_description, edit=describe)


def write_ct(
    hu: NDArray[np.generic],
    affine: NDArray[np.float64],
    out_dir: Path,
    *,
    identity: tuple[str, ...] = ("made", "up", "MADE-1"),
    series_description: str = "ABDOMEN NATIVE",
    edit: EditSlice | None = None,
) -> Path:
    """Write attenuation (slices, rows, columns) as a CT series; the last part of ``identity`` is the Patient ID.

    The affine to LPS mm may be sheared: each image is then placed by its own position, as a tilted gantry does.
    """
    stored = np.clip(np.rint(hu) - INTERCEPT_HU, -32768, 32767).astype(np.int16)
    out_dir.mkdir(parents=True, exist_ok=True)
    for index, plane in enumerate(stored):
        dataset = _slice(plane, affine, index, identity, series_description)
        if edit is not None:
            edit(dataset, index)
        dataset.save_as(out_dir / f"{index:04d}.dcm", enforce_file_format=True)
    return out_dir


def _slice(
    plane: NDArray[np.int16], affine: NDArray[np.float64], index: int, identity: tuple[str, ...], series_description: str
) -> Dataset:
    """One instance with every mandatory attribute of the CT Image IOD (PS3.3 A.3)."""
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    row, column = affine[:3, 2] / steps[2], affine[:3, 1] / steps[1]
    position = affine[:3, 3] + affine[:3, 0] * index
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = uid("instance", *identity, series_description, index)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID = uid("study", *identity)
    dataset.SeriesInstanceUID = uid("series", *identity, series_description)
    dataset.FrameOfReferenceUID = uid("frame", *identity)
    dataset.PositionReferenceIndicator = ""
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20260102"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "101500"
    dataset.AccessionNumber = "A1"
    dataset.StudyID = "1"
    dataset.ReferringPhysicianName = ""
    dataset.Modality = "CT"
    dataset.BodyPartExamined = "ABDOMEN"
    dataset.Manufacturer = "SIEMENS"
    dataset.ManufacturerModelName = "Written from NIfTI"
    dataset.SeriesDescription = series_description
    dataset.PatientID = identity[-1]
    dataset.PatientName = f"{identity[-1]}^Real"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = ""
    dataset.PatientPosition = "HFS"
    dataset.KVP = "120"
    dataset.ConvolutionKernel = "B30f"
    dataset.SliceThickness = f"{steps[0]:.6g}"
    dataset.SeriesNumber = 2
    dataset.AcquisitionNumber = 1
    dataset.InstanceNumber = index + 1
    dataset.ImagePositionPatient = [f"{value:.6f}"[:16] for value in position]
    dataset.ImageOrientationPatient = [f"{value:.6f}" for value in (*row, *column)]
    dataset.PixelSpacing = [f"{steps[1]:.6g}", f"{steps[2]:.6g}"]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = plane.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 1
    dataset.RescaleIntercept = str(INTERCEPT_HU)
    dataset.RescaleSlope = "1"
    dataset.RescaleType = "HU"
    dataset.PixelData = plane.tobytes()
    return dataset


def extract_archive(path: Path, into: Path) -> Path:
    """Unpack a .tar.xz or .zip of the real images into a folder; returns the folder."""
    into.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            archive.extractall(into)
    else:
        with tarfile.open(path) as archive:
            archive.extractall(into, filter="data")
    return into
