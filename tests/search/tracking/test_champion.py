"""Which version is the champion, in a real registry."""

import pytest

from search.tracking import store
from search.tracking.champion import choose_champion


@pytest.mark.parametrize(
    ("versions", "take_over", "champion", "said"),
    [
        ([("a", 0.5)], True, "1", "first champion"),
        ([("a", 0.5), ("a", 0.4)], True, "1", "stays champion"),
        ([("a", 0.5), ("a", 0.5)], True, "2", "is now the champion"),
        ([("a", 0.5), ("b", 0.1)], True, "2", "was version 1, trained on other data"),
        (
            [("a", 0.5), ("b", 0.9)],
            False,
            "1",
            "trained on other data, stays champion (--take-over",
        ),
        ([("b", 0.1)], False, "1", "first champion"),
        (
            [("a", 0.5), ("b", 0.9), ("a", 0.4)],
            True,
            "1",
            "version 1, best on this data, is now the champion",
        ),
        ([("a", 0.5), ("b", 0.9), ("a", 0.6)], True, "3", "is now the champion"),
        ([(None, None), ("a", 0.4)], True, "2", "is now the champion"),
        ([(None, None), ("a", 0.4)], False, "1", "stays champion"),
    ],
)
def test_the_champion_is_the_best_version_on_the_data_that_is_worked_on(
    mlflow_uri: str,
    request: pytest.FixtureRequest,
    versions: list[tuple[str | None, float | None]],
    take_over: bool,
    champion: str,
    said: str,
) -> None:
    client = store.connect(mlflow_uri)
    name = request.node.callspec.id
    client.create_registered_model(name)
    for number, (data, objective) in enumerate(versions, 1):
        tags = {"data_fingerprint": data, "held_out_objective": str(objective)} if data else {}
        client.create_model_version(name, "file:///nowhere", tags=tags)
        chosen, message = choose_champion(
            client, name, "champion", str(number), take_over=take_over
        )
        client.set_registered_model_alias(name, "champion", chosen)
    assert chosen == champion
    assert said in message
