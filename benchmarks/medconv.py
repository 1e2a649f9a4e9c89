"""MedConv on simulated long-tailed patients: what the loss and tau2 do to the rare class, and what a convolution costs beside a ViT.

usage: python -m benchmarks.medconv [--out DIR] [--cache DIR] [--pool N] [--train N N N] [--seeds N] [--epochs N] [--width F] [--repeats N]

Patients are painted once, with T-scores spread over all classes (cohort ``spread``), and dealt out anew for each seed: training and
validation parts are long-tailed, the rest tests, so that the rare class has many test patients. Prints Markdown; what is trained is kept
in DIR. The figures of cost are those of the full networks.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from inference.bundles import TrainedOn
from training.errors import TrainingError
from training.medconv.cost import CostOptions, count_parameters, measure
from training.medconv.crops import SMALL_CROP, Case, Prepared
from training.medconv.data import Parts
from training.medconv.networks import build
from training.medconv.options import MedconvOptions, paper_loop
from training.medconv.prepare import prepare_simulated
from training.medconv.rows import Method
from training.medconv.simulated import COHORTS_OF_MEDCONV, SimulatedOptions
from training.medconv.tables_report import chosen_tau2, gathered, pooled
from training.medconv.tables_run import Campaign, Result, Runs
from training.medconv.task import CLASSES
from training.metrics.bootstrap import Indices, Interval, bootstrap
from training.metrics.classification import classification_metrics

POOL_SEED = 41
RARE = "sensitivity_osteoporosis"
COLUMNS = {f"sensitivity_{name}": name for name in CLASSES} | {"sensitivity_macro": "macro", "accuracy": "accuracy", "auc": "AUC"}
CE, BALCE = Method(network="resnet50"), Method(network="resnet50", balce=True)


@dataclass(frozen=True, kw_only=True)
class Dealt:
    """How many patients of each class learn and choose; all others test."""

    train: tuple[int, int, int]
    validation: tuple[int, int, int]


def deal(cases: Sequence[Case], dealt: Dealt, seed: int) -> Parts:
    """A long-tailed training and validation part, and the rest.

    Raises
    ------
    TrainingError
        Fewer than ten patients of a class are left to test.
    """
    rng = np.random.default_rng((seed, 5))
    parts: dict[str, list[Case]] = {"train": [], "validation": [], "test": []}
    for label, (learn, choose) in enumerate(zip(dealt.train, dealt.validation, strict=True)):
        members = [case for case in cases if case.label == label]
        order = [members[place] for place in rng.permutation(len(members))]
        if len(order) < learn + choose + 10:
            raise TrainingError(f"{len(order)} patients of the class {CLASSES[label]} are too few; paint more (--pool)")
        parts["train"] += order[:learn]
        parts["validation"] += order[learn : learn + choose]
        parts["test"] += order[learn + choose :]
    return Parts(
        train=tuple(parts["train"]),
        validation=tuple(parts["validation"]),
        test=tuple(parts["test"]),
        trained_on=TrainedOn.SIMULATED_PATIENTS,
        description="simulated patients",
        prepared=Prepared(cases=tuple(cases), skipped=()),
    )


def rise(before: Sequence[Result], after: Sequence[Result], metric: str) -> Interval:
    """By how much a metric rises from one method to another on the same test patients, with its interval over patients."""
    truth, said, _, patients = gathered(before)
    first, second = said.argmax(axis=1), gathered(after)[1].argmax(axis=1)

    def statistic(indices: Indices) -> dict[str, float]:
        values = [classification_metrics(truth[indices], one[indices], CLASSES)[metric] for one in (first, second)]
        return {"rise": values[1] - values[0]}

    return bootstrap(statistic, patients)["rise"]


def shown(value: Interval) -> str:
    """A percentage with its interval."""
    return f"{100 * value.value:.1f} ({100 * value.low:.1f} to {100 * value.high:.1f})"


def long_tail(runs: Mapping[str, tuple[Result, ...]]) -> list[str]:
    """The table of losses and adjustments."""
    lines = [f"| method | {' | '.join(COLUMNS.values())} |", f"| --- | {' | '.join('---:' for _ in COLUMNS)} |"]
    for name, results in runs.items():
        found = pooled(results)
        lines.append(f"| {name} | {' | '.join(shown(found[key]) for key in COLUMNS)} |")
    lines += ["", "Rise over plain cross-entropy, the same test patients (percentage points):", ""]
    lines += ["| method | osteoporosis | macro |", "| --- | ---: | ---: |"]
    plain, *others = runs
    for name in others:
        cells = [shown(rise(runs[plain], runs[name], metric)) for metric in (RARE, "sensitivity_macro")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def side_by_side(runs: Mapping[str, tuple[Result, ...]], width: float, repeats: int) -> list[str]:
    """The table of networks: what they say of the test part, and what they cost."""
    full = CostOptions(repeats=repeats)
    head = (
        "network",
        "macro sensitivity",
        "accuracy",
        "AUC",
        "training, s",
        "parameters trained here, million",
        "parameters, million",
        "GFLOP",
        "latency, ms",
        "processor time, ms",
        "memory, MiB",
    )
    lines = [f"| {' | '.join(head)} |", f"| --- | {' | '.join('---:' for _ in head[1:])} |"]
    for name, results in runs.items():
        found, cost = pooled(results), measure(name, full)
        here = count_parameters(build(name, width=width, size=SMALL_CROP.shape))
        cells = [shown(found[key]) for key in ("sensitivity_macro", "accuracy", "auc")]
        cells += [f"{np.mean([result.seconds for result in results]):.0f}", f"{here / 1e6:.2f}", f"{cost.parameters / 1e6:.1f}"]
        cells += [f"{cost.flops / 1e9:.1f}", f"{cost.latency_ms:.0f}", f"{cost.cpu_ms:.0f}", f"{cost.memory_mib:.0f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    z, y, x = full.size
    return [
        *lines,
        "",
        f"The last five columns are those of the full networks (width 1, one crop of {z} x {y} x {x} voxels, float32, medians of {repeats} "
        "passes on one CPU thread); the others those of the small ones trained here.",
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.medconv", description="MedConv on simulated long-tailed patients.")
    parser.add_argument("--out", type=Path, default=Path("medconv-benchmark"))
    parser.add_argument("--cache", type=Path, help="folder of painted patients (OUT/cases)")
    parser.add_argument("--pool", type=int, default=720, help="patients to paint")
    parser.add_argument("--train", type=int, nargs=3, default=[112, 56, 14], help="patients of each class to learn from")
    parser.add_argument("--validation", type=int, nargs=3, default=[24, 12, 6])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--width", type=float, default=0.125)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5, help="passes of the measurement of latency")
    return parser.parse_args()


def main() -> None:
    """Print the benchmark."""
    given = _arguments()
    source = SimulatedOptions(patients=given.pool, seed=POOL_SEED, cohort=COHORTS_OF_MEDCONV["spread"])
    prepared = prepare_simulated(source, SMALL_CROP, given.cache or given.out / "cases", jobs=given.jobs)
    loop = replace(paper_loop(given.epochs), device="cpu", warmup_epochs=min(1, given.epochs))
    base = MedconvOptions(width=given.width, crop=SMALL_CROP, loop=loop)
    seeds = tuple(range(given.seeds))
    runs = Runs(Campaign(source=source, base=base, weights={}, seeds=seeds, out=given.out, jobs=given.jobs))
    dealt = Dealt(train=tuple(given.train), validation=tuple(given.validation))
    parts = {seed: deal(prepared.cases, dealt, seed) for seed in seeds}

    def trained(method: Method) -> tuple[Result, ...]:
        return tuple(runs.result(method, seed, parts[seed]) for seed in seeds)

    plain, balanced = trained(CE), trained(BALCE)
    tuned, tau2 = chosen_tau2(balanced)
    plain_tuned, plain_tau2 = chosen_tau2(plain)
    test = parts[0].test
    counts = ", ".join(f"{sum(case.label == label for case in test)} {name}" for label, name in enumerate(CLASSES))
    shares = " : ".join(map(str, given.train)), " : ".join(map(str, given.validation))
    print(
        f"{given.pool} simulated patients of the cohort spread (seed {POOL_SEED}), {len(prepared.cases)} cases ({len(prepared.skipped)} "
        f"have an altered L1). Training part {shares[0]} (normal, osteopenia, osteoporosis), validation part {shares[1]}, test part "
        f"{counts}. {len(seeds)} repeats with other parts and first weights. Crops of 32 x 32 x 32 voxels of 2 mm, width "
        f"{given.width:g}, {given.epochs} epochs, from scratch, on the CPU. In percent, with 95 % bootstrap intervals over patients; "
        "counts of the repeats' test parts pooled, AUC averaged.\n"
    )
    methods = {
        "plain CE": plain,
        f"plain CE + tau2 chosen on validation ({', '.join(f'{one:g}' for one in plain_tau2)})": plain_tuned,
        "Bal-CE (tau1 = 1), tau2 = 0": balanced,
        "Bal-CE + tau2 = 0.5, the paper's": tuple(result.adjusted(0.5) for result in balanced),
        f"Bal-CE + tau2 chosen on validation ({', '.join(f'{one:g}' for one in tau2)})": tuned,
    }
    print("## The rare class (ResNet-50)\n", *long_tail(methods), sep="\n")
    networks = {"resnet50": tuple(result.adjusted(0.5) for result in balanced)}
    for name in ("vit", "jointvit"):
        networks[name] = tuple(result.adjusted(0.5) for result in trained(Method(network=name, balce=True)))
    print("\n## MedConv, ViT, JointViT (all Bal-CE, tau2 = 0.5)\n", *side_by_side(networks, given.width, given.repeats), sep="\n")


if __name__ == "__main__":
    try:
        main()
    except TrainingError as problem:
        sys.exit(str(problem))
