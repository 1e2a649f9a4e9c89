"""What every classifier of bone density shares: how its bundle is checked, run and scored, and what is said where it gives nothing.

A classifier stands beside what was measured, or beside what a densitometer states; no failure of its bundle ever costs those.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from inference.adjustment import adjusted_logits, softmax
from inference.bundles import Bundle, BundleError, BundleNotAllowedError, BundleNotFoundError, BundleNotPinnedError, load_network
from inference.errors import OsteonError, PermanentError, ReasonCode, Refusal, WarningCode
from inference.findings import ClassAgreement, DensityClass, Notice
from inference.who import BoneLabel

FAILURES = (OsteonError, ImportError, OSError, RuntimeError, MemoryError)
"""What a network may fail with (torch out of memory is a RuntimeError). It costs the prediction and a warning, never the measurement."""

CLASSES = tuple(label.value for label in BoneLabel)
"""The WHO's three classes of bone density, densest first."""


Given = TypeVar("Given")


@dataclass(frozen=True, kw_only=True)
class Classified:
    """What is said of the density class.

    Attributes
    ----------
    density
        None where no classifier is configured.
    warnings
        That belong to it.
    code
        Without probabilities: the reason of a study of which nothing else can be said.
    """

    density: DensityClass | None = None
    warnings: tuple[Notice, ...] = ()
    code: ReasonCode = ReasonCode.NO_TRAINED_MODEL


def attempted(level: str, stands: str, attempt: Callable[[], Given]) -> Given | Classified:
    """What ``attempt`` gives; where its bundle is absent, not allowed or fails, why there is no class.

    Parameters
    ----------
    level
        What was to be read: ``L1``, ``L1-L4``.
    stands
        What stands without the class, for the warning of a bundle that fails.
    attempt
        Opens, checks or runs the bundle.

    Returns
    -------
    Given or Classified
        Never raises for a bundle. One that is absent or not allowed is a choice of the site: no warning.
    """
    try:
        return attempt()
    except BundleNotPinnedError as error:
        return failed(level, error, stands)
    except (BundleNotFoundError, BundleNotAllowedError) as error:
        return Classified(density=no_class(level, error.text))
    except FAILURES as error:
        return failed(level, error, stands)


def no_class(level: str, because: str) -> DensityClass:
    """No probabilities, and why."""
    return DensityClass(level=level, probabilities=None, predicted=None, agreement=None, model=None, because=because)


def failed(level: str, error: Exception, stands: str) -> Classified:
    """No probabilities, and a warning that they were asked for."""
    told = " ".join(str(error).split())
    because = told if isinstance(error, OsteonError) and told else f"{type(error).__name__}: {told}".rstrip(": ")
    text = f"The density classifier gave no answer ({because}); {stands}."
    return Classified(
        density=no_class(level, because),
        warnings=(Notice(code=WarningCode.CLASSIFIER_FAILED, text=text),),
        code=error.code if isinstance(error, Refusal) else ReasonCode.INTERNAL_ERROR,
    )


def check_bundle(bundle: Bundle, what: str, wanted: Iterable[tuple[str, object, bool]]) -> None:
    """That a bundle is what a workflow needs.

    Parameters
    ----------
    what
        What is needed: ``density classifier for CT``.
    wanted
        Names, what the bundle states under each, and whether it fits.

    Raises
    ------
    BundleError
        Naming the first thing that is otherwise.
    """
    for name, found, fits in wanted:
        if not fits:
            raise BundleError(f"the bundle {bundle.name} is no {what}: its {name} is {found or 'missing'}")


def network_scores(given: NDArray[np.float32], bundle: Bundle) -> NDArray[np.floating]:
    """(classes,) scores of one image. torch loads here.

    Parameters
    ----------
    given
        (channels, ...) as the bundle's network takes it.

    Raises
    ------
    BundleError
        The weights are not those of the architecture.
    PermanentError
        The network's scores are no numbers.
    """
    import torch

    network = load_network(bundle)
    with torch.inference_mode():
        scores: NDArray[np.floating] = network(torch.from_numpy(given)[None])[0].numpy()  # (1, C, ...) -> (classes,)
    if not np.all(np.isfinite(scores)):
        raise PermanentError(f"{bundle.name} gives scores that are no numbers: {scores.tolist()}")
    return scores


def class_probabilities(scores: NDArray[np.floating], bundle: Bundle) -> Mapping[str, float]:
    """Probabilities by class, densest first: scores divided by the bundle's temperature, then adjusted by its priors, then softmax.

    Temperature scaling as Guo et al. 2017 (On calibration of modern neural networks, Eq. 9); the adjustment is that of
    :mod:`inference.adjustment`.
    """
    osteon = bundle.metadata.osteon
    scaled = np.asarray(scores, dtype=np.float64) / (osteon.temperature or 1.0)
    shares = softmax(scaled if osteon.priors is None else adjusted_logits(scaled, osteon.priors, osteon.tau2 or 0.0))
    found = dict(zip(osteon.classes, shares.tolist(), strict=True))
    return {name: found[name] for name in CLASSES if name in found}


def agreement_by_steps(first: str, second: str) -> ClassAgreement:
    """How far two of the WHO's classes lie apart."""
    steps = abs(CLASSES.index(first) - CLASSES.index(second))
    return (ClassAgreement.AGREES, ClassAgreement.ONE_STEP_APART, ClassAgreement.CONTRADICTS)[steps]
