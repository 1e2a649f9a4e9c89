"""Which lines a log carries."""

import logging
from collections.abc import Iterator

import pytest

from node import logs

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _levels_as_they_were() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("", *logs.LIBRARIES)]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize(
    ("level", "ours", "libraries"),
    [
        ("DEBUG", logging.DEBUG, logging.DEBUG),
        ("INFO", logging.INFO, logging.WARNING),
        ("WARNING", logging.WARNING, logging.WARNING),
        ("ERROR", logging.ERROR, logging.ERROR),
    ],
)
def test_libraries_are_quieter_than_the_node(level: str, ours: int, libraries: int) -> None:
    logs.configure(level)
    assert logging.getLogger("node.worker").getEffectiveLevel() == ours
    assert {logging.getLogger(name).getEffectiveLevel() for name in logs.LIBRARIES} == {libraries}
