"""What a simulated patient is, and how the patient is scanned: plain frozen values, checked once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from inference.ct.levels import THORACIC


class ContrastPhase(StrEnum):
    """When the scan was made after the injection of iodine."""

    NATIVE = "native"
    ARTERIAL = "arterial"
    VENOUS = "venous"


class Kernel(StrEnum):
    """Reconstruction kernel."""

    SOFT = "soft"
    SHARP = "sharp"


class FieldOfView(StrEnum):
    """What the scan covers, head to foot."""

    ABDOMEN = "abdomen"
    """T10 to the hip joints."""
    LUMBAR = "lumbar"
    """T12 to S2, reconstructed on a small circle around the spine."""
    CHEST = "chest"
    """T1 to L2."""
    HEART = "heart"
    """T6 to T10, reconstructed on a small square around the heart."""
    TRUNK = "trunk"
    """T1 to the hip joints."""


@dataclass(frozen=True, kw_only=True)
class PatientParameters:
    """One simulated patient.

    Attributes
    ----------
    seed
        Settles everything that is random: texture, level-to-level variation, bowel, noise, UIDs.
    sex, age_years
        Women have breasts; age brings osteophytes and fat in the muscles. Bone density follows ``trabecular_hu`` alone.
    body_scale
        Linear size of the skeleton; 1 is a man of about 175 cm, 0.9 a woman of about 160 cm.
    disc_scale
        Height of the discs over that of a young, well-filled one.
    fat_mm
        Thickness of the subcutaneous fat at the flank.
    lordosis_deg, kyphosis_deg
        Angles between the upper endplates of L1 and S1, and between those of T4 and T12.
    scoliosis_deg
        Coronal tilt of the lumbar vertebrae, which the thoracic ones balance; ``rotation_deg`` the largest axial rotation, at the apex.
    roll_deg, tilt_deg, yaw_deg
        How the patient lies: rotation about the long, the left-right and the front-back axis. A roll of about 90, 180 or 270 is a
        decubitus or prone position, with LPS axes that turn with the patient; what remains is a patient who lies askew.
    trabecular_hu
        Attenuation of trabecular bone at L1 at 120 kVp without contrast; ``level_hu`` sets single levels.
    wedge, crush
        Fraction of the anterior (wedge) or the whole (crush) height that a level has lost.
    cement, screws, dense_focus
        Levels with vertebroplasty cement, with pedicle screws, with a sclerotic focus.
    lumbar_count
        4, 5 or 6 lumbar vertebrae.
    t12_rib_mm
        Length of the twelfth rib; 0 for none. ``lumbar_rib_mm`` is that of a rib on L1.
    aortic_calcification
        Fraction of the aortic wall that is calcified.
    hip_prosthesis
        A metal right hip.
    """

    seed: int
    sex: str = "F"
    age_years: int = 65
    body_scale: float = 0.93
    disc_scale: float = 1.0
    fat_mm: float = 18.0
    lordosis_deg: float = 52.0
    kyphosis_deg: float = 36.0
    scoliosis_deg: float = 0.0
    rotation_deg: float = 0.0
    roll_deg: float = 0.0
    tilt_deg: float = 0.0
    yaw_deg: float = 0.0
    trabecular_hu: float = 120.0
    level_hu: Mapping[str, float] = field(default_factory=dict)
    wedge: Mapping[str, float] = field(default_factory=dict)
    crush: Mapping[str, float] = field(default_factory=dict)
    cement: tuple[str, ...] = ()
    screws: tuple[str, ...] = ()
    dense_focus: tuple[str, ...] = ()
    contrast: ContrastPhase = ContrastPhase.NATIVE
    lumbar_count: int = 5
    t12_rib_mm: float = 105.0
    lumbar_rib_mm: float = 0.0
    aortic_calcification: float = 0.05
    hip_prosthesis: bool = False

    def __post_init__(self) -> None:
        if self.sex not in ("F", "M"):
            raise ValueError(f"sex is 'F' or 'M', not {self.sex!r}")
        if self.lumbar_count not in (4, 5, 6):
            raise ValueError(f"4, 5 or 6 lumbar vertebrae, not {self.lumbar_count}")
        for loss in (*self.wedge.values(), *self.crush.values()):
            if not 0 <= loss <= 0.75:
                raise ValueError(f"a height loss lies between 0 and 0.75, not {loss}")
        named = {*self.level_hu, *self.wedge, *self.crush, *self.cement, *self.screws, *self.dense_focus}
        if unknown := named - set(self.levels):
            raise ValueError(f"this patient has no level {sorted(unknown)}")

    @property
    def quarter_turns(self) -> int:
        """0 supine, 1 on the left side, 2 prone, 3 on the right side."""
        return round(self.roll_deg / 90) % 4

    @property
    def levels(self) -> tuple[str, ...]:
        """Every mobile level, head to foot: T1 to the last lumbar one."""
        return (*THORACIC, *(f"L{n}" for n in range(1, self.lumbar_count + 1)))


@dataclass(frozen=True, kw_only=True)
class AcquisitionParameters:
    """How the patient is scanned and reconstructed.

    Attributes
    ----------
    rows, columns, pixel_spacing_mm
        Matrix of one slice; centred on the body, or on the spine or the heart where the field of view says so.
    slice_spacing_mm, slice_thickness_mm
        Distance between slices, and the length each averages over (None: the same).
    noise_sd_hu
        Standard deviation of the noise in the middle of the body, after the kernel.
    z_range_mm
        (lowest, highest) slice position in mm above the centre of L3; replaces the coverage of ``field_of_view``.
    gantry_tilt_deg
        The slices lean by this angle about the left-right axis; the volume's affine is then sheared.
    metal_artifacts
        Streaks where there is metal.
    omit_rescale
        The DICOM files lack Rescale Slope and Intercept.
    """

    rows: int = 256
    columns: int = 256
    pixel_spacing_mm: float = 1.5
    slice_spacing_mm: float = 2.0
    slice_thickness_mm: float | None = None
    kvp: float = 120.0
    noise_sd_hu: float = 12.0
    kernel: Kernel = Kernel.SOFT
    field_of_view: FieldOfView = FieldOfView.ABDOMEN
    z_range_mm: tuple[float, float] | None = None
    feet_first: bool = False
    gantry_tilt_deg: float = 0.0
    metal_artifacts: bool = True
    omit_rescale: bool = False

    def __post_init__(self) -> None:
        lengths = (self.pixel_spacing_mm, self.slice_spacing_mm, self.thickness_mm, self.rows, self.columns)
        if min(lengths) <= 0:
            raise ValueError("matrix, spacings and thickness are positive")
        if self.kvp not in (80, 100, 120, 140):
            raise ValueError(f"tube voltage is 80, 100, 120 or 140 kVp, not {self.kvp}")
        if self.noise_sd_hu < 0 or abs(self.gantry_tilt_deg) > 30:
            raise ValueError("noise is not negative and the gantry leans at most 30 degrees")
        if self.z_range_mm is not None and self.z_range_mm[1] <= self.z_range_mm[0]:
            raise ValueError("z_range_mm is (lowest, highest)")

    @property
    def thickness_mm(self) -> float:
        """The slice thickness that applies."""
        return self.slice_spacing_mm if self.slice_thickness_mm is None else self.slice_thickness_mm
