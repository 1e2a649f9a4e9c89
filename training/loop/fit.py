"""The training loop: epochs of steps, evaluation, the best weights, and a run that a kill only delays."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from training.loop import checkpoint, journal
from training.loop.bar import TrainingBar
from training.loop.files import held
from training.loop.interruption import Interruption
from training.loop.options import LoopOptions
from training.loop.progress import Ending, ending
from training.loop.run import Run
from training.loop.task import Task


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A finished run.

    Attributes
    ----------
    model
        In evaluation mode, with the weights of the best epoch (averaged ones where the run averages), on the device of the run.
    history
        One row per epoch: ``epoch``, ``steps``, ``learning_rate`` of the last step, ``gradient_norm`` and ``train_*`` (means over the
        steps), ``val_*``, ``seconds`` since the run began.
    best_epoch
        From 1; the last one where nothing was monitored.
    weights
        The file that holds the weights of ``model``.
    seconds
        Spent on it, earlier parts of a resumed run counted in.
    """

    model: nn.Module
    history: tuple[Mapping[str, float], ...]
    best_epoch: int
    stopped_because: Ending
    weights: Path
    seconds: float


def fit(task: Task, options: LoopOptions, out: Path, *, resume: bool = True, progress: bool = True) -> Fitted:
    """Train a task.

    Parameters
    ----------
    out
        Folder of this run: ``checkpoint.pt``, ``log.csv``, ``weights-epoch-*.safetensors``.
    resume
        Go on from the checkpoint in ``out``, if there is one; a finished run is returned at once. False starts anew and removes what
        an earlier run left there.
    progress
        Print to stderr.

    Raises
    ------
    TrainingInterrupted
        SIGINT or SIGTERM came; the run is saved, and the same call goes on.
    TrainingError
        A loss that is not finite, a value to monitor that is not given, a checkpoint that is damaged or of other options, another process
        in the same folder, a full disk.
    """
    with held(out):
        if not resume:
            for old in (out / checkpoint.FILE, out / journal.FILE, *out.glob("weights-epoch-*.safetensors")):
                old.unlink(missing_ok=True)
        return _train(Run(task, options, out), progress=progress)


def _train(run: Run, *, progress: bool) -> Fitted:
    options, out = run.options, run.out
    because = ending(run.progress, options)
    with (
        closing(journal.open_journal(options.log, out, run.progress.history)) as log,
        TrainingBar(options.epochs, run.progress.epoch, shown=progress) as bar,
        deterministic(options.deterministic),
        Interruption() as interruption,
    ):
        while because is None:
            run.epoch(log, bar, interruption)
            because = ending(run.progress, options)
    weights = checkpoint.weights_path(out, run.progress.best_epoch)
    run.model.load_state_dict(checkpoint.load_weights(weights))
    return Fitted(
        model=run.model.eval(),
        history=tuple(run.progress.history),
        best_epoch=run.progress.best_epoch,
        stopped_because=because,
        weights=weights,
        seconds=run.progress.seconds,
    )


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Ask torch for deterministic algorithms inside the block; an operation that has none warns."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    if wanted:
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
