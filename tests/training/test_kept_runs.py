"""What a run found is there once it is whole, names its question, and says what to do when it cannot be read."""

from pathlib import Path

import pytest

from training.errors import TrainingError
from training.kept_runs import PREDICTIONS, digest_of, keep_predictions, read_predictions, read_run, readable

pytestmark = pytest.mark.unit

LINES = (("part", "patient"), ("test", 'Doe, "J"'), ("test", "2"))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A finished run's folder, with a checkpoint."""
    found = tmp_path / "run" / "work"
    found.mkdir(parents=True)
    (found / "log.csv").write_text("epoch,seconds\n1,2.5\n")
    (found / "checkpoint.pt").write_bytes(b"large")
    return found


def test_what_was_said_and_asked_is_kept_and_the_weights_are_not(work: Path) -> None:
    folder = work.parent
    keep_predictions(LINES, {"epochs": 3, "out": Path("a")}, work, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["log.csv", "predictions.csv", "run.json"]
    assert (folder / "log.csv").read_text() == "epoch,seconds\n1,2.5\n"
    with readable(folder):
        assert read_run(folder) == {"epochs": 3, "out": "a"}
        assert read_predictions(folder) == [{"part": "test", "patient": 'Doe, "J"'}, {"part": "test", "patient": "2"}]


def test_a_run_is_not_done_before_all_of_it_is_written(work: Path) -> None:
    (work / "log.csv").unlink()
    with pytest.raises(FileNotFoundError):
        keep_predictions(LINES, {}, work, work.parent)
    assert not (work.parent / PREDICTIONS).exists()


def test_what_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    for wrong in ("", '{"a": 1}'):
        (tmp_path / "run.json").write_text(wrong)
        with pytest.raises(TrainingError, match="remove the folder to train it again"), readable(tmp_path):
            read_run(tmp_path)["seconds"]
    with pytest.raises(TrainingError, match="remove the folder"), readable(tmp_path):
        read_predictions(tmp_path)


def test_the_digest_stands_for_the_question_and_not_for_its_order() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1, "b": [2]}) != digest_of({"a": 1, "b": [3]})
    assert digest_of({}) == "44136fa355b3"  # the first twelve digits of the SHA-256 of {}
