"""The chest workflow's models: two bundles are opened and checked, and the film that is used becomes densities, T-scores and a sentence.

A film has no other value to fall back on. Whatever keeps a bundle from running, or its answer from being believed, refuses the study.
"""

import re
import time
from dataclasses import dataclass

from inference.bundles import Bundle, BundleError, BundleNotAllowedError, BundleNotFoundError, BundleNotPinnedError, Kind, load_network
from inference.bundles.metadata import Normalisation
from inference.classifier import FAILURES, check_bundle
from inference.cxr.estimate import estimate_density
from inference.cxr.estimated import FilmEstimate
from inference.cxr.film import NormalisedFilm
from inference.cxr.findings import CxrMeasurement
from inference.cxr.locate import TARGETS, find_landmarks
from inference.cxr.options import CxrOptions
from inference.cxr.reference import Reference, ReferenceChoice, load_references, shipped_references
from inference.cxr.rois import REGION_NAMES, ROI_NAMES, Floats, region_words
from inference.cxr.words import Thresholds, read_patient, thresholds
from inference.errors import OsteonError, ReasonCode, Refusal, WarningCode
from inference.findings import Notice

NO_MODEL = "no model of chest films is configured (workflows.cxr.model)"
PLAUSIBLE_G_CM2 = (0.2, 2.2)
"""Densities of a lumbar vertebra that any densitometer may print. An answer beyond is none."""
WHOLE = 0.98
"""A region of which less lies on the film is worth a word."""
_TARGET = re.compile(r"l[1-4]_fold\d+_bmd_g_cm2")
_UNSTATED = "an unstated densitometer"


@dataclass(frozen=True, kw_only=True)
class Models:
    """What reads a film: both bundles, and what puts their answer into words."""

    landmarks: Bundle
    density: Bundle
    limits: Thresholds
    table: tuple[Reference, ...]
    choice: ReferenceChoice


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A film that was read, what must stand beside its numbers, and the seconds of each step."""

    measurement: CxrMeasurement
    notices: tuple[Notice, ...]
    timings_s: dict[str, float]


def open_models(options: CxrOptions) -> Models:
    """Both bundles, verified, allowed and of the right kind, and the site's references. No network is loaded yet.

    Raises
    ------
    Refusal
        ``NO_TRAINED_MODEL`` where there is none or the site does not allow what it was trained on; ``BUNDLE_NOT_ALLOWED`` where another
        is pinned; ``BUNDLE_INVALID`` where it is damaged or of another kind.
    PermanentError
        There are no thresholds of that name, or the site's table cannot be used.
    """
    if options.model is None:
        raise _refused(ReasonCode.NO_TRAINED_MODEL, NO_MODEL)
    landmarks, density = (_opened(options, name) for name in (options.landmarks, options.model))
    check_landmarks(landmarks)
    check_density(density)
    choice = ReferenceChoice(
        device=density.metadata.osteon.densitometer or _UNSTATED,
        sex_policy=options.sex_policy,
        accepted=options.accepted,
        preferred=options.preferred,
    )
    table = shipped_references() if options.references is None else load_references(options.references)
    return Models(landmarks=landmarks, density=density, limits=thresholds(options.thresholds), table=table, choice=choice)


def _opened(options: CxrOptions, name: str) -> Bundle:
    try:
        return options.bundles.open(name)
    except BundleNotPinnedError as error:
        raise _refused(error.code, error.text) from error
    except (BundleNotFoundError, BundleNotAllowedError) as error:
        raise _refused(ReasonCode.NO_TRAINED_MODEL, error.text) from error


def _refused(code: ReasonCode, why: str) -> Refusal:
    return Refusal(code, f"Recorded; bone density is not estimated: {why.rstrip('.')}.")


def check_landmarks(bundle: Bundle) -> None:
    """That a bundle finds the sixteen landmarks.

    Raises
    ------
    BundleError
        Naming the first thing that is otherwise.
    """
    osteon = bundle.metadata.osteon
    wanted = (
        ("kind", osteon.kind.value, osteon.kind is Kind.REGRESSION),
        ("architecture", osteon.architecture, osteon.architecture == "landmark_graph"),
        ("targets", ", ".join(osteon.targets), osteon.targets == TARGETS),
        ("channels", osteon.input.channels, osteon.input.channels == 1),
        ("normalisation", osteon.input.normalisation.value, osteon.input.normalisation is Normalisation.ZERO_MEAN_UNIT_SD),
    )
    check_bundle(bundle, "finder of landmarks on chest films", wanted)


def check_density(bundle: Bundle) -> None:
    """That a bundle estimates the density of L1 to L4, or of some of them, from the regions of a film.

    Raises
    ------
    BundleError
        Naming the first thing that is otherwise.
    """
    osteon = bundle.metadata.osteon
    wanted = (
        ("kind", osteon.kind.value, osteon.kind is Kind.REGRESSION),
        ("architecture", osteon.architecture, osteon.architecture == "density_ensemble"),
        ("targets", ", ".join(osteon.targets), all(_TARGET.fullmatch(target) for target in osteon.targets)),
        ("channels", osteon.input.channels, osteon.input.channels == len(REGION_NAMES)),
        ("normalisation", osteon.input.normalisation.value, osteon.input.normalisation is Normalisation.ZERO_MEAN_UNIT_SD),
    )
    check_bundle(bundle, "estimator of bone density on chest films", wanted)


def measure_film(film: NormalisedFilm, models: Models, patient_sex: str) -> Measured:
    """Landmarks, regions, densities and words of the film that is used. torch loads here.

    Raises
    ------
    Refusal
        ``LANDMARKS_IMPLAUSIBLE`` or ``ROI_OUTSIDE_FILM`` as :func:`inference.cxr.rois.rois_of`; ``ESTIMATE_IMPLAUSIBLE`` where an answer
        is no density of a vertebra; ``BUNDLE_INVALID`` or ``INTERNAL_ERROR`` where a network cannot be loaded or run.
    """
    try:
        return _measured(film, models, patient_sex)
    except Refusal:
        raise
    except FAILURES as error:
        told = " ".join(str(error).split())
        because = told if isinstance(error, OsteonError) and told else f"{type(error).__name__}: {told}".rstrip(": ")
        raise _refused(ReasonCode.INTERNAL_ERROR, f"the networks failed ({because})") from error


def _measured(film: NormalisedFilm, models: Models, patient_sex: str) -> Measured:
    started = time.perf_counter()
    places = find_landmarks(film.image, load_network(models.landmarks), models.landmarks.metadata.osteon.input.patch_size[0])
    located = time.perf_counter()
    estimate = _estimated(film, places, models.density)
    reading = read_patient(
        {level.level: [float(value) for value in level.members_g_cm2] for level in estimate.levels},
        models.limits,
        models.table,
        models.choice,
        patient_sex,
    )
    measurement = CxrMeasurement(
        estimate=estimate,
        reading=reading,
        limits=models.limits,
        densitometer=models.density.metadata.osteon.densitometer,
        landmark_model=models.landmarks.model_used,
        density_model=models.density.model_used,
    )
    timings_s = {"landmarks": located - started, "estimation": time.perf_counter() - located}
    return Measured(measurement=measurement, notices=_notices(estimate), timings_s=timings_s)


def _estimated(film: NormalisedFilm, landmarks: Floats, bundle: Bundle) -> FilmEstimate:
    from inference.cxr.network import DensityEnsemble  # torch takes two seconds to load

    network = load_network(bundle)
    if not isinstance(network, DensityEnsemble):
        raise BundleError(f"the bundle {bundle.name} holds another network than its architecture says")
    osteon = bundle.metadata.osteon
    estimate = estimate_density(film.image, landmarks, network, osteon.targets, osteon.input.patch_size[0])
    low, high = PLAUSIBLE_G_CM2
    for level in estimate.levels:
        wrong = [value for value in level.members_g_cm2 if not low <= value <= high]
        if wrong:
            text = f"A network estimates {wrong[0]:.2f} g/cm2 at {level.level}, which no vertebra has ({low:g} to {high:g})."
            raise Refusal(ReasonCode.ESTIMATE_IMPLAUSIBLE, f"{text} Nothing is reported.")
    return estimate


def _notices(estimate: FilmEstimate) -> tuple[Notice, ...]:
    """What a reader must know beside the densities: regions that are cut by the film's edge, levels without an estimate."""
    cut = [
        f"{region_words(name)} ({share:.0%} on the film)"
        for name, share in zip(ROI_NAMES, estimate.rois.inside, strict=True)
        if share < WHOLE
    ]
    if not cut:
        return ()
    text = f"Regions of bone reach beyond the film; there its edge was repeated: {', '.join(cut)}."
    return (Notice(code=WarningCode.ROI_CUT, text=text),)
