"""How often letters on the spine of a DXA image are found, and how often they are seen where there are none.

usage: python -m benchmarks.dxa_text [--patients 100] [--seed 7300] [--scans DIR] [--jobs 1]

Simulated patients as for training (three makers, two sharpnesses of the painted body, quanta over a factor of eight, screws, cement,
scoliosis), each exported as DICOM by its own maker and by the others. The limits of :mod:`inference.dxa.letters` were set on patients of
seeds 50 and 7100; this seed gives others. False: a plain export is refused as ``BURNED_IN_TEXT``. Missed: an export with a text across
one of L1 to L4 is not. Texts, fonts, sizes and places are drawn for each export. The last rows are of pictures that were enlarged by half,
or packed as JPEG.
"""

import argparse
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.stats import beta

from inference.dxa.crop import crop_spine
from inference.errors import ReasonCode, Refusal
from training.dxa.simulated import Picture, SimulatedOptions, pixels_of, scans_of
from training.errors import TrainingError
from training.preparing import gathered
from training.simulation.xray.devices import DEVICES
from training.transforms.cache import Arrays

TEXTS = ("-3.1", "T -3.1", "OSTEOPOROSIS")
SIZES = (9, 12, 16, 24)
INKS: Mapping[str, int | None] = MappingProxyType({"black": 0, "white": 255, "light grey (200)": 200, "any grey": None})
FONTS = (None, Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
"""Pillow's own (Aileron), and matplotlib's."""
_READABLE = 25
"""Levels of 255 by which the median inked pixel must differ from the bone beneath: less cannot be read in the noise."""


@dataclass(frozen=True, kw_only=True)
class Looked:
    """One picture that was looked at: its maker, what was done to it, the print on it (empty: none), and whether print was seen."""

    device: str
    change: str
    ink: str
    size: int
    readable: bool
    seen: bool


def main() -> None:
    """Print the tables."""
    given = _arguments()
    options = SimulatedOptions(patients=given.patients, seed=given.seed)
    work = partial(judged, options=options, scans=given.scans)
    found = [
        one
        for several in gathered(work, list(range(given.patients)), "printing on scans", given.jobs, progress=given.progress)
        for one in several
    ]
    print("\n".join(report(found)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dxa_text", description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--patients", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7300)
    parser.add_argument("--scans", type=Path, default=Path(".osteon-cases"), help="folder of painted scans, shared with training")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--no-progress", dest="progress", action="store_false")
    return parser.parse_args()


def judged(number: int, options: SimulatedOptions, scans: Path) -> list[Looked]:
    """Every maker's export of one patient, plain and printed on; the own maker's changed, too."""
    person = options.people()[number]
    try:
        found = scans_of(person, options, scans)
    except TrainingError:  # no T-score, so no scan to learn from
        return []
    out = []
    for order, device in enumerate(options.devices(person)):
        changes = list(CHANGES) if order == 0 else ["as exported"]
        out += list(looks(found, device, changes, np.random.default_rng((options.seed, number, order))))
    return out


def looks(scans: Arrays, device: str, changes: Sequence[str], rng: np.random.Generator) -> Iterator[Looked]:
    """One export without print and with each ink; text, size, font, place and the grey of the last ink are drawn."""
    picture, boxes = scans[f"{device} picture"], scans[f"{device} boxes"]
    if refused(picture) not in (None, ReasonCode.BURNED_IN_TEXT):
        return
    pictures = [("", 0, True, picture)]
    for ink, value in INKS.items():
        size, box = int(rng.choice(SIZES)), boxes[rng.integers(len(boxes))]
        text, font = str(rng.choice(TEXTS)), FONTS[rng.integers(len(FONTS))]
        grey = int(rng.integers(256)) if value is None else value
        at = (int(box[1]) + int(rng.integers(4)), int(rng.integers(box[0], max(box[2] - size, box[0] + 1))))
        marked, inked = printed(picture, text, at, size, grey, font)
        pictures.append((ink, size, readable(picture, inked, grey), marked))
    for ink, size, clear, one in pictures:
        for change in changes:
            seen = refused(CHANGES[change](one)) is ReasonCode.BURNED_IN_TEXT
            yield Looked(device=device, change=change, ink=ink, size=size, readable=clear, seen=seen)


def refused(picture: Picture) -> ReasonCode | None:
    """Why the node does not crop a picture; None where it does."""
    try:
        crop_spine(pixels_of(picture), (150, 150))
    except Refusal as refusal:
        return refusal.code
    return None


def printed(picture: Picture, text: str, at: tuple[int, int], size: int, grey: int, font: Path | None) -> tuple[Picture, NDArray[np.bool_]]:
    """A text whose first letter begins at (column, row), and which pixels are at least half ink."""
    face = ImageFont.load_default(size=size) if font is None else ImageFont.truetype(font, size)
    ink = Image.new("L", picture.shape[::-1], 0)
    ImageDraw.Draw(ink).text(at, text, fill=255, font=face)
    share = np.asarray(ink, dtype=np.float32) / np.float32(255)
    return np.asarray(np.rint(picture * (1 - share) + grey * share), dtype=np.uint8), share >= 0.5


def readable(picture: Picture, inked: NDArray[np.bool_], grey: int) -> bool:
    """Whether the ink differs enough from what it stands on."""
    return bool(inked.any()) and float(np.median(np.abs(picture[inked].astype(np.float32) - grey))) >= _READABLE


def enlarged(picture: Picture) -> Picture:
    """Half as many pixels again in either direction, by cubic interpolation."""
    size = (round(picture.shape[1] * 1.5), round(picture.shape[0] * 1.5))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC), dtype=np.uint8)


def packed(picture: Picture) -> Picture:
    """Through JPEG of quality 85."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=85)
    return np.asarray(Image.open(buffer), dtype=np.uint8)


CHANGES: Mapping[str, Callable[[Picture], Picture]] = MappingProxyType(
    {"as exported": lambda picture: picture, "enlarged by half": enlarged, "JPEG 85": packed}
)


def report(found: Sequence[Looked]) -> list[str]:
    """Markdown lines."""
    plain = [one for one in found if one.change == "as exported"]
    lines = ["| print | pictures | seen | |", "| --- | ---: | ---: | --- |", row("none", [one for one in plain if not one.ink], "false")]
    lines += [row(f"none, {device}", [one for one in plain if not one.ink and one.device == device], "false") for device in DEVICES]
    lines += [row(ink, [one for one in plain if one.ink == ink], "missed") for ink in INKS]
    named = [one for one in plain if one.ink and INKS[one.ink] is not None]
    lines += [row(f"black, white or light grey, {size} pixels", [one for one in named if one.size == size], "missed") for size in SIZES]
    lines.append(row("black, white or light grey", named, "missed"))
    lines.append(row("the same, readable", [one for one in named if one.readable], "missed"))
    for change in list(CHANGES)[1:]:
        changed = [one for one in found if one.change == change]
        lines.append(row(f"{change}: none", [one for one in changed if not one.ink], "false"))
        lines.append(row(f"{change}: black, white or light grey", [one for one in changed if INKS.get(one.ink) is not None], "missed"))
    return lines


def row(name: str, found: Sequence[Looked], what: str) -> str:
    """One line: counts, and the share that is wrong with its 95 % interval (Clopper and Pearson)."""
    seen = sum(one.seen for one in found)
    wrong = seen if what == "false" else len(found) - seen
    low, high = interval(wrong, len(found))
    share = 100 * wrong / max(len(found), 1)
    return f"| {name} | {len(found)} | {seen} | {what}: {share:.1f} % ({low:.1f} to {high:.1f}) |"


def interval(wrong: int, count: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval of a share, in per cent."""
    low = 0.0 if wrong == 0 else float(beta.ppf(0.025, wrong, count - wrong + 1))
    high = 1.0 if wrong == count else float(beta.ppf(0.975, wrong + 1, count - wrong))
    return 100 * low, 100 * high


if __name__ == "__main__":
    main()
