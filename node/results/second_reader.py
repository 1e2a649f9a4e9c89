"""What the results say of the second reader, in words: the same on the page, in the text and in the SR."""

from typing import Final

from inference.findings import Findings, LevelAgreement, VertebraFinding
from inference.rounding import round_hu
from node.results import wording

_LEVELS_AGREE: Final = {
    LevelAgreement.AGREE: "it places the levels alike",
    LevelAgreement.DIFFER: "IT PLACES LEVELS DIFFERENTLY",
    LevelAgreement.NOT_COMPARED: "it names no level that could be compared",
}


def second_cells(vertebra: VertebraFinding) -> tuple[str, str]:
    """Dice, and the difference of the cores' medians with its sign."""
    reading = vertebra.second_reader
    if reading is None or not reading.found:
        return (wording.ABSENT, wording.ABSENT)
    difference = None if reading.median_difference_hu is None else round_hu(reading.median_difference_hu)
    return (f"{reading.dice:.2f}", wording.ABSENT if difference is None else f"{difference:+d}" if difference else "0")


def second_reader_text(vertebra: VertebraFinding) -> str:
    """What the second reader says of one body: ``second reader: same level, Dice 0.93, +1 HU``."""
    reading = vertebra.second_reader
    if reading is None:
        return "no second reader"
    if not reading.found:
        return "second reader: sees no body here"
    if not reading.level_certain:
        named = "names no level"
    elif vertebra.level_certain and reading.level == vertebra.level:
        named = "same level"
    else:
        named = f"level {reading.level}"
    dice, difference = second_cells(vertebra)
    return f"second reader: {named}, Dice {dice}" + (f", {difference} HU" if difference != wording.ABSENT else "")


def second_reader_lines(findings: Findings) -> list[str]:
    """How far the second reader agrees over the study, and what it was trained on; none without one."""
    agreement = findings.second_reader
    if agreement is None:
        return []
    of = agreement.compared + agreement.only_first
    parts = [f"sees {agreement.compared} of {of} bodies" + (f" and {agreement.only_second} more" if agreement.only_second else "")]
    if agreement.median_dice is not None:
        parts.append(f"median Dice {agreement.median_dice:.2f}")
    if agreement.median_difference_hu is not None:
        parts.append(f"core median differs by {round_hu(agreement.median_difference_hu)} HU (median over bodies)")
    parts.append(_LEVELS_AGREE[agreement.levels])
    origin = f"network {agreement.model.name}, trained on {agreement.model.trained_on}"
    return [wording.ascii_text(f"Second reader ({origin}; it measures nothing): {'; '.join(parts)}.")]
