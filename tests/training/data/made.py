"""Tables and rows that the tests of the manifest and of splits look at."""

from collections.abc import Sequence
from pathlib import Path

from training.data.labels import LABELS
from training.data.manifest import Manifest, ManifestRow, Modality, ReadOptions, manifest_of, read_manifest


def write(folder: Path, text: str, name: str = "export.csv", encoding: str = "utf-8") -> Path:
    """A table as a hospital's program writes it."""
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def read(path: Path, options: ReadOptions | None = None, required: Sequence[str] = ("patient_id",)) -> Manifest:
    """Read a list of DXA results without images."""
    return read_manifest(path, options or ReadOptions(modality=Modality.DXA), required=required, check_paths=False)


def patients(count: int, *, sites: Sequence[str | None] = (None,), studies: int = 1, labelled: bool = True) -> Manifest:
    """Patients ``P1`` ... whose classes are long-tailed: of ten, six are normal, three osteopenic, one osteoporotic."""
    rows = [
        ManifestRow(
            patient_id=f"P{number}",
            modality=Modality.CT,
            path=Path(f"{number}/{study}"),
            label=LABELS[(0, 0, 0, 0, 0, 0, 1, 1, 1, 2)[number % 10]] if labelled else None,
            site=sites[number % len(sites)],
        )
        for number in range(1, count + 1)
        for study in range(studies)
    ]
    return manifest_of(rows)
