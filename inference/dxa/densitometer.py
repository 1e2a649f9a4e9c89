"""Which densitometer made an image, and with which software, as far as the header says."""

from dataclasses import dataclass

from inference.reading import InstanceHeader
from inference.tolerant import read_dataset, text_of, tolerant


@dataclass(frozen=True, kw_only=True)
class Densitometer:
    """The device of one image; empty where its header does not say.

    Attributes
    ----------
    manufacturer, model_name
        (0008,0070) and (0008,1090).
    software_versions
        Every value of (0018,1020).
    """

    manufacturer: str
    model_name: str
    software_versions: tuple[str, ...]

    @property
    def words(self) -> str:
        """``GE Healthcare Lunar iDXA, software 16.10``; what is missing is said to be."""
        name = " ".join(part for part in (self.manufacturer, self.model_name) if part) or "device not stated"
        software = ", ".join(self.software_versions)
        return f"{name}, {f'software {software}' if software else 'software not stated'}"


def densitometer_of(header: InstanceHeader) -> Densitometer:
    """The device of an image.

    Raises
    ------
    Refusal
        The file cannot be read any more.
    """
    software = ""
    if header.path is not None:
        with tolerant():
            software = text_of(read_dataset(header.path, ("SoftwareVersions",), stop_before_pixels=True), "SoftwareVersions")
    return Densitometer(
        manufacturer=header.manufacturer.strip(),
        model_name=header.manufacturer_model_name.strip(),
        software_versions=tuple(part.strip() for part in software.split("\\") if part.strip()),
    )
