"""HU to vBMD, only with a calibration of this very scanner at this very tube voltage.

Another tube voltage's calibration errs by 3.8 +/- 28 %, another scanner's by -5.6 +/- 9 % (Skornitzke 2022), so nothing near counts as
matching. The table ships empty.
"""

import dataclasses
from collections.abc import Sequence

from inference.ct.options import CalibrationEntry
from inference.errors import WarningCode
from inference.findings import Acquisition, Notice, RoiMeasurement


def find_entry(entries: Sequence[CalibrationEntry], acquisition: Acquisition, serial_number: str | None) -> CalibrationEntry | None:
    """The entry of this scanner at this tube voltage, or None.

    Names are compared without case and outer blanks. An entry with a serial number wins over one without; it never matches a scanner
    whose header states another one or none.
    """
    matching = [entry for entry in entries if _same_scanner(entry, acquisition, serial_number) and _same_kvp(entry, acquisition)]
    return max(matching, key=lambda entry: entry.device_serial_number is not None, default=None)


def other_voltage_notice(entries: Sequence[CalibrationEntry], acquisition: Acquisition, serial_number: str | None) -> Notice | None:
    """A warning where this scanner is calibrated, but at another tube voltage only: no vBMD then, and the site should know why."""
    if find_entry(entries, acquisition, serial_number) is not None:
        return None
    others = sorted({entry.kvp for entry in entries if _same_scanner(entry, acquisition, serial_number)})
    if not others:
        return None
    used = f"{acquisition.kvp:g} kVp" if acquisition.kvp is not None else "an unstated tube voltage"
    known = ", ".join(f"{kvp:g}" for kvp in others)
    text = f"No vBMD: this scanner is calibrated at {known} kVp, the series was made with {used}."
    return Notice(code=WarningCode.CALIBRATION_OTHER_TUBE_VOLTAGE, text=text)


def calibrated(roi: RoiMeasurement, entry: CalibrationEntry | None) -> RoiMeasurement:
    """The region with its vBMD (mg/cm3, from the median like every reported number), unchanged without an entry."""
    if entry is None:
        return roi
    vbmd_mg_cm3 = entry.slope * roi.attenuation.median_hu + entry.intercept
    return dataclasses.replace(roi, vbmd_mg_cm3=vbmd_mg_cm3, vbmd_calibration=f"{entry.material}, {entry.source}")


def _same_scanner(entry: CalibrationEntry, acquisition: Acquisition, serial_number: str | None) -> bool:
    if not (_same(entry.manufacturer, acquisition.manufacturer) and _same(entry.model_name, acquisition.model_name)):
        return False
    return entry.device_serial_number is None or _same(entry.device_serial_number, serial_number)


def _same_kvp(entry: CalibrationEntry, acquisition: Acquisition) -> bool:
    return acquisition.kvp is not None and abs(entry.kvp - acquisition.kvp) < 0.5


def _same(one: str, other: str | None) -> bool:
    return other is not None and one.strip().casefold() == other.strip().casefold() and bool(one.strip())
