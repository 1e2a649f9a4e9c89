"""One run of the second reader: paint what is missing, train, export, evaluate."""

from dataclasses import dataclass, replace
from pathlib import Path

from rich.progress import track

from inference.bundles import Bundle
from training.loop import Fitted, LoopOptions, fit
from training.provenance import note_commit
from training.vertebrae.anatomy import Pool
from training.vertebrae.options import VertebraOptions, check_structures
from training.vertebrae.task import VertebraTask

HELD_OUT_SEED_OFFSET = 1_000_003
"""Patients to look at come from another seed than those to learn from."""


def full_size(epochs: int = 42, patients: int = 240, seed: int = 20) -> VertebraOptions:
    """The shipped reader: 1.1 million parameters."""
    loop = LoopOptions(
        epochs=epochs,
        learning_rate=2e-3,
        optimiser="adamw",
        weight_decay=1e-4,
        schedule="cosine",
        warmup_epochs=1,
        clip_norm=5.0,
        ema_decay=0.995,
        amp=True,
        monitor="dice",
        maximise=True,
        patience=None,
        seed=20,
    )
    return VertebraOptions(loop=loop, pool=patients, seed=seed)


def refined(start: Bundle, epochs: int, patients: int, seed: int) -> VertebraOptions:
    """A shorter run at a lower rate that begins with a bundle's weights: for when the anatomy has become better."""
    fresh = full_size(epochs, patients, seed)
    loop = replace(fresh.loop, learning_rate=8e-4, warmup_epochs=0.2)
    return replace(fresh, loop=loop, start_from=(start.folder, start.sha256))


def quick() -> VertebraOptions:
    """A minute on two cores: shows that everything runs, teaches little."""
    small = full_size(epochs=2)
    return replace(small, channels=(8, 16, 32), patch=(48, 48, 48), pool=4, validation=2, steps_per_epoch=6)


@dataclass(frozen=True, kw_only=True)
class VertebraRun:
    """Where a run lies: ``out`` holds checkpoint, log and the painted patients."""

    out: Path
    options: VertebraOptions

    @property
    def pool(self) -> Pool:
        """Patients to learn from."""
        return Pool(folder=self.out / "anatomy", seed=self.options.seed, count=self.options.pool)

    @property
    def held_out(self) -> Pool:
        """Patients to look at."""
        return Pool(folder=self.out / "anatomy", seed=self.options.seed + HELD_OUT_SEED_OFFSET, count=self.options.validation)

    @property
    def task(self) -> VertebraTask:
        """What the loop trains."""
        return VertebraTask(self.options, self.pool, self.held_out)

    def paint(self, *, progress: bool = True) -> None:
        """Paint the patients that are missing."""
        for pool, what in ((self.pool, "painting patients"), (self.held_out, "painting patients kept aside")):
            for index in track(pool.missing(), description=what, disable=not progress):
                pool.paint(index)

    def train(self, *, resume: bool = True, progress: bool = True) -> Fitted:
        """Train to the end, going on from the last checkpoint where there is one."""
        check_structures()
        note_commit(self.out)
        self.paint(progress=progress)
        return fit(self.task, self.options.loop, self.out, resume=resume, progress=progress)
