"""Claims about `search.space`: what it may name, within what, and what a trial makes of it."""

import re
from pathlib import Path

import pytest
import yaml

from hierclf.config import Choices, Config, Interval, load_config, parse_config
from hierclf.config.space import short_names, shown_values

SHOWN = """
search:
  trials: 16
  space:
    train.lr: {low: 1.0e-4, high: 1.0e-2, log: true}
    train.strength: {low: 0.0, high: 1.5}
    train.batch_size: {low: 16, high: 64, step: 16}
    train.precision: {choices: [auto, fp32]}
    model.backbone: {choices: [resnet18, resnet50]}
"""


def test_a_space_names_any_value_of_network_and_training(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SHOWN)
    space = load_config(tmp_path / "a.yaml").search.space
    assert space == {
        "train.lr": Interval(low=1e-4, high=1e-2, log=True),
        "train.strength": Interval(low=0.0, high=1.5),
        "train.batch_size": Interval(low=16, high=64, step=16),
        "train.precision": Choices(choices=("auto", "fp32")),
        "model.backbone": Choices(choices=("resnet18", "resnet50")),
    }


def test_learning_rate_weight_decay_and_strength_are_the_default() -> None:
    assert list(Config().search.space) == ["train.lr", "train.weight_decay", "train.strength"]


def test_a_space_is_the_same_after_it_was_written_and_read(tmp_path: Path) -> None:
    config = parse_config(yaml.safe_load(SHOWN))
    assert parse_config(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json")))) == config


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "search.space.train.lr={low: 1, high: 0.5}",
            ["train.lr", "low < high", "low=1, high=0.5"],
        ),
        ("search.space.train.lr.low=0", ["train.lr", "low > 0", "log", "low=0"]),
        ("search.space.train.lr=5", ["search.space.train.lr", "dictionary", "5"]),
        ("search.space.train.lr={low: 1}", ["search.space.train.lr.high", "required"]),
        ("search.space.train.strength={low: 0, high: 4}", ["train.strength", "4.0", "to 3"]),
        ("search.space.train.strength.step=5", ["train.strength", "0 < step", "step=5"]),
        ("search.space.train.lr.step=1e-3", ["train.lr", "step", "log"]),
        ("search.space.train.batch_size={low: 1, high: 8}", ["train.batch_size", "1", "2"]),
        ("search.space.train.batch_size={low: 2.5, high: 8}", ["whole numbers", "low=2.5"]),
        ("search.space.train.precision={low: 1, high: 8}", ["train.precision", "choices"]),
        ("search.space.train.precision={choices: [fp32, fp8]}", ["train.precision", "fp8"]),
        ("search.space.train.precision={choices: [fp32]}", ["two values", "['fp32']"]),
        ("search.space.train.precision={choices: [fp32, fp32]}", ["all different"]),
        ("search.space.train.lr={choices: [1, 2], low: 1}", ["unknown key", "train.lr.low"]),
        ("search.space.train.rate={low: 1, high: 2}", ["search.space", "train.rate"]),
        ("search.space.lr={low: 1, high: 2}", ["search.space", "dotted keys", "got lr"]),
        ("search.space.data.path={choices: [a, b]}", ["search.space", "got data.path"]),
        ("search.space.folds.sub={low: 2, high: 5}", ["search.space", "got folds.sub"]),
        ("search.space.seed={choices: [1, 2]}", ["search.space", "got seed"]),
        ("search.space.search.trials={low: 1, high: 2}", ["search.space", "got search.trials"]),
        ("search.space.train.epochs={low: 1, high: 2}", ["search.space", "got train.epochs"]),
        ("search.space.model.freeze={choices: [none, backbone]}", ["got model.freeze"]),
        ("search.space={}", ["search.space must name a value"]),
        ("search.space=7", ["search.space", "dictionary", "7"]),
        ("search.trials=-1", ["search.trials", "greater than or equal to 0", "-1"]),
    ],
)
def test_a_wrong_space_is_one_line(override: str, said: list[str]) -> None:
    with pytest.raises(ValueError, match=r"\S") as caught:
        load_config(None, [override])
    assert "\n" not in str(caught.value)
    for words in said:
        assert words in str(caught.value)


def test_an_override_changes_one_parameter_and_null_removes_it() -> None:
    config = load_config(None, ["search.space.train.lr.high=0.1"])
    assert config.search.space["train.lr"] == Interval(low=1e-5, high=0.1, log=True)
    assert len(config.search.space) == 3
    config = load_config(None, ["search.space.train.strength=null"])
    assert list(config.search.space) == ["train.lr", "train.weight_decay"]
    config = load_config(None, ["search.space={train.lr: {low: 1, high: 2}}"])
    assert list(config.search.space) == ["train.lr"]


def test_without_trials_nothing_need_be_searched() -> None:
    assert load_config(None, ["search.space={}", "search.trials=0"]).search.space == {}


def test_the_old_keys_are_read_with_one_line_that_names_the_new_one() -> None:
    with pytest.warns(FutureWarning, match=r"search\.lr: now an entry of search\.space") as caught:
        config = parse_config({"search": {"lr": {"low": 1e-3, "high": 1e-2}}})
    assert len(caught) == 1
    new = load_config(None, ["search.space.train.lr.low=1e-3"])
    assert config == new
    with pytest.raises(ValueError, match=r"give train\.lr in search\.space"):
        parse_config({"search": {"lr": {"low": 1, "high": 2}, "space": {}}})


def test_a_frozen_backbones_features_vary_by_choices_only() -> None:
    tree = {
        "model": {"freeze": "backbone"},
        "search": {"space": {"train.views": {"low": 1, "high": 2}}},
    }
    with pytest.raises(ValueError, match=r"train\.views .* give choices"):
        parse_config(tree)
    tree["search"] = {"space": {"train.views": {"choices": [1, 2]}}}
    assert [c.train.views for c in parse_config(tree).variants(["train.views"])] == [1, 2]


def test_searched_values_are_replaced_and_checked() -> None:
    config = Config().with_values({"train.lr": 0.1, "model.backbone": "resnet18"})
    assert (config.train.lr, config.model.backbone) == (0.1, "resnet18")
    rest = config.model_dump()
    rest["train"]["lr"], rest["model"]["backbone"] = 1e-4, "resnet50"
    assert rest == Config().model_dump()
    with pytest.raises(ValueError, match="lr"):
        Config().with_values({"train.lr": -1.0})


def test_the_strongest_augmentation_is_the_spaces() -> None:
    assert Config().max_strength == 2.0
    assert load_config(None, ["search.space.train.strength=null"]).max_strength == 1.0
    choices = "search.space.train.strength={choices: [0, 0.5]}"
    assert load_config(None, [choices]).max_strength == 0.5


def test_names_are_short_where_that_is_clear() -> None:
    assert short_names(["train.lr", "model.backbone"]) == {
        "train.lr": "lr",
        "model.backbone": "backbone",
    }
    assert list(short_names(["train.lr", "model.lr"]).values()) == ["train.lr", "model.lr"]
    assert (
        shown_values({"train.lr": 1 / 3000, "train.batch_size": 64}) == "lr=0.000333 batch_size=64"
    )


def test_the_search_of_the_page_of_ideas_is_read() -> None:
    text = (Path(__file__).parents[1] / "docs" / "switches.md").read_text()
    overrides = re.findall(r"--set '(search\.space\..*)'", text)
    assert len(overrides) >= 3
    # The command names the images by its option --generated.
    assert load_config("cpu", [*overrides, "data.generated=drawn"]).search.space
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert parse_config(yaml.safe_load(block)).search.space
