"""The training loop: one for every network of the project.

>>> fitted = fit(task, LoopOptions(epochs=50, monitor="dice", maximise=True, patience=10), Path("runs/vertebrae"))
"""

from training.loop.fit import Fitted, fit
from training.loop.interruption import TrainingInterrupted
from training.loop.options import LoopOptions
from training.loop.task import Batch, Batches, DescribedTask, Task

__all__ = ["Batch", "Batches", "DescribedTask", "Fitted", "LoopOptions", "Task", "TrainingInterrupted", "fit"]
