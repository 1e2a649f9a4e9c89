"""What becomes of every vertebra that was looked at: a crop, or a reason, counted as the paper counts (section 3.1, Table 1)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from inference.ct.measure import BodyMeasurement
from inference.ct.options import CtOptions
from inference.ct.quality import CEMENT_ML, DARK_FRACTION, METAL_ML, height_loss
from inference.errors import ReasonCode
from inference.findings import VertebraFinding
from training.tpswav.vertebrae import Vertebra


class Exclusion(StrEnum):
    """Why a vertebra is left out: the paper's five reasons, and two of ours."""

    QUALITY = "poor image quality"
    """Noise, sclerosis or an attenuation that no bone has."""
    METAL = "metal implant or cement"
    FRACTURE = "compression fracture"
    IDENTIFICATION = "failed identification"
    NO_LUMBAR = "lumbar spine missing"
    """Of a patient, not of a vertebra: nothing of L1 to L4 is in view."""
    CUT = "cut by the edge of the scan"
    UNREADABLE = "study cannot be read"


_BY_CODE = {
    ReasonCode.NOT_WHOLE: Exclusion.CUT,
    ReasonCode.METAL_OR_CEMENT: Exclusion.METAL,
    ReasonCode.FRACTURE_SUSPECTED: Exclusion.FRACTURE,
    ReasonCode.LEVEL_UNCERTAIN: Exclusion.IDENTIFICATION,
    ReasonCode.MERGED_BODIES: Exclusion.IDENTIFICATION,
}
"""Every other code speaks of the image."""


@dataclass(frozen=True, kw_only=True)
class Excluded:
    """A vertebra (or, without a level, a patient) that was left out."""

    patient: str
    site: str
    level: str | None
    why: Exclusion


def exclusion_of(body: BodyMeasurement, finding: VertebraFinding | None, options: CtOptions) -> Exclusion | None:
    """Why a vertebra of a scan is left out; None where it may be used.

    Parameters
    ----------
    finding
        What the CT workflow judges of it; None for levels that the workflow does not report (above T11), which are judged here by the
        same measures: edge, metal and cement, and the loss of height against the body's own.
    """
    if finding is not None and finding.excluded_because is not None:
        return _BY_CODE.get(finding.excluded_because.code, Exclusion.QUALITY)
    if not body.vertebra.level_certain:
        return Exclusion.IDENTIFICATION
    if not body.whole:
        return Exclusion.CUT
    if body.cement_ml >= CEMENT_ML or body.metal_ml >= METAL_ML or body.dark_fraction > DARK_FRACTION:
        return Exclusion.METAL
    if body.heights is not None and height_loss(body.heights, body.vertebra.level) > options.height_loss_exclude:
        return Exclusion.FRACTURE
    return None


@dataclass(frozen=True, kw_only=True)
class Census:
    """Everything that was looked at.

    Attributes
    ----------
    vertebrae
        That may be used, labelled or not.
    excluded
        That may not.
    labels_out_of_date
        Patients whose DXA lies more than six months from the CT: their vertebrae are used without a label.
    """

    vertebrae: tuple[Vertebra, ...]
    excluded: tuple[Excluded, ...] = ()
    labels_out_of_date: tuple[str, ...] = ()

    def words(self) -> str:
        """Counts for a person."""
        patients = len({one.patient for one in self.vertebrae})
        with_truth = sum(one.labelled for one in self.vertebrae)
        head = f"{len(self.vertebrae)} vertebrae of {patients} patients, {with_truth} of them with a density by DXA"
        reasons = Counter(one.why for one in self.excluded)
        told = ", ".join(f"{count} {why.value}" for why, count in sorted(reasons.items()))
        late = f"; DXA more than six months away: {len(self.labels_out_of_date)} patients" if self.labels_out_of_date else ""
        return f"{head}; left out: {told or 'none'}{late}"


def merged(parts: Sequence[Census]) -> Census:
    """Several as one."""
    return Census(
        vertebrae=tuple(one for part in parts for one in part.vertebrae),
        excluded=tuple(one for part in parts for one in part.excluded),
        labels_out_of_date=tuple(one for part in parts for one in part.labels_out_of_date),
    )
