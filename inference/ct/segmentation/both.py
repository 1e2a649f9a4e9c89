"""Both readers, or the network alone: the classical method measures, the network is a second reader that disagrees out loud.

One reader that fails does not fail the study. Without the second one the classical method stands alone, with a warning. Where the
classical method finds no spine the network's bodies are listed with their numbers and its own names; since it was trained on simulated
anatomy only, no level of it counts as certain, so that none carries a band, unless the site has allowed such a model to measure.
"""

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from inference.ct.segmentation.agreement import compare
from inference.ct.segmentation.base import Segmentation, Segmenter
from inference.errors import OsteonError, ReasonCode, Refusal, WarningCode
from inference.findings import ModelUsed, Notice
from inference.volume import Volume

NOT_MEASURABLE = frozenset({ReasonCode.SLICES_TOO_THICK, ReasonCode.NOT_A_VOLUME, ReasonCode.IMPLAUSIBLE_HU})
"""Refusals that speak of the image, not of the method: no other reader lifts them."""
FAILURES = (OsteonError, ImportError, OSError, RuntimeError, MemoryError)
"""What a second reader may fail with: a bundle refused, a library missing, torch out of memory (a RuntimeError). It is told, not hidden."""
FIRST_TIME, SECOND_TIME = "segmentation_classical", "segmentation_network"


@dataclass(frozen=True, kw_only=True)
class AloneSegmenter:
    """A network that a site asked for by name: it measures, and every result says what it was trained on."""

    network: Segmenter

    @property
    def model(self) -> ModelUsed:
        """The network."""
        return self.network.model

    def segment(self, volume: Volume) -> Segmentation:
        """The network's segmentation with a warning.

        Raises
        ------
        Refusal
            The network's.
        """
        found = self.network.segment(volume)
        text = f"The bodies come from a network alone, trained on {found.model.trained_on}; no other method has looked."
        return dataclasses.replace(found, notices=(*found.notices, Notice(code=WarningCode.NETWORK_ALONE, text=text)))


@dataclass(frozen=True, kw_only=True)
class BothSegmenter:
    """Two readers as one; see :class:`inference.ct.segmentation.base.Segmenter`.

    Attributes
    ----------
    first
        The reader that measures.
    make_second
        Makes the second reader, ready to read. It runs in a thread of its own while the first reader reads, since importing torch and
        loading weights take seconds; the second reader reads only afterwards, so that the memory of the two never adds up.
    allow_alone
        The second reader may measure where the first finds no spine.
    """

    first: Segmenter
    make_second: Callable[[], Segmenter]
    allow_alone: bool = False

    @property
    def model(self) -> ModelUsed:
        """The reader that measures."""
        return self.first.model

    def segment(self, volume: Volume) -> Segmentation:
        """Read twice and compare.

        Returns
        -------
        Segmentation
            The first reader's, with what the second says of it in ``second``; the second reader's where the first refused.

        Raises
        ------
        Refusal
            The first reader's, where neither gives an answer or the image cannot be measured at all.
        """
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="second-reader") as pool:
            coming = pool.submit(self.make_second)
            begun = time.perf_counter()
            first: Segmentation | Refusal
            try:
                first = self.first.segment(volume)
            except Refusal as refusal:
                if refusal.code in NOT_MEASURABLE:
                    raise
                first = refusal
            between = time.perf_counter()
            second: Segmentation | Exception
            try:
                second = coming.result().segment(volume)
            except FAILURES as failure:
                second = failure
        timings_s = {FIRST_TIME: between - begun, SECOND_TIME: time.perf_counter() - between}
        return dataclasses.replace(self._combine(first, second, volume), timings_s=timings_s)

    def _combine(self, first: Segmentation | Refusal, second: Segmentation | Exception, volume: Volume) -> Segmentation:
        if isinstance(first, Segmentation):
            return compare(first, second, volume) if isinstance(second, Segmentation) else alone(first, second)
        if isinstance(second, Segmentation):
            return standing_in(second, first, allowed=self.allow_alone)
        raise first


def alone(first: Segmentation, failure: Exception) -> Segmentation:
    """The first reader's segmentation with a warning that no second reader stands behind it."""
    text = f"The second reader gave no answer ({_told(failure)}); the classical method stands alone."
    return dataclasses.replace(first, notices=(*first.notices, Notice(code=WarningCode.SECOND_READER_FAILED, text=text)))


def standing_in(second: Segmentation, refusal: Refusal, *, allowed: bool) -> Segmentation:
    """The second reader's segmentation where the first refused; without allowance none of its levels is certain."""
    origin = f"the network alone, trained on {second.model.trained_on}"
    text = f"The classical method gave no answer ({refusal}); the bodies come from {origin}."
    notices = (*second.notices, Notice(code=WarningCode.NETWORK_ALONE, text=text))
    if allowed:
        return dataclasses.replace(second, notices=notices)
    because = f"Found by {origin}: it carries no band unless the site allows it."
    vertebrae = tuple(dataclasses.replace(body, level_certain=False, uncertain_because=because) for body in second.vertebrae)
    return dataclasses.replace(second, vertebrae=vertebrae, notices=notices)


def _told(failure: Exception) -> str:
    """The failure in one line."""
    text = " ".join(str(failure).split())
    return text if isinstance(failure, OsteonError) and text else f"{type(failure).__name__}: {text}".rstrip(": ")
