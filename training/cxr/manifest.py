"""Films from DICOM: the frontal film of each study of a manifest, or of a person's list of landmarks, read as the node reads it."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from inference.bundles import load_bundle, load_network
from inference.cxr.film import NormalisedFilm
from inference.cxr.locate import find_landmarks
from inference.cxr.recognise import decide_film
from inference.cxr.rois import LANDMARKS, Floats
from inference.reading import find_files, read_headers
from training.cxr.cases import LEVELS, WHITE, Film, Films, on_film
from training.data.manifest import read_manifest
from training.data.origin import origin
from training.data.rows import ManifestRow, manifest_of
from training.data.values import Modality
from training.errors import TrainingError
from training.preparing import Skipped, gathered, kept
from training.transforms.cache import Arrays

VERSION = 1
"""Counted up when the reading of a film changes, so that no cached one is out of date."""
LANDMARK_COLUMNS = ("image", "landmark", "row", "column")

Labels = Mapping[Path, Floats]
"""(16, 2) row and column on the stored image, counted from 0 at the centre of the first pixel, by file."""


@dataclass(frozen=True, kw_only=True)
class ManifestOptions:
    """Where films come from.

    Attributes
    ----------
    manifest
        With the density of L1 to L4 (``docs/manifest.md``).
    landmarks
        A CSV of a person's landmarks (:func:`read_landmarks`).
    bundle
        Finds the landmarks of the films that the CSV does not name. Without either, networks that need none can be trained.
    """

    manifest: Path
    landmarks: Path | None = None
    bundle: Path | None = None


def read_landmarks(path: Path) -> dict[Path, Floats]:
    """A CSV with a line for each point: ``image`` (a DICOM file, relative to the CSV), ``landmark`` (a name of
    :data:`inference.cxr.rois.LANDMARKS`), ``row`` and ``column`` on the stored image, 0 at the centre of the first pixel.

    Returns
    -------
    dict
        By file; a landmark that is not listed is NaN.

    Raises
    ------
    TrainingError
        With the first line that cannot be used.
    """
    found: dict[Path, Floats] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in LANDMARK_COLUMNS if name not in (reader.fieldnames or ())]
            lines = [] if missing else list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{path}: cannot be read as a CSV in UTF-8: {error}") from None
    if missing:
        raise TrainingError(f"{path}: the column {missing[0]} is missing; there must be {', '.join(LANDMARK_COLUMNS)}")
    for number, line in enumerate(lines, start=2):
        image, index, place = _point(path, number, line)
        places = found.setdefault(image, np.full((len(LANDMARKS), 2), np.nan))
        if np.isfinite(places[index]).any():
            raise TrainingError(f"{path}, line {number}: {LANDMARKS[index]} of {line['image']} is there twice")
        places[index] = place
    if not found:
        raise TrainingError(f"{path}: there is no landmark in it")
    return found


def _point(path: Path, number: int, line: Mapping[str, str | None]) -> tuple[Path, int, tuple[float, float]]:
    name = (line["landmark"] or "").strip()
    if name not in LANDMARKS:
        raise TrainingError(f"{path}, line {number}: {name!r} is no landmark; there are {', '.join(LANDMARKS)}")
    try:
        place = float(line["row"] or ""), float(line["column"] or "")
    except ValueError:
        raise TrainingError(f"{path}, line {number}: row and column are numbers, not {line['row']!r} and {line['column']!r}") from None
    if not np.isfinite(place).all():
        raise TrainingError(f"{path}, line {number}: row and column are finite")
    return (path.parent / (line["image"] or "")).resolve(), LANDMARKS.index(name), place


def prepare_manifest(options: ManifestOptions, cache: Path, *, jobs: int = 1, progress: bool = True) -> Films:
    """The chest films of a manifest whose density is known; a study that gives none is left out with its reason.

    Raises
    ------
    TrainingError
        The manifest, the CSV or the bundle cannot be used, or no row is a chest film with a density.
    """
    rows = [row for row in read_manifest(options.manifest).used if row.modality is Modality.CXR]
    if not rows:
        raise TrainingError(f"{options.manifest} lists no chest film (CXR)")
    labels = read_landmarks(options.landmarks) if options.landmarks is not None else {}
    found = gathered(partial(_of_row, labels=labels, cache=cache), rows, "reading chest films", jobs, progress=progress)
    cases = tuple(one for one in found if isinstance(one, Film))
    if options.bundle is not None:
        cases = _located(cases, options.bundle)
    return Films(
        cases=cases,
        skipped=tuple(one for one in found if isinstance(one, Skipped)),
        trained_on=origin(manifest_of(rows)),
        description=f"chest films of the manifest {options.manifest.name}",
    )


def prepare_labelled(path: Path, cache: Path, *, jobs: int = 1, progress: bool = True) -> Films:
    """The films of a CSV of landmarks, of which all sixteen must be there; density is not needed.

    Raises
    ------
    TrainingError
        The CSV cannot be used.
    """
    labels = read_landmarks(path)
    found = gathered(partial(_of_file, labels=labels, cache=cache), list(labels), "reading chest films", jobs, progress=progress)
    rows = [ManifestRow(patient_id=one.patient, modality=Modality.CXR, path=file) for file, one in zip(labels, found, strict=True)]
    return Films(
        cases=tuple(one for one in found if isinstance(one, Film)),
        skipped=tuple(one for one in found if isinstance(one, Skipped)),
        trained_on=origin(manifest_of(rows)),
        description=f"chest films with the landmarks of {path.name}",
    )


def _of_row(row: ManifestRow, labels: Labels, cache: Path) -> Film | Skipped:
    bmd = np.array([row.bmd_g_cm2.get(level, np.nan) for level in LEVELS])
    if not np.isfinite(bmd).any():
        return Skipped(patient=row.patient_id, because="the manifest gives no density of L1 to L4")
    if row.path is None:
        return Skipped(patient=row.patient_id, because="the manifest gives no path to images")
    read = _read(find_files([row.path]), labels, cache)
    if isinstance(read, str):
        return Skipped(patient=row.patient_id, because=read)
    return Film(
        patient=row.patient_id,
        image=read.image,
        landmarks=read.landmarks,
        spacing_mm=read.spacing_mm,
        bmd_g_cm2=bmd,
        t_scores=np.array([row.t_scores.get(level, np.nan) for level in LEVELS]),
        device=row.device or "",
        age=row.age if row.age is not None else float("nan"),
        sex=row.sex.value if row.sex is not None else "",
    )


def _of_file(file: Path, labels: Labels, cache: Path) -> Film | Skipped:
    unknown = np.full(len(LEVELS), np.nan)
    headers, _ = read_headers([file])
    patient = headers[0].patient_id if headers and headers[0].patient_id else file.stem
    read = _read([file], labels, cache)
    if isinstance(read, str):
        return Skipped(patient=patient, because=read)
    missing = [name for name, place in zip(LANDMARKS, read.landmarks, strict=True) if not np.isfinite(place).all()]
    if missing:
        return Skipped(patient=patient, because=f"{file.name}: not marked: {', '.join(missing)}")
    return Film(
        patient=patient,
        image=read.image,
        landmarks=read.landmarks,
        spacing_mm=read.spacing_mm,
        bmd_g_cm2=unknown,
        t_scores=unknown,
        device="",
    )


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A film as the node reads it, with the landmarks that were given for it."""

    image: np.ndarray[tuple[int, ...], np.dtype[np.uint16]]
    landmarks: Floats
    spacing_mm: float


def _read(files: Sequence[Path], labels: Labels, cache: Path) -> _Read | str:
    """The first frontal film among a study's files, or why there is none."""
    reasons = []
    for file in files:
        found = kept(cache, [file], {"chest film": VERSION}, partial(_film_arrays, file))
        if isinstance(found, str):
            reasons.append(found)
            continue
        given = labels.get(file.resolve())
        places = np.full((len(LANDMARKS), 2), np.nan) if given is None else on_film(given, found["to_stored"])
        return _Read(image=found["image"], landmarks=places, spacing_mm=float(found["spacing_mm"]))
    return "; ".join(dict.fromkeys(reasons)) or "there is no file"


def _film_arrays(file: Path) -> Arrays:
    """A film's image, its way back to stored pixels, and the size of its pixels.

    Raises
    ------
    TrainingError
        The node would not use it.
    """
    headers, skipped = read_headers([file])
    if not headers:
        raise TrainingError(f"{file.name}: {skipped[0].reason.text if skipped else 'no DICOM file'}")
    decision = decide_film(headers[0])
    if decision.film is None:
        raise TrainingError(f"{file.name}: {decision.reason.text if decision.reason is not None else decision.because}")
    film = decision.film
    return {
        "image": np.rint(film.image * WHITE).astype(np.uint16),
        "to_stored": film.to_stored,
        "spacing_mm": np.array(_even_spacing(film)),
    }


def _even_spacing(film: NormalisedFilm) -> float:
    """The side of a square pixel; NaN where it is not known, or pixels are not square."""
    if film.spacing_mm is None or abs(film.spacing_mm[0] - film.spacing_mm[1]) > 1e-3 * film.spacing_mm[0]:
        return float("nan")
    return float(film.spacing_mm[0])


def _located(films: Sequence[Film], folder: Path) -> tuple[Film, ...]:
    """Films whose unknown landmarks a network has found."""
    bundle = load_bundle(folder)
    if bundle.network.architecture != "landmark_graph":
        raise TrainingError(f"{folder} holds no landmark network")
    network, size = load_network(bundle), bundle.metadata.osteon.input.patch_size[0]
    return tuple(
        film if np.isfinite(film.landmarks).all() else replace(film, landmarks=find_landmarks(film.grey, network, size)) for film in films
    )
