"""What networks said of films: one estimate for each vertebra and fold, their mean and spread, and the truth beside them."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from inference.cxr.rois import Floats
from training.cxr.cases import LEVELS, Film
from training.data.files import replace_file
from training.errors import TrainingError
from training.simulation.xray.devices import DEVICES

_COLUMNS = ("patient", "device", "age", "sex", "level", "bmd_g_cm2", "t_score")


@dataclass(frozen=True, kw_only=True)
class Estimates:
    """N films.

    Attributes
    ----------
    devices
        Maker of each film's densitometer; empty where it is not known. An estimate is on the scale of the films that were learnt from.
    ages
        (N,) years, NaN where they are not known.
    bmd_g_cm2, t_scores
        (N, 4) truth of L1 to L4; NaN where a level is not known.
    folds
        (F, N, 4) g/cm², the estimate of each fold's network; NaN for a level without networks.
    """

    patients: tuple[str, ...]
    devices: tuple[str, ...]
    ages: Floats
    sexes: tuple[str, ...]
    bmd_g_cm2: Floats
    t_scores: Floats
    folds: Floats

    @property
    def estimated(self) -> Floats:
        """(N, 4) g/cm²: the mean of the folds' networks, which is the prediction."""
        return np.asarray(self.folds.mean(axis=0), dtype=np.float64)

    @property
    def spread(self) -> Floats:
        """(N, 4) g/cm²: the standard deviation of the folds' networks about their mean."""
        return np.asarray(self.folds.std(axis=0), dtype=np.float64)

    @property
    def estimated_t_scores(self) -> Floats:
        """(N, 4) the T-scores of the estimates by the reference of each film's own device; NaN where the device is unknown."""
        found = np.full(self.estimated.shape, np.nan)
        for row, device in enumerate(self.devices):
            if device in DEVICES:
                found[row] = [DEVICES[device].t_score(float(value)) for value in self.estimated[row]]
        return found

    def of(self, chosen: Sequence[int]) -> "Estimates":
        """Some of the films, in the order of their indices."""
        index = np.asarray(chosen, dtype=np.intp)
        return replace(
            self,
            patients=tuple(self.patients[place] for place in index),
            devices=tuple(self.devices[place] for place in index),
            ages=self.ages[index],
            sexes=tuple(self.sexes[place] for place in index),
            bmd_g_cm2=self.bmd_g_cm2[index],
            t_scores=self.t_scores[index],
            folds=self.folds[:, index],
        )


def estimates_of(films: Sequence[Film], said: Mapping[str, Sequence[Floats]]) -> Estimates:
    """Films with what was said of them.

    Parameters
    ----------
    said
        By level: (N,) of each fold.

    Raises
    ------
    TrainingError
        Levels have different numbers of folds.
    """
    counts = {len(found) for found in said.values()}
    if len(counts) != 1:
        raise TrainingError("every level has estimates of the same number of folds, at least one level")
    folds = np.full((counts.pop(), len(films), len(LEVELS)), np.nan)
    for level, found in said.items():
        folds[:, :, LEVELS.index(level)] = np.stack(list(found))
    return Estimates(
        patients=tuple(film.patient for film in films),
        devices=tuple(film.device for film in films),
        ages=np.array([film.age for film in films]),
        sexes=tuple(film.sex for film in films),
        bmd_g_cm2=np.array([film.bmd_g_cm2 for film in films]).reshape(-1, len(LEVELS)),
        t_scores=np.array([film.t_scores for film in films]).reshape(-1, len(LEVELS)),
        folds=folds,
    )


def joined(parts: Sequence[Estimates]) -> Estimates:
    """Test parts of several repeats together: a patient who was in several is there several times, under one name."""
    first = parts[0]
    return replace(
        first,
        patients=tuple(name for part in parts for name in part.patients),
        devices=tuple(name for part in parts for name in part.devices),
        ages=np.concatenate([part.ages for part in parts]),
        sexes=tuple(name for part in parts for name in part.sexes),
        bmd_g_cm2=np.concatenate([part.bmd_g_cm2 for part in parts]),
        t_scores=np.concatenate([part.t_scores for part in parts]),
        folds=np.concatenate([part.folds for part in parts], axis=1),
    )


def write_estimates(found: Estimates, path: Path) -> None:
    """A CSV with a line for each film and level, every number in full.

    Raises
    ------
    TrainingError
        The file cannot be written.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_COLUMNS, *(f"fold_{number}_g_cm2" for number in range(1, len(found.folds) + 1))])
    for row, patient in enumerate(found.patients):
        for column, level in enumerate(LEVELS):
            numbers = (found.bmd_g_cm2[row, column], found.t_scores[row, column], *found.folds[:, row, column])
            about = (patient, found.devices[row], repr(float(found.ages[row])), found.sexes[row], level)
            writer.writerow([*about, *(repr(float(value)) for value in numbers)])
    try:
        replace_file(path, out.getvalue().encode("utf-8"))
    except OSError as error:
        raise TrainingError(f"{path}: {error.strerror or error}") from None


def read_estimates(path: Path) -> Estimates:
    """What :func:`write_estimates` wrote.

    Raises
    ------
    TrainingError
        The file cannot be read, or is another.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
        names = [name for name in (reader.fieldnames or ()) if name.startswith("fold_")]
        films, levels = rows[:: len(LEVELS)], [row["level"] for row in rows]
        numbers = np.array([[float(row[name]) for name in ("bmd_g_cm2", "t_score", *names)] for row in rows])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path}: what networks said cannot be read ({error}); remove it to train again") from None
    if levels != list(LEVELS) * len(films) or not names:
        raise TrainingError(f"{path}: its lines are not those of four levels a film; remove it to train again")
    table = numbers.reshape(len(films), len(LEVELS), 2 + len(names))
    return Estimates(
        patients=tuple(row["patient"] for row in films),
        devices=tuple(row["device"] for row in films),
        ages=np.array([float(row["age"]) for row in films]),
        sexes=tuple(row["sex"] for row in films),
        bmd_g_cm2=table[:, :, 0],
        t_scores=table[:, :, 1],
        folds=np.moveaxis(table[:, :, 2:], 2, 0),
    )
