"""Claims about the labels that `hierclf evaluate` takes: any layout, by names or by ids."""

import json
from pathlib import Path

import pandas as pd
import pytest

from hierclf.bundle.directory import save_bundle
from hierclf.commands.evaluate import Evaluation, evaluate
from hierclf.commands.evaluation_table import evaluation_notes
from hierclf.commands.label_tables import match_names
from tests.layouts import png, tree
from tests.tiny_models import tiny_bundle

# Of the tiny model: super bird 0, novel 1, dog 2; sub "hen, biddy" 0, owl 1, novel 2, pug 3,
# collie 4. Of six images, two are of new sub-classes, one of them of a new super-class.
TRUTH = {
    "1.png": ("bird", "hen, biddy"),
    "2.png": ("bird", "owl"),
    "3.png": ("dog", "pug"),
    "4.png": ("dog", "husky"),
    "5.png": ("cat", "lynx"),
    "6.png": ("dog", "collie"),
}
PREDICTED = {
    "1.png": (0, 0),
    "2.png": (0, 0),  # sub wrong
    "3.png": (2, 3),
    "4.png": (2, 2),
    "5.png": (2, 3),  # both wrong
    "6.png": (1, 2),  # both wrong
}
EXPECTED = {"super_seen": 4 / 5, "super_unseen": 0.0, "sub_seen": 2 / 4, "sub_unseen": 1 / 2}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "model"
    save_bundle(tiny_bundle(), folder)
    return folder


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    rows = [(image, *ids) for image, ids in PREDICTED.items()]
    table = pd.DataFrame(rows, columns=["image", "superclass_index", "subclass_index"])
    table.to_csv(tmp_path / "predictions.csv", index=False)
    return tmp_path / "predictions.csv"


def names_table(path: Path, columns: tuple[str, str, str], prefix: str = "") -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    rows = [(prefix + image, *names) for image, names in TRUTH.items()]
    table = pd.DataFrame(rows, columns=list(columns))
    match path.suffix:
        case ".jsonl":
            table.to_json(path, orient="records", lines=True)
        case ".parquet":
            table.to_parquet(path)
        case ".tsv":
            table.to_csv(path, index=False, sep="\t")
        case _:
            table.to_csv(path, index=False)
    return path


def check(result: Evaluation) -> None:
    figures = {key: result.accuracies[key] for key in EXPECTED}
    assert figures == pytest.approx(EXPECTED)
    assert result.missing == result.unlabelled == []
    assert result.new_classes == ["cat", "husky", "lynx"]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("prefix", ["", "test/", "/data/test/"])
def test_a_table_of_names_is_truth_and_unknown_names_are_novel(
    tmp_path: Path, model: Path, predictions: Path, ending: str, prefix: str
) -> None:
    path = tmp_path / "labels" / f"test.{ending}"
    names_table(path, ("file_name", "superclass", "subclass"), prefix)
    for labels in (path, path.parent):
        check(evaluate(predictions, labels, model=model))


def test_columns_of_other_names_are_given(tmp_path: Path, model: Path, predictions: Path) -> None:
    path = names_table(tmp_path / "labels.csv", ("photo", "genus", "species"))
    with pytest.raises(ValueError, match=r"labels\.csv row 1: no column is known .*--columns"):
        evaluate(predictions, path, model=model)
    columns = "image=photo,super=genus,sub=species"
    check(evaluate(predictions, path, model=model, columns=columns))


@pytest.mark.parametrize("split", ["", "test/"])
def test_a_tree_of_test_images_is_truth(
    tmp_path: Path, model: Path, predictions: Path, split: str
) -> None:
    images = [f"{split}{parent}/{sub}/{image}" for image, (parent, sub) in TRUTH.items()]
    others = [f"train/bird/owl/{i}.png" for i in range(9)] if split else []
    result = evaluate(predictions, tree(tmp_path / "set", [*images, *others]), model=model)
    check(result)


def test_flat_folders_take_known_super_classes_from_the_model(
    tmp_path: Path, model: Path, predictions: Path
) -> None:
    images = [f"{sub}/{image}" for image, (_, sub) in TRUTH.items()]
    root = tree(tmp_path / "set", images)
    with pytest.raises(
        ValueError, match=r"'husky': is not in the model or hierarchy\.csv \(and 1 more\)"
    ):
        evaluate(predictions, root, model=model)
    (root / "hierarchy.csv").write_text("sub,super\nhusky,dog\nlynx,cat\n")
    check(evaluate(predictions, root, model=model))


def test_a_table_of_sub_classes_takes_them_too_and_novel_has_none(
    tmp_path: Path, model: Path, predictions: Path
) -> None:
    subs = ["hen, biddy", "owl", "pug", "collie", "novel", "Novel"]
    table = pd.DataFrame({"image": [f"{i}.png" for i in range(1, 7)], "label": subs})
    table.to_csv(tmp_path / "labels.csv", index=False)
    result = evaluate(predictions, tmp_path / "labels.csv", model=model)
    assert result.counts["super_unseen"] == result.counts["sub_unseen"] == 2
    assert result.new_classes == []


def test_an_imagefolder_of_test_images_is_truth(
    tmp_path: Path, model: Path, predictions: Path
) -> None:
    names_table(tmp_path / "set" / "test" / "metadata.jsonl", ("file_name", "super", "sub"))
    (tmp_path / "set" / "train").mkdir()
    other = {"file_name": "1.png", "super": "dog", "sub": "pug"}
    (tmp_path / "set" / "train" / "metadata.jsonl").write_text(json.dumps(other))
    check(evaluate(predictions, tmp_path / "set", model=model))
    check(evaluate(predictions, tmp_path / "set" / "test", model=model))


def test_of_a_split_column_the_test_rows_are_truth(
    tmp_path: Path, model: Path, predictions: Path
) -> None:
    path = names_table(tmp_path / "labels.csv", ("image", "super", "sub"))
    table = pd.read_csv(path).assign(split="test")
    train = pd.DataFrame([("0.png", "dog", "pug", "train")], columns=table.columns)
    pd.concat([train, table]).to_csv(path, index=False)
    check(evaluate(predictions, path, model=model))


def test_parquet_with_image_bytes_is_truth(tmp_path: Path, model: Path, predictions: Path) -> None:
    table = pd.DataFrame(list(TRUTH.values()), columns=["superclass", "subclass"])
    table = table.assign(image=[png(0)] * 6, image_name=list(TRUTH))
    table.to_parquet(tmp_path / "test.parquet")
    check(evaluate(predictions, tmp_path / "test.parquet", model=model))


def test_new_classes_are_listed_in_a_note(tmp_path: Path, model: Path, predictions: Path) -> None:
    path = names_table(tmp_path / "labels.csv", ("image", "super", "sub"))
    assert evaluation_notes(evaluate(predictions, path, model=model)) == [
        "3 classes are none of the model's, novel: cat, husky, lynx"
    ]


def test_all_bad_rows_are_counted_and_the_first_is_named(
    tmp_path: Path, model: Path, predictions: Path
) -> None:
    (tmp_path / "labels.csv").write_text(
        "image,super,sub\n1.png,,owl\n2.png,bird,\n../3.png,dog,pug\n4.png,dog,pug\n4.png,dog,pug\n"
    )
    with pytest.raises(
        ValueError, match=r"labels\.csv row 2: the superclass label is empty \(and 3 more\)$"
    ):
        evaluate(predictions, tmp_path / "labels.csv", model=model)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"labels.csv": ""}, "it is empty"),
        ({"labels.csv": "image,super,sub\n"}, "must have rows"),
        ({"a.csv": "image,super,sub\n1,a,b\n", "b.csv": "image,super,sub\n1,a,b\n"}, "several"),
        ({"notes.txt": "x"}, "no images at all"),
        ({}, "no images at all"),
    ],
)
def test_labels_that_say_nothing_are_refused(
    tmp_path: Path, model: Path, predictions: Path, content: dict[str, str], what: str
) -> None:
    root = tmp_path / "set"
    root.mkdir()
    for name, text in content.items():
        (root / name).write_text(text)
    labels = root / "labels.csv" if "labels.csv" in content else root
    with pytest.raises(ValueError, match=what):
        evaluate(predictions, labels, model=model)
    with pytest.raises(ValueError, match="no such file or folder"):
        evaluate(predictions, tmp_path / "gone", model=model)


def test_names_match_by_their_end_only_where_one_image_has_it() -> None:
    labels = ["a/1.png", "b/1.png", "c/2.png", "3.png"]
    assert match_names(labels, ["a/1.png", "1.png", "2.png", "x/3.png"]) == {
        "a/1.png": "a/1.png",
        "c/2.png": "2.png",
    }
    assert match_names(["x/1.png", "y/x/1.png"], ["x/1.png"]) == {"x/1.png": "x/1.png"}
