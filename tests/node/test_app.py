"""The node as a whole, in this process: association in, results out."""

from pathlib import Path

import pytest

from node.app import Node
from node.states import DeliveryState, StudyState
from tests.node.support import Pacs, ct_slice, machine_config, send, until, with_destination

pytestmark = pytest.mark.integration


def test_from_association_to_pacs(tmp_path: Path) -> None:
    with Pacs() as pacs:
        config = machine_config(tmp_path, **with_destination(pacs.port))
        with Node(config, process="tests.node.processes:results_of") as node:
            assert node.port == config.receiver.port
            assert send(node.port, [ct_slice(number) for number in (1, 2, 3)]) == [0, 0, 0]
            until(lambda: len(pacs.received) == 2, "a SEG and an SR at the PACS")
            until(lambda: len(node.ledger.deliveries(states=[DeliveryState.DELIVERED])) == 2, "both recorded as delivered")
            report = node.ledger.study("1.2.3")
    assert [ds.Modality for ds in pacs.received] == ["SEG", "SR"]
    assert report.summary.state is StudyState.DONE
    assert report.summary.instances == 3
    assert report.decision is not None
    assert report.decision.route == "ct"
    assert {item.path.parent.name for item in report.objects} == {"run-1-1"}
    assert all(item.path.is_file() for item in report.objects)
    assert report.picture is not None
    assert report.picture.read_bytes() == b"not a picture"
