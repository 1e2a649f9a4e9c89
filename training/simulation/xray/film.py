"""A chest radiograph of a simulated patient."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from training.simulation.body import PaintedPatient, paint_anatomy
from training.simulation.parameters import ContrastPhase, PatientParameters
from training.simulation.spine import Spine, build_spine
from training.simulation.xray.attenuation import DENSITY_G_CM3, Material, tube_spectrum
from training.simulation.xray.detector import DetectorPhysics, add_scatter, read_out
from training.simulation.xray.gradation import Gradation, present
from training.simulation.xray.landmarks import chest_landmarks
from training.simulation.xray.markers import burn_marker
from training.simulation.xray.projection import Beam, Detector, LineIntegrals, View, axes_mm, line_integrals


@dataclass(frozen=True, kw_only=True)
class ChestFilmParameters:
    """How the film is made.

    Attributes
    ----------
    view, source_mm
        PA at 180 cm standing; AP at about 110 cm is the portable one in bed, without a grid.
    paint_spacing_mm
        Voxels of the body that is projected.
    pixel_spacing_mm, width_mm, height_mm
        Of the detector.
    decentring_mm
        (left, cranial) shift of the patient in the field.
    bits_stored
        10 to 16.
    marker
        Letters burned in beside the patient's left shoulder; empty for none.
    seed
        Of the quantum noise, with the patient's own.
    """

    view: View = View.PA
    kvp: float = 125.0
    source_mm: float = 1800.0
    physics: DetectorPhysics = field(default_factory=DetectorPhysics)
    paint_spacing_mm: float = 1.5
    pixel_spacing_mm: float = 0.35
    width_mm: float = 380.0
    height_mm: float = 400.0
    decentring_mm: tuple[float, float] = (0.0, 0.0)
    gradation: Gradation = Gradation.STANDARD
    bits_stored: int = 12
    marker: str = "L"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 10 <= self.bits_stored <= 16:
            raise ValueError(f"a radiograph has 10 to 16 bits, not {self.bits_stored}")
        if min(self.paint_spacing_mm, self.pixel_spacing_mm, self.width_mm, self.height_mm) <= 0:
            raise ValueError("spacings and the field are positive")
        if self.source_mm < 800:
            raise ValueError(f"the focal spot is at least 800 mm from the detector, not {self.source_mm:g}")


def portable(**changes: object) -> ChestFilmParameters:
    """The film of a patient in bed: AP, near, soft beam, no grid, more noise; ``changes`` replace single parameters."""
    base = ChestFilmParameters(
        view=View.AP,
        kvp=95.0,
        source_mm=1100.0,
        physics=DetectorPhysics(quanta_per_mm2=25_000.0, blur_mm=0.22, grid=False),
        gradation=Gradation.SHARP,
        marker="L AP",
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # dataclasses.replace is checked at run time


@dataclass(frozen=True, kw_only=True)
class SimulatedFilm:
    """A radiograph and what is true about it.

    Attributes
    ----------
    image
        uint16 (rows, columns), bone bright, head up, the patient's left on the right of the image (lateral: front on the left).
    spacing_mm
        Of the square pixels in the plane of the detector.
    magnification
        At the height of the thoracic spine: sizes on the detector over sizes in the patient.
    landmarks
        (row, column) of points on bones, by name; empty in a lateral view.
    """

    patient: PatientParameters
    acquisition: ChestFilmParameters
    image: NDArray[np.uint16]
    spacing_mm: float
    magnification: float
    landmarks: Mapping[str, tuple[float, float]]


def simulate_chest_film(patient: PatientParameters, acquisition: ChestFilmParameters | None = None) -> SimulatedFilm:
    """Paint the chest, project it from the focal spot, read and process the image. The same arguments give the same bytes.

    The film is taken without contrast and standing straight, however the patient lies in the scanner.
    """
    return set_up(patient, acquisition).film()


@dataclass(frozen=True, kw_only=True)
class FilmSetUp:
    """A painted patient between focal spot and detector."""

    patient: PatientParameters
    acquisition: ChestFilmParameters
    painted: PaintedPatient
    beam: Beam
    detector: Detector

    def film(self) -> SimulatedFilm:
        """Project the body and read the image."""
        coarse = self.detector.with_pitch(self.acquisition.paint_spacing_mm)
        integrals = line_integrals(self.painted, self.beam, coarse).resampled(self.detector)
        return expose(self.patient, self.acquisition, self.painted, self.beam, integrals)

    def on_image(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 2) row and column on the film, head up, of anatomical points (N, 3)."""
        return _on_image(points_mm, self.beam, self.detector)


def set_up(patient: PatientParameters, acquisition: ChestFilmParameters | None = None) -> FilmSetUp:
    """Paint the chest, without contrast, and aim the beam at it."""
    chosen = acquisition or ChestFilmParameters()
    plain = replace(patient, contrast=ContrastPhase.NATIVE)
    spine = build_spine(plain)
    beam_centre = _centre(spine, chosen)
    reach = chosen.height_mm / 2 + 15.0
    z_range_mm = (beam_centre[1] - reach, min(beam_centre[1] + reach, _top(spine)))
    raised = chosen.view is View.LATERAL  # hanging arms would hide what a lateral film is taken for
    painted = paint_anatomy(plain, spacing_mm=chosen.paint_spacing_mm, z_range_mm=z_range_mm, arms_raised=raised)
    beam, detector = _geometry(painted, chosen, beam_centre)
    return FilmSetUp(patient=patient, acquisition=chosen, painted=painted, beam=beam, detector=detector)


def expose(
    patient: PatientParameters, acquisition: ChestFilmParameters, painted: PaintedPatient, beam: Beam, integrals: LineIntegrals
) -> SimulatedFilm:
    """Make the image of what each ray met."""
    rng = np.random.default_rng((patient.seed, acquisition.seed, 41))
    pitch = integrals.detector.pitch_mm
    primary = integrals.transmission(tube_spectrum(acquisition.kvp), energy_weighted=True)
    tissue_cm = integrals.mass_g_cm2[:2].sum(axis=0) / np.float32(DENSITY_G_CM3[Material.WATER])
    signal = add_scatter(primary, tissue_cm, pitch, grid=acquisition.physics.grid)
    grey = present(read_out(signal, pitch, acquisition.physics, rng), pitch, acquisition.gradation)[::-1]
    if acquisition.marker:
        grey = burn_marker(grey, acquisition.marker, pitch)
    top = 2**acquisition.bits_stored - 1
    points = chest_landmarks(painted) if acquisition.view is not View.LATERAL else {}
    found = _on_image(np.array(list(points.values())).reshape(-1, 3), beam, integrals.detector)
    places = {name: (float(row), float(column)) for name, (row, column) in zip(points, found, strict=True)}
    return SimulatedFilm(
        patient=patient,
        acquisition=acquisition,
        image=np.rint(grey * top).astype(np.uint16),
        spacing_mm=pitch,
        magnification=float(beam.magnification(painted.spine.level("T8").frame.origin[0 if acquisition.view is View.LATERAL else 1])),
        landmarks=places,
    )


def _centre(spine: Spine, acquisition: ChestFilmParameters) -> tuple[float, float]:
    """Where the central ray goes: (left or posterior, cranial), at T7."""
    place = spine.level("T7").frame.origin
    across = float(place[1] - 60.0) if acquisition.view is View.LATERAL else 0.0
    return (across + acquisition.decentring_mm[0], float(place[2]) + acquisition.decentring_mm[1])


def _top(spine: Spine) -> float:
    """The body is painted up to here."""
    return float(spine.neck.frame.origin[2]) + 90.0


def _geometry(painted: PaintedPatient, acquisition: ChestFilmParameters, centre: tuple[float, float]) -> tuple[Beam, Detector]:
    left, posterior, _ = axes_mm(painted)
    wall = {View.PA: float(posterior[0]), View.AP: float(posterior[-1]), View.LATERAL: float(left[-1])}[acquisition.view]
    beam = Beam(view=acquisition.view, centre_mm=centre, detector_w_mm=wall, source_mm=acquisition.source_mm)
    pitch = acquisition.pixel_spacing_mm
    detector = Detector(
        first_u_mm=centre[0] - acquisition.width_mm / 2 + pitch / 2,
        first_v_mm=centre[1] - acquisition.height_mm / 2 + pitch / 2,
        pitch_mm=pitch,
        rows=round(acquisition.height_mm / pitch),
        columns=round(acquisition.width_mm / pitch),
    )
    return beam, detector


def _on_image(points_mm: NDArray[np.float64], beam: Beam, detector: Detector) -> NDArray[np.float64]:
    u, v = beam.project(points_mm).T
    row = detector.rows - 1 - (v - detector.first_v_mm) / detector.pitch_mm
    return np.stack([row, (u - detector.first_u_mm) / detector.pitch_mm], axis=1)
