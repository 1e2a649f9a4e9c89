"""Line integrals through a painted body: parallel for a densitometer, from a focal spot for a radiograph."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from training.simulation.body import PaintedPatient
from training.simulation.xray.attenuation import Spectrum
from training.simulation.xray.composition import BASIS, decompose

FloatArray = NDArray[np.float32]


class View(StrEnum):
    """The way of the beam (DICOM View Position)."""

    PA = "PA"
    """From behind; the chest touches the detector."""
    AP = "AP"
    """From the front; the back lies on the detector."""
    LATERAL = "LL"
    """From the right; the left side touches the detector."""


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A grid of square pixels in the plane of the image.

    Attributes
    ----------
    first_u_mm, first_v_mm
        Centre of the pixel in the first column and row: u grows to the patient's left (PA, AP) or backwards (lateral), v towards the
        head. Row 0 is the foot end here; images are turned head up when they leave the physics.
    pitch_mm
        Of the pixels, in both directions.
    """

    first_u_mm: float
    first_v_mm: float
    pitch_mm: float
    rows: int
    columns: int

    @property
    def u_mm(self) -> NDArray[np.float64]:
        """(columns,) pixel centres."""
        return np.asarray(self.first_u_mm + self.pitch_mm * np.arange(self.columns), dtype=np.float64)

    @property
    def v_mm(self) -> NDArray[np.float64]:
        """(rows,) pixel centres."""
        return np.asarray(self.first_v_mm + self.pitch_mm * np.arange(self.rows), dtype=np.float64)

    def with_pitch(self, pitch_mm: float) -> "Detector":
        """The same field with other pixels."""
        width, height = self.columns * self.pitch_mm, self.rows * self.pitch_mm
        shift = (pitch_mm - self.pitch_mm) / 2
        return Detector(
            first_u_mm=self.first_u_mm + shift,
            first_v_mm=self.first_v_mm + shift,
            pitch_mm=pitch_mm,
            rows=max(1, round(height / pitch_mm)),
            columns=max(1, round(width / pitch_mm)),
        )


@dataclass(frozen=True, kw_only=True)
class Beam:
    """Where the rays come from. ``source_mm`` None: parallel rays.

    ``detector_w_mm`` is the position of the detector along the beam's axis (anatomical y for PA and AP, x for lateral), ``centre_mm``
    (u, v) where the central ray meets it at a right angle.
    """

    view: View
    centre_mm: tuple[float, float]
    detector_w_mm: float
    source_mm: float | None = None

    def magnification(self, w_mm: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """Size on the detector over size in the plane at ``w_mm``."""
        if self.source_mm is None:
            return np.ones_like(np.asarray(w_mm, dtype=np.float64))
        return np.asarray(self.source_mm / (self.source_mm - np.abs(np.asarray(w_mm, dtype=np.float64) - self.detector_w_mm)))

    def project(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 2) u and v on the detector of (N, 3) anatomical points (left, posterior, cranial)."""
        points = np.asarray(points_mm, dtype=np.float64)
        across, along = (1, 0) if self.view is View.LATERAL else (0, 1)
        scale = self.magnification(points[:, along])
        u = self.centre_mm[0] + (points[:, across] - self.centre_mm[0]) * scale
        v = self.centre_mm[1] + (points[:, 2] - self.centre_mm[1]) * scale
        return np.stack([u, v], axis=1)


@dataclass(frozen=True, kw_only=True)
class LineIntegrals:
    """Mass of each material of the basis along each ray, g/cm2: float32 (4, rows, columns), foot end first."""

    mass_g_cm2: FloatArray
    detector: Detector

    def transmission(self, spectrum: Spectrum, *, energy_weighted: bool = False) -> FloatArray:
        """Fraction of a spectrum's photons (or of its energy) that passes: Beer and Lambert, energy by energy. (rows, columns)."""
        weight = spectrum.weight * (spectrum.energy_kev if energy_weighted else 1.0)
        weight = weight / weight.sum()
        coefficients = np.stack([spectrum.coefficients(material) for material in BASIS]).astype(np.float32)
        out = np.zeros(self.mass_g_cm2.shape[1:], np.float32)
        for share, column in zip(weight.tolist(), coefficients.T, strict=True):
            out += np.float32(share) * np.exp(-np.tensordot(column, self.mass_g_cm2, axes=1))
        return out

    def resampled(self, detector: Detector) -> "LineIntegrals":
        """On finer or coarser pixels, by cubic splines: a sharp edge overshoots a little, the mass is kept."""
        to_v = _cubic((detector.v_mm - self.detector.first_v_mm) / self.detector.pitch_mm, self.detector.rows)
        to_u = _cubic((detector.u_mm - self.detector.first_u_mm) / self.detector.pitch_mm, self.detector.columns)
        fine = np.zeros((len(self.mass_g_cm2), detector.rows, detector.columns), np.float32)
        for out, image in zip(fine, self.mass_g_cm2, strict=True):
            if image.any():
                knots = ndimage.spline_filter(image, order=3, mode="mirror", output=np.float32)
                out[...] = (to_u @ (to_v @ knots).T).T
        return LineIntegrals(mass_g_cm2=fine, detector=detector)


def line_integrals(painted: PaintedPatient, beam: Beam, detector: Detector) -> LineIntegrals:
    """Sum up what each ray meets, plane by plane from the detector on.

    Every plane is scaled about the central ray with linear interpolation, so the pixels should not be finer than the painted voxels.

    Raises
    ------
    ValueError
        The body is not painted on the axes of the anatomy.
    """
    left, posterior, cranial = axes_mm(painted)
    lateral = beam.view is View.LATERAL
    across, along = (posterior, left) if lateral else (left, posterior)
    total = np.zeros((len(BASIS), detector.rows, detector.columns), np.float32)
    previous: float | None = None
    for w, hu, mineral in _planes(painted, lateral):
        scale = float(beam.magnification(along[w]))
        if scale != previous:
            to_u = _interpolator((detector.u_mm - beam.centre_mm[0]) / scale + beam.centre_mm[0], across)
            to_v = _interpolator((detector.v_mm - beam.centre_mm[1]) / scale + beam.centre_mm[1], cranial)
            previous = scale
        for index, density in enumerate(decompose(hu, mineral).arrays()):
            if density.any():
                total[index] += (to_u @ (to_v @ density).T).T
    total *= np.float32(abs(along[1] - along[0]) / 10)
    if beam.source_mm is not None:
        u, v = np.meshgrid(detector.u_mm - beam.centre_mm[0], detector.v_mm - beam.centre_mm[1])
        total *= np.sqrt(1 + (u**2 + v**2) / beam.source_mm**2).astype(np.float32)
    return LineIntegrals(mass_g_cm2=total, detector=detector)


def axes_mm(painted: PaintedPatient) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates of the voxel centres along left, posterior and cranial, mm.

    Raises
    ------
    ValueError
        The body is not painted on the axes of the anatomy.
    """
    steps = painted.affine[:3, :3]
    expected = np.array([[0, 0, steps[0, 2]], [0, steps[1, 1], 0], [steps[2, 0], 0, 0]])
    if not np.allclose(steps, expected, atol=1e-9):
        raise ValueError("a projection needs the body as paint_anatomy paints it, on the axes of the anatomy")
    slices, rows, columns = painted.hu.shape
    origin = painted.affine[:3, 3]
    return (
        origin[0] + steps[0, 2] * np.arange(columns),
        origin[1] + steps[1, 1] * np.arange(rows),
        origin[2] + steps[2, 0] * np.arange(slices),
    )


def _planes(painted: PaintedPatient, lateral: bool) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    """Index along the beam, attenuation and mineral of each plane that is not all air; (slices, across)."""
    for index in range(painted.hu.shape[2 if lateral else 1]):
        hu = painted.hu[:, :, index] if lateral else painted.hu[:, index, :]
        if hu.max() > -999:
            yield index, hu, painted.mineral_mg_cm3[:, :, index] if lateral else painted.mineral_mg_cm3[:, index, :]


def _interpolator(wanted: NDArray[np.float64], have: NDArray[np.float64]) -> sparse.csr_array:
    """(wanted, have) linear interpolation as a sparse matrix; nothing outside."""
    position = (wanted - have[0]) / (have[1] - have[0])
    low = np.floor(position).astype(int)
    share = position - low
    rows = np.concatenate([np.arange(len(wanted))] * 2)
    columns = np.concatenate([low, low + 1])
    weights = np.concatenate([1 - share, share])
    inside = (columns >= 0) & (columns < len(have))
    shape = (len(wanted), len(have))
    return sparse.csr_array((weights[inside].astype(np.float32), (rows[inside], columns[inside])), shape=shape)


def _cubic(position: NDArray[np.float64], count: int) -> sparse.csr_array:
    """(wanted, count) values of a cubic spline at ``position`` (in pixels) from its coefficients, as a sparse matrix; edges mirrored."""
    position = np.clip(position, 0, count - 1)
    low = np.floor(position).astype(int)
    t = position - low
    weights = np.concatenate([(1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 1 + 3 * t + 3 * t**2 - 3 * t**3, t**3]) / 6
    columns = np.concatenate([low - 1, low, low + 1, low + 2])
    last = max(count - 1, 1)
    columns = np.minimum(np.abs(last - np.abs(last - columns)), count - 1)
    rows = np.concatenate([np.arange(len(position))] * 4)
    return sparse.csr_array((weights.astype(np.float32), (rows, columns)), shape=(len(position), count))
