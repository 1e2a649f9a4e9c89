"""Training what a table's rows need, each distinct run once; what was found is kept as CSV and not trained again."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training.campaign import check_seeds
from training.cxr.cases import Films
from training.cxr.estimates import Estimates, read_estimates, write_estimates
from training.cxr.fingerprints import fingerprint
from training.cxr.folds import CrossValidation
from training.cxr.options import DensityOptions
from training.kept_runs import digest_of, read_run, readable, write_run

ESTIMATES = "estimates.csv"


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What all rows of a table share.

    Attributes
    ----------
    base
        Size and schedule; a row says variant and backbone.
    seeds
        Repeats. Each deals the patients out anew and begins with other weights.
    out
        Where what was found is kept.
    """

    films: Films
    base: DensityOptions
    seeds: tuple[int, ...]
    out: Path

    def __post_init__(self) -> None:
        check_seeds(self.seeds)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the networks of one run said of the test part."""

    test: Estimates
    seconds: float
    networks: int


class Runs:
    """Trains runs and keeps what they found. Rows that ask for the same run share it."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self._films = fingerprint(campaign.films.cases)

    def results(self, variant: str, backbone: str, said: Callable[[], None] | None = None) -> tuple[Result, ...]:
        """One result per seed.

        Parameters
        ----------
        said
            Called after each network.
        """
        return tuple(self.result(variant, backbone, seed, said) for seed in self.campaign.seeds)

    def result(self, variant: str, backbone: str, seed: int, said: Callable[[], None] | None = None) -> Result:
        """The result of one run: trained, or read where it was trained before.

        Raises
        ------
        TrainingError
            It cannot be trained, or nobody fell to the test part.
        """
        options = replace(self.campaign.base, variant=variant, backbone=backbone, seed=seed)
        told = self._told(options)
        folder = self.campaign.out / "runs" / f"{variant}-{backbone}-{digest_of(told)}"
        networks = options.folds * len(options.levels)
        if not (folder / ESTIMATES).exists():
            self._train(options, folder, told, said)
        elif said is not None:
            for _ in range(networks):
                said()
        with readable(folder):
            return Result(test=read_estimates(folder / ESTIMATES), seconds=float(read_run(folder)["seconds"]), networks=networks)

    def _told(self, options: DensityOptions) -> dict[str, Any]:
        shared = {"levels": list(options.levels), "folds": options.folds, "test": options.test, "films": self._films}
        return {"task": options.plain(), "loop": options.loop.identity() | {"epochs": options.loop.epochs}, **shared}

    def _train(self, options: DensityOptions, folder: Path, told: Mapping[str, Any], said: Callable[[], None] | None) -> None:
        """Train one run and keep its estimates; checkpoints and weights are removed after that."""
        work = folder / "work"
        run = CrossValidation(self.campaign.films, options, work, progress=False)
        members = run.train(said=None if said is None else lambda _level, _fold: said())
        found = run.estimates(members)
        seconds = sum(member.fitted.seconds for member in members)
        write_run({**told, "seconds": seconds}, folder)
        write_estimates(found, folder / ESTIMATES)  # last: a run is done when this file is there
        shutil.rmtree(work)
