"""The JSON of a densitometry study: every image's decision, L1 to L4, and the device's own values, marked as its own."""

from typing import TYPE_CHECKING, Any

from inference.dxa.patient import OSTEOPOROSIS, LevelValue, PatientLevel
from inference.findings import Findings

if TYPE_CHECKING:  # the node's own process reports and must not load what the workflows need
    from inference.dxa.densitometer import Densitometer
    from inference.dxa.device_values import DeviceValues
    from inference.dxa.findings import DxaFindings
    from inference.dxa.recognise import ImageDecision

Json = dict[str, Any]


def dxa_report(dxa: "DxaFindings | None") -> Json | None:
    """``dxa`` of the report; None for any other study. BMD carries three decimals and T-scores one, as densitometers print them."""
    if dxa is None:
        return None
    return {
        "images": [_image(image) for image in dxa.images],
        "densitometer": _densitometer(dxa.densitometer),
        "device_values": _device(dxa.device, dxa.patient),
        "device_because": dxa.device_because,
    }


def dxa_estimates(findings: Findings) -> list[Json]:
    """``estimates`` of the report: what a model says of L1 to L4. It gives a probability, neither a density nor a T-score.

    The device's own values are no estimates; they stand under ``dxa.device_values``.
    """
    density = findings.density_class
    if findings.dxa is None or density is None or density.model is None:
        return []
    return [
        {
            "level": density.level,
            "bmd_g_cm2": None,
            "t_score": None,
            "probability_osteoporosis": density.percentages[OSTEOPOROSIS] / 100,
            "by": f"model {density.model.name} {density.model.version}, trained on {density.model.trained_on}",
        }
    ]


def _densitometer(device: "Densitometer | None") -> Json | None:
    """What made the used image, as its header says."""
    if device is None:
        return None
    return {
        "manufacturer": device.manufacturer or None,
        "model_name": device.model_name or None,
        "software_versions": list(device.software_versions),
    }


def _image(image: "ImageDecision") -> Json:
    roi = image.roi
    return {
        "sop_instance_uid": image.sop_instance_uid,
        "path": None if image.path is None else str(image.path),
        "region": image.region.value,
        "used": image.used,
        "because": image.because,
        "reason": None if image.reason is None else {"code": image.reason.code.value, "text": image.reason.text},
        "roi": None
        if roi is None
        else {
            "levels": ["L1", "L2", "L3", "L4"],
            "levels_certain": roi.levels_certain,
            "box": {"first_row": roi.box[0], "first_column": roi.box[1], "last_row": roi.box[2] - 1, "last_column": roi.box[3] - 1},
            "disc_rows": [round(row, 1) for row in roi.discs],
            "inverted": roi.inverted,
        },
        "scale": image.scale or None,
    }


def _device(values: "DeviceValues | None", patient: PatientLevel | None) -> Json | None:
    if values is None or patient is None:
        return None
    return {
        "measured_by": values.device or None,
        "source": values.source.value,
        "sop_instance_uid": values.sop_instance_uid,
        "levels": [_level(level) for level in patient.levels],
        "region": patient.region,
        "bmd_g_cm2": _rounded(patient.bmd_g_cm2, 3),
        "t_score": _rounded(patient.t_score, 1),
        "who_category": None if patient.category is None else patient.category.value,
        "because": patient.because,
    }


def _level(level: LevelValue) -> Json:
    excluded = level.excluded_because
    return {
        "level": level.level,
        "bmd_g_cm2": _rounded(level.bmd_g_cm2, 3),
        "t_score": _rounded(level.t_score, 1),
        "used": level.used,
        "excluded_because": None if excluded is None else {"code": excluded.code.value, "text": excluded.text},
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
