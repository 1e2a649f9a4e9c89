"""What the commands of the papers' tables share."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from training.campaign import campaign_bar, check_seeds, chosen_rows, weights_of
from training.errors import TrainingError


@dataclass(frozen=True)
class Row:
    name: str


ROWS = (Row("a"), Row("b"), Row("c"))


def test_rows_are_chosen_by_name_in_the_order_asked_for() -> None:
    assert chosen_rows("Table 1", ROWS, []) == ROWS
    assert chosen_rows("Table 1", ROWS, ["c", "a"]) == (ROWS[2], ROWS[0])
    with pytest.raises(TrainingError, match="Table 1 has no row 'Best'; it has: a, b, c"):
        chosen_rows("Table 1", ROWS, ["a", "Best"])


def test_weights_are_pairs_of_a_network_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    file.write_bytes(b"")
    assert weights_of([f"vit={file}"], ("vit", "vgg16")) == {"vit": file}
    for wrong in (["vit=absent.pth"], [f"vgg={file}"], ["vit"]):
        with pytest.raises(TrainingError, match="NETWORK=FILE"):
            weights_of(wrong, ("vit", "vgg16"))


def test_without_a_terminal_the_bar_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with campaign_bar("rows", 2, shown=True) as advance:
        advance("a")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_a_table_is_repeated_with_seeds_each_once() -> None:
    check_seeds((0, 1))
    for wrong in ((), (1, 1)):
        with pytest.raises(TrainingError, match="at least one seed, and no seed twice"):
            check_seeds(wrong)
