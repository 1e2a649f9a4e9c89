"""Training what the rows of a table need, each distinct pretraining and fine-tuning once; what was found is kept and not trained again."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.data.files import replace_file
from training.errors import TrainingError
from training.loop import fit
from training.loop.checkpoint import save_weights
from training.tpswav.data import DataOptions, Parts, load_parts
from training.tpswav.options import ExpertOptions
from training.tpswav.pretrain_task import PretrainOptions, pretrain_task
from training.tpswav.run import probe_of, with_known_devices
from training.tpswav.simulated import SimulatedOptions
from training.tpswav.tables_paper import Method
from training.tpswav.task import ExpertsTask, Predictions, predict
from training.tpswav.vertebrae import fingerprint

PREDICTIONS, ENCODER = "predictions.csv", "encoder.safetensors"
OWN_PRETRAININGS = ("tpswav", "swav", "mae")
_COLUMNS = ("patient", "site", "device", "level", "scale", "label", "bmd", "position", "probability", "predicted_bmd", "predicted_position")


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What all rows of a table share.

    Attributes
    ----------
    source
        A simulated cohort, or a manifest.
    hold_out
        Sites of a manifest that are external.
    base, pretraining
        Size and schedule of fine-tuning and of pretraining; a row's method settles the rest.
    weights
        Encoders of other people's pretraining by its name, as :func:`training.tpswav.networks.load_encoder` reads them.
    seeds
        Repeats. Each deals the patients out anew and begins with other weights.
    out
        Where prepared vertebrae, splits, encoders and what was found are kept.
    """

    source: SimulatedOptions | Path
    base: ExpertOptions
    pretraining: PretrainOptions
    out: Path
    hold_out: tuple[str, ...] = ()
    weights: Mapping[str, Path]
    seeds: tuple[int, ...] = (0,)
    jobs: int = 2
    progress: bool = True

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise TrainingError("a table needs at least one seed, and no seed twice")


class Runs:
    """Trains what rows ask for. Rows that ask for the same share it.

    Parameters
    ----------
    campaign
        What they share.
    """

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self._parts: dict[int, Parts] = {}

    def parts(self, seed: int) -> Parts:
        """The vertebrae as one seed deals the patients out.

        Raises
        ------
        TrainingError
            There are none.
        """
        campaign = self.campaign
        if seed not in self._parts:
            options = DataOptions(
                source=campaign.source, seed=seed, hold_out=campaign.hold_out, cache=campaign.out / "cases", jobs=campaign.jobs
            )
            key = digest({"crop": campaign.base.crop.plain(), "source": str(campaign.source), "hold_out": list(campaign.hold_out)})
            folder = campaign.out / "splits" / f"{key}-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            self._parts[seed] = load_parts(options, campaign.base.crop, folder, progress=campaign.progress)
        return self._parts[seed]

    def missing(self, method: Method) -> str:
        """Why a row cannot be run; empty where it can."""
        if not method.backbone:
            return f"not run: {method.pretraining} is other people's system, and its network is none of ours"
        if method.pretraining in ("", *OWN_PRETRAININGS) or method.pretraining in self.campaign.weights:
            return ""
        name = method.pretraining
        return f"not run: {name} is other people's system; give the encoder that it trained with --weights {name}=FILE (safetensors)"

    def results(self, method: Method, said: Callable[[], None] = lambda: None) -> tuple[Predictions, ...]:
        """What a method's network of each seed says of the test part and of the external sites.

        Raises
        ------
        TrainingError
            The vertebrae cannot be had, or a run cannot be trained.
        """
        found = []
        for seed in self.campaign.seeds:
            found.append(self._result(method, seed))
            said()
        return tuple(found)

    def _result(self, method: Method, seed: int) -> Predictions:
        campaign, parts = self.campaign, self.parts(seed)
        base = campaign.base
        options = replace(
            base, backbone=method.backbone, tasks=method.tasks, experts=method.experts, seed=seed, loop=replace(base.loop, seed=seed)
        )
        options = with_known_devices(options, parts.train)
        about = {
            "options": options.plain(),
            "loop": asdict(options.loop),
            "pretraining": self._about(method, seed),
            "data": _data_key(parts),
        }
        folder = campaign.out / "runs" / digest(about)
        if not (folder / PREDICTIONS).exists():
            options = replace(options, weights=self.encoder(method, seed))
            task = ExpertsTask(options, parts.train, parts.validation)
            fitted = fit(task, options.loop, folder, progress=False)
            write_predictions(predict(fitted.model, parts.judged, options), folder / PREDICTIONS)
            _drop_weights(folder)
        return read_predictions(folder / PREDICTIONS)

    def _about(self, method: Method, seed: int) -> dict[str, Any]:
        """What settles the encoder that a row begins with."""
        if not method.pretraining:
            return {}
        if method.pretraining not in OWN_PRETRAININGS:
            file = self.campaign.weights[method.pretraining]
            return {"file": hashlib.sha256(file.read_bytes()).hexdigest()}
        options = self._pretraining(method, seed)
        return {**options.plain(), "loop": asdict(options.loop)}

    def _pretraining(self, method: Method, seed: int) -> PretrainOptions:
        base = self.campaign.pretraining
        return replace(
            base,
            method=method.pretraining,  # type: ignore[arg-type]
            backbone=method.backbone,
            seed=seed,
            loop=replace(base.loop, seed=seed),
        )

    def encoder(self, method: Method, seed: int) -> Path | None:
        """The file of a row's pretrained encoder, trained now where it is ours and not there yet.

        Raises
        ------
        TrainingError
            It cannot be trained.
        """
        if not method.pretraining:
            return None
        if method.pretraining not in OWN_PRETRAININGS:
            return self.campaign.weights[method.pretraining]
        options, parts = self._pretraining(method, seed), self.parts(seed)
        key = digest({**options.plain(), "loop": asdict(options.loop), "data": _data_key(parts)})
        folder = self.campaign.out / "encoders" / key
        if not (folder / ENCODER).exists():
            task = pretrain_task(options, parts.train, probe_of(parts), self.campaign.out / "maps")
            fitted = fit(task, options.loop, folder, progress=False)
            save_weights(folder / ENCODER, fitted.model)
            _drop_weights(folder, kept=ENCODER)
        return folder / ENCODER


def _data_key(parts: Parts) -> str:
    return digest({"train": fingerprint(parts.train), "validation": fingerprint(parts.validation), "judged": fingerprint(parts.judged)})


def digest(about: Mapping[str, Any]) -> str:
    """Stands for plain values."""
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _drop_weights(folder: Path, kept: str = "") -> None:
    """Remove what a finished run needs no more: tables need what it said."""
    for file in (*folder.glob("*.pt"), *folder.glob("weights-epoch-*.safetensors")):
        if file.name != kept:
            file.unlink(missing_ok=True)


def write_predictions(found: Predictions, path: Path) -> None:
    """One line a vertebra, every number in full.

    Raises
    ------
    TrainingError
        The folder cannot be written to.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_COLUMNS, *(f"gate_{number}" for number in range(found.gates.shape[1]))])
    columns = (
        *(found.patients, found.sites, found.devices, found.levels, found.scale),
        *(found.label, found.bmd, found.position, found.probability, found.predicted_bmd, found.predicted_position),
    )
    for *cells, gates in zip(*columns, found.gates, strict=True):
        writer.writerow([*(repr(cell.item()) if isinstance(cell, np.generic) else cell for cell in cells), *map(repr, gates.tolist())])
    replace_file(path, out.getvalue().encode())


def read_predictions(path: Path) -> Predictions:
    """What :func:`write_predictions` wrote.

    Raises
    ------
    TrainingError
        The file is damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        gates = [name for name in rows[0] if name.startswith("gate_")]
        numbers = {name: [float(row[name]) for row in rows] for name in (*_COLUMNS[5:], *gates)}
        texts = {name: tuple(row[name] for row in rows) for name in _COLUMNS[:5]}
    except (OSError, KeyError, ValueError, TypeError, IndexError) as error:
        raise TrainingError(f"{path} cannot be read ({error}); remove the folder {path.parent}, and the run is made again") from error
    whole = {name: np.array(numbers[name]).astype(np.int64) for name in ("label", "position", "predicted_position")}
    return Predictions(
        patients=texts["patient"],
        sites=texts["site"],
        devices=texts["device"],
        levels=texts["level"],
        scale=texts["scale"],
        **whole,
        bmd=np.array(numbers["bmd"]),
        probability=np.array(numbers["probability"]),
        predicted_bmd=np.array(numbers["predicted_bmd"]),
        gates=np.array([numbers[name] for name in gates]).T,
    )
