"""The state machine of a study: every pair of states."""

import pytest

from node.states import STUDY_TRANSITIONS, IllegalTransitionError, StudyState, check_transition

pytestmark = pytest.mark.unit

ALLOWED = {
    ("receiving", "complete"),
    ("complete", "routed"),
    ("complete", "refused"),
    ("complete", "receiving"),
    ("routed", "working"),
    ("routed", "receiving"),
    ("working", "done"),
    ("working", "refused"),
    ("working", "quarantined"),
    ("working", "routed"),
    ("working", "receiving"),
    ("done", "receiving"),
    ("done", "complete"),
    ("refused", "receiving"),
    ("refused", "complete"),
    ("quarantined", "receiving"),
    ("quarantined", "complete"),
}


@pytest.mark.parametrize("old", list(StudyState))
@pytest.mark.parametrize("new", list(StudyState))
def test_every_pair(old: StudyState, new: StudyState) -> None:
    if (old.value, new.value) in ALLOWED:
        assert check_transition(old, new) is new
    else:
        with pytest.raises(IllegalTransitionError, match=f"a study that is {old} cannot become {new}"):
            check_transition(old, new)


def test_every_state_has_a_way_out_and_is_reached() -> None:
    assert set(STUDY_TRANSITIONS) == set(StudyState)
    reached = {new for targets in STUDY_TRANSITIONS.values() for new in targets}
    assert reached == set(StudyState)
    assert all(STUDY_TRANSITIONS.values())
