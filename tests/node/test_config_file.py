"""Every complaint about config.yaml names the line, the key and what to do."""

from pathlib import Path

import pytest

from node.config_file import load_config, parse_config
from node.errors import ConfigError

pytestmark = pytest.mark.unit

SHIPPED = Path(__file__).resolve().parents[2] / "config.yaml"
DESTINATION = "destinations: [{name: pacs, ae_title: PACS, host: 127.0.0.1, port: 104}]\n"


def complaint(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, name="c.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("receiver:\n  prot: 3\n", "c.yaml:2: receiver.prot: unknown key; did you mean 'port'?"),
        ("receiver:\n  zzz: 3\n", "c.yaml:2: receiver.zzz: unknown key; known here: ae_title, host, port"),
        ("receiver:\n\n  port: 70000\n", "c.yaml:3: receiver.port: Input should be less than or equal to 65535 (it is 70000)"),
        ("receiver:\n  ae_title: SEVENTEEN-LETTERS\n", "c.yaml:2: receiver.ae_title: String should have at most 16 characters"),
        ("receiver:\n  ae_title: 'BACK\\SLASH'\n", "c.yaml:2: receiver.ae_title: String should match pattern"),
        (
            "routes:\n- name: a\n  workflow: ct\n  match: {modalty: [CT]}\n",
            "c.yaml:4: routes[0].match.modalty: unknown key; did you mean 'modality'?",
        ),
        ("routes:\n- name: a\n  match: {}\n", "c.yaml:2: routes[0].workflow: this key is required"),
        (
            DESTINATION + "routes:\n- name: a\n  workflow: ct\n  match: {}\n  destinations:\n  - pasc\n",
            "c.yaml:7: routes[0].destinations[0]: 'pasc' is not a destination; did you mean 'pacs'?",
        ),
        ("routes:\n- {name: a, workflow: ct, match: {}}\n- {name: a, workflow: ct, match: {}}\n", "routes: the name 'a' is used twice"),
        (
            "routes:\n- name: a\n  workflow: ct\n  match:\n    sop_class: [CTImageStorag]\n",
            "c.yaml:5: routes[0].match.sop_class[0]: 'CTImageStorag' is no SOP class; did you mean 'CTImageStorage'?",
        ),
        ("a: [\n", "c.yaml:2: not valid YAML"),
        ("- 1\n", "c.yaml:1: the file must hold keys and values"),
        ("receiver: {}\nreceiver: {}\n", "c.yaml:2: receiver: the key stands here a second time"),
        ("workflows:\n  ct:\n    high_specificity: {hu: 300, source: x}\n", "high_specificity.hu must lie below high_sensitivity.hu"),
        ("workflows:\n  ct:\n    height_loss_warn: 0.4\n", "height_loss_warn must not exceed height_loss_exclude"),
        ("storage:\n  ledger: ${env:OSTEON_NOT_SET}\n", "c.yaml:2: storage.ledger: the environment variable OSTEON_NOT_SET is not set"),
        ("storage:\n  ledger: ${file:/no/such/file}\n", "c.yaml:2: storage.ledger: /no/such/file cannot be read"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_a_remedy(text: str, expected: str) -> None:
    assert expected in complaint(text)


def test_every_mistake_is_listed_at_once() -> None:
    lines = complaint("receiver:\n  prot: 3\n  port: 0\n").splitlines()
    assert [line.split(": ")[1] for line in lines] == ["receiver.port", "receiver.prot"]


def test_the_shipped_file_is_valid_and_says_what_the_defaults_are() -> None:
    config = load_config(SHIPPED)
    assert [route.name for route in config.routes] == ["dxa", "chest-radiograph", "ct"]
    bare = parse_config("")
    assert config.workflows == bare.workflows
    assert config.receiver == bare.receiver
    assert config.worker == bare.worker
    assert config.completion == bare.completion


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("storage: {spool: here/spool, results: /elsewhere}\n")
    storage = load_config(file).storage
    assert storage.spool == tmp_path / "here/spool"
    assert storage.results == Path("/elsewhere")
    assert storage.ledger.get_secret_value() == f"sqlite:///{tmp_path}/data/osteon.db"


def test_a_secret_comes_from_outside_and_is_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTEON_TEST_LEDGER", "postgresql+psycopg://osteon:hunter2@db/osteon")
    config = parse_config("storage: {ledger: '${env:OSTEON_TEST_LEDGER}'}")
    assert config.storage.ledger.get_secret_value().endswith("hunter2@db/osteon")
    assert "hunter2" not in repr(config)
    secret = tmp_path / "ledger"
    secret.write_text("sqlite:////var/x.db\n")
    assert parse_config(f"storage: {{ledger: '${{file:{secret}}}'}}").storage.ledger.get_secret_value() == "sqlite:////var/x.db"


def test_a_missing_file_says_where_to_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file; start from"):
        load_config(tmp_path / "none.yaml")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(file)


def test_the_hash_follows_what_can_change_a_number_and_nothing_else() -> None:
    plain = parse_config("")
    assert parse_config("receiver: {port: 104}").sha256 == plain.sha256
    assert parse_config("workflows: {ct: {roi: ellipse}}").sha256 != plain.sha256


def test_a_destination_is_found_by_name() -> None:
    config = parse_config(DESTINATION)
    assert config.destination("pacs").port == 104
    with pytest.raises(KeyError):
        config.destination("other")
