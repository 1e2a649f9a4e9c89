"""What the DXA workflow says about a study beside its outcome: every image's decision, and the device's own values."""

from dataclasses import dataclass

from inference.dxa.densitometer import Densitometer
from inference.dxa.device_values import DeviceValues
from inference.dxa.patient import PatientLevel
from inference.dxa.recognise import ImageDecision


@dataclass(frozen=True, kw_only=True)
class DxaFindings:
    """One densitometry study.

    Attributes
    ----------
    images
        Every image's decision, in the order of the study; at most one is used.
    device
        The densitometer's own values, not Osteon's; None where no object states them.
    device_because
        Where they stood, or why there are none.
    patient
        The ISCD's rules over the device's values; None without any.
    densitometer
        What made the used image, as its header says; None where no image is used.
    """

    images: tuple[ImageDecision, ...]
    device: DeviceValues | None
    device_because: str
    patient: PatientLevel | None
    densitometer: Densitometer | None = None

    @property
    def used(self) -> ImageDecision | None:
        """The AP spine whose L1 to L4 a network sees."""
        return next((image for image in self.images if image.used), None)

    @property
    def device_sentence(self) -> str | None:
        """The device's values in one sentence that says whose they are; None without a value of two levels or more."""
        patient = self.patient
        if self.device is None or patient is None or patient.region is None:
            return None
        parts = [] if patient.bmd_g_cm2 is None else [f"BMD {patient.bmd_g_cm2:.3f} g/cm2"]
        if patient.t_score is not None and patient.category is not None:
            parts.append(f"T-score {patient.t_score:.1f} ({patient.category.value} by the WHO's limits)")
        device = self.device.device or "the densitometer"
        return f"{patient.region}: {', '.join(parts)}; measured by {device}, not estimated by Osteon"
