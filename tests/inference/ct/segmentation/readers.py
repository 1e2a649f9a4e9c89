"""A second reader without a network: another reader's masks, shifted, merged, renamed or with bodies missing."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from inference.ct.segmentation.base import Segmentation
from inference.findings import ModelUsed
from inference.volume import Volume

SECOND_MODEL = ModelUsed(name="second", version="1", sha256="2" * 64, trained_on="simulated anatomy")
Change = Callable[[Segmentation], Segmentation]


@dataclass(frozen=True, kw_only=True)
class GivenSegmenter:
    """Answers every volume with the same segmentation, or raises the same error; ``asked`` counts the volumes."""

    answer: Segmentation | Exception
    asked: list[Volume] = dataclasses.field(default_factory=list)

    @property
    def model(self) -> ModelUsed:
        """The model of the answer."""
        return self.answer.model if isinstance(self.answer, Segmentation) else SECOND_MODEL

    def segment(self, volume: Volume) -> Segmentation:
        """The answer."""
        self.asked.append(volume)
        time.sleep(0.001)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def as_second(segmentation: Segmentation, *changes: Change) -> Segmentation:
    """The same bodies as another reader would give them: its own labels, its own model, then ``changes``, head to foot."""
    count = len(segmentation.vertebrae)
    other = dataclasses.replace(segmentation, model=SECOND_MODEL, level_because="second")
    table = np.zeros(256, np.uint8)
    for index, body in enumerate(segmentation.vertebrae):
        table[body.label] = 100 + count - index  # no label means the same body in both
    bodies = tuple(dataclasses.replace(body, label=int(table[body.label])) for body in segmentation.vertebrae)
    other = dataclasses.replace(other, bodies=table[segmentation.bodies], vertebrae=bodies)
    for change in changes:
        other = change(other)
    return other


def renamed(names: Mapping[int, str | None], *, certain: bool = True) -> Change:
    """Bodies by their place from the head get another name."""

    def change(found: Segmentation) -> Segmentation:
        bodies = tuple(
            dataclasses.replace(body, level=names[index], level_certain=certain and names[index] is not None) if index in names else body
            for index, body in enumerate(found.vertebrae)
        )
        return dataclasses.replace(found, vertebrae=bodies)

    return change


def unnamed(found: Segmentation) -> Segmentation:
    """No anchors in view."""
    return renamed(dict.fromkeys(range(len(found.vertebrae))))(found)


def without(*places: int) -> Change:
    """Bodies by their place from the head are not seen."""

    def change(found: Segmentation) -> Segmentation:
        mask = found.bodies.copy()
        for place in places:
            mask[mask == found.vertebrae[place].label] = 0
        kept = tuple(body for index, body in enumerate(found.vertebrae) if index not in places)
        return dataclasses.replace(found, bodies=mask, vertebrae=kept)

    return change


def merged(place: int) -> Change:
    """A body and the one below it are taken for one."""

    def change(found: Segmentation) -> Segmentation:
        upper, lower = found.vertebrae[place], found.vertebrae[place + 1]
        mask = np.where(found.bodies == lower.label, upper.label, found.bodies).astype(np.uint8)
        one = dataclasses.replace(upper, centre_lps_mm=(upper.centre_lps_mm + lower.centre_lps_mm) / 2)
        return dataclasses.replace(found, bodies=mask, vertebrae=(*found.vertebrae[:place], one, *found.vertebrae[place + 2 :]))

    return change


def shifted(slices: int, *places: int) -> Change:
    """Bodies by their place from the head (all without a place) lie ``slices`` slices further towards the head."""

    def change(found: Segmentation) -> Segmentation:
        chosen = places or tuple(range(len(found.vertebrae)))
        mask = found.bodies.copy()
        for place in chosen:
            label = found.vertebrae[place].label
            moved = np.roll(found.bodies == label, slices, axis=0)
            mask[mask == label] = 0
            mask[moved & (mask == 0)] = label
        return dataclasses.replace(found, bodies=mask)

    return change
