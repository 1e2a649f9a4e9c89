"""From a candidate series to a volume in HU."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.ct.series.attenuation import FILL_HU, attenuation_hu, check_plausible
from inference.ct.series.choice import CandidateSeries
from inference.ct.series.geometry import StackGeometry
from inference.errors import ReasonCode, Refusal, WarningCode
from inference.findings import Acquisition, Notice
from inference.pixels import is_lossy, read_with_pixels, stored_pixels
from inference.preprocessing import resample_mask_nearest, resample_upright, upright_grid
from inference.tolerant import read_dataset, text_of
from inference.volume import SeriesReference, Volume


@dataclass(frozen=True, kw_only=True)
class LoadedSeries:
    """One series as a volume, and the way back to its files.

    Attributes
    ----------
    volume
        Attenuation on a right-angled grid; slices ascend towards the head.
    acquisition
        ``contrast_phase`` is ``"unknown"``: the image has not been looked at yet.
    source_paths
        The files behind the source grid, one for each of its slices, in order.
    source_affine
        (4, 4) LPS mm of the source grid's (slice, row, column); equal to ``volume.affine`` unless a tilt was resampled.
    """

    volume: Volume
    acquisition: Acquisition
    source_paths: tuple[Path, ...]
    source_affine: NDArray[np.float64]
    source_shape: tuple[int, int, int]
    notices: tuple[Notice, ...]

    def to_source(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A mask of ``volume``'s shape on the pixel grid of the source files, shape (files, Rows, Columns); nearest neighbour."""
        if mask.shape != self.volume.hu.shape:
            raise ValueError(f"a mask of shape {mask.shape} does not fit a volume of shape {self.volume.hu.shape}")
        if mask.shape == self.source_shape and np.array_equal(self.source_affine, self.volume.affine):
            return mask
        return resample_mask_nearest(mask, self.volume.affine, self.source_affine, self.source_shape)


def load_series(candidate: CandidateSeries, *, max_slice_spacing_mm: float = 5.0) -> LoadedSeries:
    """Read and decode the images of a candidate, rescale each to HU, and stack them.

    Images that repeat one position with equal pixels are dropped with a notice. A regular gantry tilt of up to 20 degrees is resampled
    upright.

    Raises
    ------
    Refusal
        ``SLICES_TOO_THICK``, ``DUPLICATE_POSITIONS``, ``UNREADABLE_FILE``, ``UNREADABLE_PIXELS``, ``NOT_AN_IMAGE``,
        ``RESCALE_MISSING``, ``IMPLAUSIBLE_HU``.
    """
    geometry = candidate.geometry
    if geometry.spacing_mm > max_slice_spacing_mm + 0.01:
        text = f"{candidate.title}: {geometry.spacing_mm:.1f} mm between slices, above the limit of {max_slice_spacing_mm:g} mm."
        raise Refusal(ReasonCode.SLICES_TOO_THICK, text)
    paths = tuple(tuple(_path(candidate, index) for index in layer) for layer in geometry.layers)
    shape = (len(paths), candidate.headers[0].rows or 0, candidate.headers[0].columns or 0)
    hu, lossy = _stack_hu(paths, shape)
    check_plausible(hu)
    notices = _notices(geometry, lossy)
    affine = geometry.affine
    if geometry.tilt_deg:
        upright_affine, upright_shape = upright_grid(geometry.affine, shape)
        hu = resample_upright(hu, geometry.affine, upright_affine, upright_shape, fill=FILL_HU)
        affine = upright_affine
    return LoadedSeries(
        volume=Volume(hu=hu, affine=affine, series=_reference(candidate, paths[0][0])),
        acquisition=_acquisition(candidate),
        source_paths=tuple(layer[0] for layer in paths),
        source_affine=geometry.affine,
        source_shape=shape,
        notices=notices,
    )


def _reference(candidate: CandidateSeries, path: Path) -> SeriesReference:
    first = candidate.headers[0]
    return SeriesReference(
        patient_id=first.patient_id,
        study_instance_uid=first.study_instance_uid,
        series_instance_uid=first.series_instance_uid,
        frame_of_reference_uid=text_of(read_dataset(path, ("FrameOfReferenceUID",), stop_before_pixels=True), "FrameOfReferenceUID"),
    )


def _path(candidate: CandidateSeries, index: int) -> Path:
    path = candidate.headers[index].path
    if path is None:
        raise ValueError("the series was read from memory; pixels are loaded from files")
    return path


def _stack_hu(paths: Sequence[Sequence[Path]], shape: tuple[int, int, int]) -> tuple[NDArray[np.int16], bool]:
    """HU of every layer, int16 (slices, rows, columns), and whether any image was compressed with loss."""
    hu = np.empty(shape, dtype=np.int16)
    lossy = False
    other = np.empty(shape[1:], dtype=np.int16)
    for layer, plane in zip(paths, hu, strict=True):
        lossy |= _read_hu(layer[0], plane)
        for path in layer[1:]:
            _read_hu(path, other)
            if not np.array_equal(plane, other):
                text = f"{layer[0].name} and {path.name} lie at one position and differ: two phases or reconstructions in one series."
                raise Refusal(ReasonCode.DUPLICATE_POSITIONS, text)
    return hu, lossy


def _read_hu(path: Path, out: NDArray[np.int16]) -> bool:
    """Fill ``out`` (rows, columns) with one image's HU; True where it was compressed with loss."""
    dataset = read_with_pixels(path)
    stored = stored_pixels(dataset, path.name)
    if stored.shape != out.shape:
        raise Refusal(ReasonCode.UNREADABLE_PIXELS, f"{path.name} decodes to shape {stored.shape}, not {out.shape} as its header says.")
    if not np.issubdtype(stored.dtype, np.integer):
        raise Refusal(ReasonCode.IMPLAUSIBLE_HU, f"{path.name} holds {stored.dtype} pixels; a CT image holds integers.")
    attenuation_hu(stored.astype(stored.dtype.newbyteorder("="), copy=False), dataset, path.name, out)
    return is_lossy(dataset)


def _notices(geometry: StackGeometry, lossy: bool) -> tuple[Notice, ...]:
    notices = []
    if geometry.tilt_deg:
        text = f"The gantry was tilted by {geometry.tilt_deg:.1f} degrees; the images were resampled upright before measuring."
        notices.append(Notice(code=WarningCode.TILT_RESAMPLED, text=text))
    dropped = sum(len(layer) - 1 for layer in geometry.layers)
    if dropped:
        text = f"{dropped} image(s) repeated another pixel for pixel at the same position and were dropped."
        notices.append(Notice(code=WarningCode.DUPLICATES_DROPPED, text=text))
    if lossy:
        text = "The images were compressed with loss, which shifts attenuation by an unknown amount."
        notices.append(Notice(code=WarningCode.LOSSY_COMPRESSION, text=text))
    return tuple(notices)


def _acquisition(candidate: CandidateSeries) -> Acquisition:
    first = candidate.headers[0]
    spacing = first.pixel_spacing_mm
    return Acquisition(
        series_instance_uid=first.series_instance_uid,
        series_description=first.series_description or None,
        manufacturer=first.manufacturer or None,
        model_name=first.manufacturer_model_name or None,
        kvp=first.kvp,
        convolution_kernel=first.convolution_kernel or None,
        slice_spacing_mm=candidate.geometry.spacing_mm,
        slice_thickness_mm=first.slice_thickness_mm,
        pixel_spacing_mm=(spacing[0], spacing[1]),
        slices=len(candidate.geometry.layers),
        contrast_header=first.contrast_bolus_agent or None,
        contrast_phase="unknown",
    )
