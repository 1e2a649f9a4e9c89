"""One small study for all tests of the results, written once."""

from pathlib import Path

import pytest

from node.results import WrittenResults, write_results
from tests.node.results.example import CONTEXT, Example, make_example


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """The study on disk."""
    return make_example(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def written(example: Example, tmp_path_factory: pytest.TempPathFactory) -> WrittenResults:
    """Its results, all kinds."""
    out: Path = tmp_path_factory.mktemp("results")
    return write_results(example.findings, example.headers, CONTEXT, out, ("seg", "sr", "text", "picture"))
