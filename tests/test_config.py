"""Claims about the configuration: every mistake is one line that names key, rule and value."""

from pathlib import Path

import pytest
import yaml

from hierclf.config import Config, Interval, load_config, parse_config
from hierclf.rules.goals import BALANCED, Goal

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_file_loads(path: Path) -> None:
    config = load_config(path)
    # Written out and read again, as a resumed run does, it is the same.
    assert parse_config(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json")))) == config


def test_the_shipped_files_are_found() -> None:
    assert {path.stem for path in CONFIGS} >= {"cpu", "demo", "paper"}


def test_paper_yaml_is_the_papers_recipe() -> None:
    config = load_config(next(path for path in CONFIGS if path.stem == "paper"))
    model, train = config.model, config.train
    assert (model.backbone, model.weights, model.image_size) == ("resnet50", "default", 224)
    assert model.novel_output
    assert (train.epochs, train.batch_size, train.eval_batch_size) == (30, 64, 128)
    assert (train.lr, train.weight_decay, train.strength) == (1e-4, 1e-4, 1.0)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.lr=0", ["train.lr", "greater than 0", "0"]),
        ("train.lr=.nan", ["train.lr", "finite", "nan"]),
        ("train.lr=fast", ["train.lr", "number", "'fast'"]),
        ("train.epochs=2.5", ["train.epochs", "integer", "2.5"]),
        ("train.strength=3.5", ["train.strength", "less than or equal to 3", "3.5"]),
        ("train.precision=fp8", ["train.precision", "'fp32', 'bf16' or 'fp16'", "'fp8'"]),
        ("train.learning_rate=1", ["unknown key train.learning_rate"]),
        ("modle.backbone=resnet18", ["unknown key modle"]),
        ("model.freeze=heads", ["model.freeze", "'none' or 'backbone'", "'heads'"]),
        ("model.crop_fraction=1.5", ["model.crop_fraction", "less than or equal to 1", "1.5"]),
        ("data.size=8", ["data.size", "greater than or equal to 16", "8"]),
        ("folds.val_fraction=0", ["folds.val_fraction", "greater than 0", "0"]),
        ("folds.sub=1", ["folds.sub", "greater than or equal to 2", "1"]),
        ("thresholds.scores=[msp, odin]", ["thresholds.scores", "max_logit", "odin"]),
        ("thresholds.scores=[msp, msp]", ["thresholds.scores", "each once", "['msp', 'msp']"]),
        ("thresholds.scores=[knn]", ["thresholds.scores", "with msp", "['knn']"]),
        ("thresholds.scores=[]", ["thresholds.scores", "with msp", "[]"]),
        ("seed=-1", ["seed", "greater than or equal to 0", "-1"]),
        ("train=5", ["train", "TrainConfig", "5"]),
        ("train.lr", ["section.key=value", "'train.lr'"]),
        ("=5", ["section.key=value", "'=5'"]),
        ("train.lr=[1", ["--set train.lr", "YAML", "'[1'"]),
    ],
)
def test_a_wrong_override_is_one_line_with_key_rule_and_value(
    override: str, said: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"\S") as caught:
        load_config(None, [override])
    message = str(caught.value)
    assert "\n" not in message
    for part in said:
        assert part in message, message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"train:\n  lr: 0\n", ["train.lr", "greater than 0"]),
        (b"train:\n  lr: [\n", ["valid YAML"]),
        (b"- train\n", ["mapping", "list"]),
        (b"\xff\xfe\x00", ["valid YAML"]),
        (b"train: {lr: 0}\nseed: -3\n", ["train.lr", "; seed", "-3"]),
    ],
)
def test_a_wrong_file_is_one_line_that_names_the_file(
    tmp_path: Path, content: bytes, said: list[str]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"mine\.yaml") as caught:
        load_config(path)
    assert "\n" not in str(caught.value)
    for part in said:
        assert part in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.yaml does not exist"):
        load_config(tmp_path / "gone.yaml")


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert load_config(tmp_path / "empty.yaml") == Config()


def test_overrides_win_over_the_file_and_the_last_one_wins(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("train: {lr: 0.5, epochs: 7}\n")
    config = load_config(tmp_path / "a.yaml", ["train.lr=0.25", "train.lr=0.125"])
    assert (config.train.lr, config.train.epochs) == (0.125, 7)


@pytest.mark.parametrize("text", ["1e-4", "1.0e-4", "0.0001"])
def test_every_way_to_write_a_small_number_is_a_number(text: str, tmp_path: Path) -> None:
    assert load_config(None, [f"train.lr={text}"]).train.lr == 1e-4
    assert load_config(None, [f"train.clip_norm={text}"]).train.clip_norm == 1e-4
    space = load_config(None, [f"search.space.train.lr.low={text}"]).search.space
    assert space["train.lr"] == Interval(low=1e-4, high=1e-2, log=True)
    (tmp_path / "a.yaml").write_text(f"train: {{lr: {text}}}\n")
    assert load_config(tmp_path / "a.yaml").train.lr == 1e-4


def test_a_quoted_override_stays_text() -> None:
    assert load_config(None, ["data.path='2024'"]).data.path == "2024"
    assert load_config(None, ["model.weights=a=b.pth"]).model.weights == "a=b.pth"


def test_null_takes_an_option_back(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("train: {clip_norm: 1}\n")
    config = load_config(tmp_path / "a.yaml", ["train.clip_norm=null"])
    assert config.train.clip_norm is None


def test_a_goal_comes_with_its_number() -> None:
    assert Config().thresholds.target == BALANCED
    config = load_config(None, ["thresholds.goal=overall", "thresholds.novel_rate=0.3"])
    assert config.thresholds.target == Goal("overall", novel_rate=0.3)
    with pytest.raises(ValueError, match=r"`seen` must be given with the goal 'seen-at-least'"):
        load_config(None, ["thresholds.goal=seen-at-least"])
    with pytest.raises(ValueError, match=r"0 < seen <= 1.* but got seen=1.5"):
        load_config(None, ["thresholds.goal=seen-at-least", "thresholds.seen=1.5"])


def test_a_former_score_name_loads_with_one_line_that_names_the_new_one() -> None:
    with pytest.warns(FutureWarning, match="^the score 'prior_kl' is now called 'pretrained_kl'$"):
        config = load_config(None, ["thresholds.scores=[msp,prior_kl]"])
    assert config.thresholds.scores == ("msp", "pretrained_kl")


def test_a_frozen_backbone_needs_trained_weights() -> None:
    with pytest.raises(ValueError, match=r"^.*model: freeze=backbone .* got weights=none$"):
        parse_config({"model": {"freeze": "backbone", "weights": "none"}})


def test_a_configuration_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().train.lr = 0.5


def test_values_are_taken_as_they_are_and_win() -> None:
    path = "/data/a: b 😀"
    config = load_config(None, ["data.path=other"], values={"data.path": path, "search.trials": 0})
    assert (config.data.path, config.search.trials) == (path, 0)


def test_a_path_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.path: path must be UTF-8 text, but got .*udcff"):
        load_config(None, values={"data.path": "/data/\udcff"})


def test_every_key_is_described_in_the_schema() -> None:
    schema = Config.model_json_schema()
    fields = {"Config": schema["properties"]}
    fields |= {name: section["properties"] for name, section in schema["$defs"].items()}
    for section, keys in fields.items():
        for key, field in keys.items():
            assert field.get("description") or "$ref" in str(field), (section, key)
