"""Does each step of TP-SwAV help? Five networks on a simulated cohort of several densitometers, one of which no network has seen.

usage: python -m benchmarks.tpswav [--patients 80] [--seeds 3] [--epochs 10] [--pretrain-epochs 5] [--width 0.125] [--out DIR]

The steps: ResNet-34 from scratch, SwAV (random crops), TP-SwAV (texture views), + unified loss, + device experts. The MEDIX (site C) and
the external site D are in nobody's training part. Patients are painted, encoders and networks trained once and kept in DIR: the same
command goes on after an interruption.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.metrics.bootstrap import BootstrapOptions, Interval
from training.metrics.table import ResultTable, TableColumn, TableRow
from training.tpswav.crops import SMALL_BOX
from training.tpswav.evaluate import at_site, flipped_levels_caught, gates_by_device, joined, on_own_scale, vertebra_scores
from training.tpswav.options import ExpertOptions, quick, quick_pretraining
from training.tpswav.pretrain_task import PretrainOptions
from training.tpswav.simulated import SITES, SimulatedOptions
from training.tpswav.tables_paper import EXPERTS, UNIFIED, Method
from training.tpswav.tables_run import Campaign, Runs
from training.tpswav.task import Predictions

HELD_OUT = "C"
STEPS: Mapping[str, Method] = {
    "ResNet-34 from scratch": Method(backbone="resnet34"),
    "SwAV (random crops)": Method(backbone="resnet34", pretraining="swav"),
    "TP-SwAV (texture views)": Method(backbone="resnet34", pretraining="tpswav"),
    "TP-SwAV + unified loss": Method(backbone="resnet34", pretraining="tpswav", tasks=UNIFIED),
    "TP-SwAV + unified loss + experts": Method(backbone="resnet34", pretraining="tpswav", tasks=UNIFIED, experts=EXPERTS),
}
COLUMNS = (
    TableColumn(key="f1", heading="F1", percent=True, digits=1),
    TableColumn(key="auc", heading="AUC", percent=True, digits=1),
    TableColumn(key="bmd_mae", heading="BMD error, g/cm2", digits=3, better="lower"),
    TableColumn(key="position", heading="position", percent=True, digits=0),
    TableColumn(key="unseen_f1", heading="F1, unseen make", percent=True, digits=1),
    TableColumn(key="unseen_bmd", heading="BMD error, unseen make", digits=3, better="lower"),
    TableColumn(key="unseen_converted", heading="the same, scale converted", digits=3, better="lower"),
    TableColumn(key="flips", heading="levels off by one noticed", percent=True, digits=0),
    TableColumn(key="false_alarms", heading="false alarms", percent=True, digits=0, better="lower"),
)


def campaign(given: argparse.Namespace) -> Campaign:
    """What all steps share."""
    base, before = quick(ExpertOptions()), quick_pretraining(PretrainOptions())
    return Campaign(
        source=SimulatedOptions(patients=given.patients, even=True, held_out=(HELD_OUT,)),
        base=replace(base, width=given.width, crop=SMALL_BOX, loop=replace(base.loop, epochs=given.epochs, device="cpu")),
        pretraining=replace(before, width=given.width, loop=replace(before.loop, epochs=given.pretrain_epochs, device="cpu")),
        weights={},
        seeds=tuple(range(given.seeds)),
        out=given.out,
        jobs=1,
    )


def figures(repeats: Sequence[Predictions], method: Method, options: BootstrapOptions) -> dict[str, Interval | float]:
    """A step's figures over all repeats; what its loss did not teach is left out."""
    found = joined(repeats)
    known = found.only(np.array([device == scale and site != "D" for device, scale, site in _named(found)], dtype=bool))
    unseen = at_site(found, HELD_OUT)
    scores, foreign = vertebra_scores(known, options), vertebra_scores(unseen, options)
    told: dict[str, Interval | float] = {"f1": scores["f1"], "auc": scores["auc"], "unseen_f1": foreign["f1"]}
    if method.tasks.bmd > 0:
        told |= {"bmd_mae": scores["bmd_mae"], "unseen_bmd": foreign["bmd_mae"]}
        told["unseen_converted"] = vertebra_scores(on_own_scale(unseen), options)["bmd_mae"]
    if method.tasks.position > 0:
        told |= {"position": vertebra_scores(found, options)["position"]}
        told |= {"flips": float(np.mean([flipped_levels_caught(one) for one in repeats]))}
        told |= {"false_alarms": float(np.mean([flipped_levels_caught(one, 0) for one in repeats]))}
    return told


def _named(found: Predictions) -> list[tuple[str, str, str]]:
    return list(zip(found.devices, found.scale, found.sites, strict=True))


def run(chosen: Campaign, options: BootstrapOptions) -> str:
    """Markdown: the table of steps, and the gate of the last."""
    runs = Runs(chosen)
    rows, gates = [], ""
    for name, method in STEPS.items():
        repeats = runs.results(method)
        rows.append(TableRow(name=name, ours=figures(repeats, method, options)))
        if method.experts > 1:
            mean = gates_by_device(repeats[0])
            gates = "; ".join(f"{make}: {', '.join(f'{weight:.2f}' for weight in weights)}" for make, weights in mean.items())
    parts = [runs.parts(seed) for seed in chosen.seeds]
    counts = f"{len(parts[0].train)} vertebrae to train ({sum(one.labelled for one in parts[0].train)} with a density), "
    counts += f"{len(parts[0].validation)} to choose by, {len(parts[0].judged)} to judge; {len(parts)} repeats, pooled"
    base, before = chosen.base, chosen.pretraining
    size = (
        f"crops of 32 x 32 x 32 voxels of 2 mm, width {base.width:g}, {before.loop.epochs} epochs of pretraining, then {base.loop.epochs}"
    )
    table = ResultTable(
        title=f"Steps, {SITES[HELD_OUT].device} (site {HELD_OUT}) unseen",
        measured_on=f"{parts[0].description}; {counts}; {size}",
        source="none of these columns stands in the paper",
        columns=COLUMNS,
        rows=tuple(rows),
    )
    return f"{table.markdown()}\nWeights of the experts by densitometer, first repeat: {gates}.\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print whether each step helps."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tpswav", description="Does each step of TP-SwAV help?")
    parser.add_argument("--patients", type=int, default=80)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--pretrain-epochs", type=int, default=5)
    parser.add_argument("--width", type=float, default=0.125)
    parser.add_argument("--out", type=Path, default=Path("tpswav-steps"))
    print(run(campaign(parser.parse_args(arguments)), BootstrapOptions(resamples=1000)), end="")


if __name__ == "__main__":
    main()
