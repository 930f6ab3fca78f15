"""Claims about evaluation: hand-counted and sklearn's figures, and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score

from hierclf.bundle.directory import save_bundle
from hierclf.commands.evaluate import Evaluation, evaluate
from hierclf.commands.evaluation_table import evaluation_notes
from tests.tiny_models import HIERARCHY, tiny_bundle

COLUMNS = ["image", "superclass_index", "subclass_index"]
# Novel is 1 at the super level and 2 at the sub level.
LABELS = [
    ("1.jpg", 0, 0),
    ("2.jpg", 0, 1),
    ("3.jpg", 2, 3),
    ("4.jpg", 2, 2),
    ("5.jpg", 1, 2),
]


def write(path: Path, rows: list[tuple[str, int, int]]) -> Path:
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, index=False)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """LABELS as labels.csv beside mapping files."""
    supers, subs = "0,bird\n1,novel\n2,dog\n", '0,"hen, biddy"\n1,owl\n2,novel\n3,pug\n4,collie\n'
    (tmp_path / "superclass_mapping.csv").write_text("index,class\n" + supers)
    (tmp_path / "subclass_mapping.csv").write_text("index,class\n" + subs)
    write(tmp_path / "labels.csv", LABELS)
    return tmp_path


def run(folder: Path, rows: list[tuple[str, int, int]], name: str = "out.csv") -> Evaluation:
    return evaluate(write(folder / name, rows), folder / "labels.csv")


PREDICTIONS = [
    ("5.jpg", 1, 2),  # all right
    ("4.jpg", 2, 3),  # novel sub taken for known
    ("3.jpg", 1, 2),  # both taken for novel
    ("2.jpg", 0, 0),  # wrong sub
    ("1.jpg", 0, 0),  # all right
]


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_small_case_counted_by_hand(folder: Path, name: str) -> None:
    result = run(folder, PREDICTIONS, name)
    assert result.accuracies == pytest.approx(
        {
            "super_overall": 4 / 5,
            "super_seen": 3 / 4,
            "super_unseen": 1 / 1,
            "super_harmonic": 2 * 0.75 / 1.75,
            "sub_overall": 2 / 5,
            "sub_seen": 1 / 3,
            "sub_unseen": 1 / 2,
            "sub_harmonic": 2 * (1 / 6) / (5 / 6),
        }
    )
    assert result.counts == {
        "super_overall": 5,
        "super_seen": 4,
        "super_unseen": 1,
        "sub_overall": 5,
        "sub_seen": 3,
        "sub_unseen": 2,
    }
    assert result.missing == result.unlabelled == []


def test_constant_predictions_stand_beside_it(folder: Path) -> None:
    result = run(folder, PREDICTIONS)
    always, never = result.always_novel, result.never_novel
    assert [always[f"sub_{part}"] for part in ("overall", "seen", "unseen")] == [0.4, 0.0, 1.0]
    assert [never[f"sub_{part}"] for part in ("overall", "seen", "unseen")] == [0.6, 1.0, 0.0]
    assert always["sub_harmonic"] == never["sub_harmonic"] == 0.0


def test_overall_seen_and_unseen_are_sklearns_accuracy(folder: Path) -> None:
    rng = np.random.default_rng(0)
    true, pred = rng.integers(0, 5, (2, 500))
    supers = np.array([0, 0, 1, 2, 2])
    names = [f"{i}.jpg" for i in range(500)]
    write(folder / "labels.csv", list(zip(names, supers[true], true, strict=True)))
    rows = list(zip(names, supers[pred], pred, strict=True))
    rng.shuffle(rows)
    result = run(folder, [(str(n), int(a), int(b)) for n, a, b in rows]).accuracies
    for level, of, novel in (("super", supers, 1), ("sub", np.arange(5), 2)):
        truth, prediction = of[true], of[pred]
        seen = truth != novel
        assert result[f"{level}_overall"] == pytest.approx(accuracy_score(truth, prediction))
        assert result[f"{level}_seen"] == pytest.approx(
            accuracy_score(truth[seen], prediction[seen])
        )
        unseen = accuracy_score(truth[~seen], prediction[~seen])
        assert result[f"{level}_unseen"] == pytest.approx(unseen)


def test_a_missing_prediction_is_wrong_and_said(folder: Path) -> None:
    without_novel = [row for row in PREDICTIONS if row[0] != "5.jpg"]
    result = run(folder, [*without_novel, ("99.jpg", 0, 0)])
    assert result.accuracies["super_unseen"] == 0.0
    assert result.accuracies["super_overall"] == pytest.approx(3 / 5)
    assert result.counts["super_overall"] == 5
    assert (result.missing, result.unlabelled) == (["5.jpg"], ["99.jpg"])
    assert evaluation_notes(result) == [
        "1 labelled images without prediction, wrong: 5.jpg",
        "1 predicted images without label, left out: 99.jpg",
    ]


def test_a_part_without_images_has_no_accuracy(folder: Path) -> None:
    write(folder / "labels.csv", LABELS[:3])
    result = run(folder, PREDICTIONS[2:])
    assert result.accuracies["sub_unseen"] is None
    assert result.accuracies["sub_harmonic"] is None
    assert result.accuracies["sub_overall"] == result.accuracies["sub_seen"]


def test_the_model_gives_the_novel_ids_where_no_mapping_does(tmp_path: Path) -> None:
    save_bundle(tiny_bundle(), tmp_path / "model")
    labels = write(tmp_path / "labels.csv", LABELS)
    predictions = write(tmp_path / "out.csv", PREDICTIONS)
    assert (HIERARCHY.novel_super_id, HIERARCHY.novel_sub_id) == (1, 2)
    result = evaluate(predictions, labels, model=tmp_path / "model")
    assert result.accuracies["sub_unseen"] == 0.5
    with pytest.raises(ValueError, match=r"superclass_mapping\.csv must lie beside .*--model"):
        evaluate(predictions, labels)


def test_a_mapping_without_a_novel_row_is_refused(folder: Path) -> None:
    (folder / "subclass_mapping.csv").write_text("index,class\n0,a\n1,b\n3,c\n4,d\n")
    with pytest.raises(ValueError, match=r"subclass_mapping\.csv must have a row .*'novel'"):
        run(folder, PREDICTIONS)


def test_an_image_twice_is_refused_with_both_rows(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"'1\.jpg' is in out\.csv row 2 and in out\.csv row 4"):
        run(folder, [("1.jpg", 0, 0), ("2.jpg", 0, 0), ("1.jpg", 0, 1)])
    write(folder / "labels.csv", [*LABELS, LABELS[0]])
    with pytest.raises(ValueError, match=r"labels\.csv row 7: every image must appear once"):
        run(folder, PREDICTIONS)


def test_an_unknown_id_is_refused_with_its_row(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"out\.csv row 2: subclass_index .* got '77'"):
        run(folder, [("1.jpg", 0, 77)])
    with pytest.raises(ValueError, match=r"out\.parquet row 0: subclass_index .* got 77"):
        run(folder, [("1.jpg", 0, 77)], "out.parquet")


def test_tables_that_have_no_image_in_common_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"names none \('1\.jpg' there, 'images/1\.jpg' here\)"):
        run(folder, [("images/1.jpg", 0, 0)])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("image,superclass_index\n1.jpg,0\n", "column 'subclass_index' is missing"),
        ("image,superclass_index,subclass_index\n1.jpg,0\n", "has 2 cells, but the header has 3"),
        ("image,superclass_index,subclass_index\n", "must have rows"),
    ],
)
def test_a_csv_of_another_form_is_refused(folder: Path, text: str, reason: str) -> None:
    (folder / "bad.csv").write_text(text)
    with pytest.raises(ValueError, match=reason):
        evaluate(folder / "bad.csv", folder / "labels.csv")


def test_a_parquet_file_of_another_form_is_refused(folder: Path) -> None:
    pd.DataFrame({"image": ["1.jpg"]}).to_parquet(folder / "bad.parquet")
    with pytest.raises(ValueError, match="column 'superclass_index' is missing"):
        evaluate(folder / "bad.parquet", folder / "labels.csv")
    (folder / "bad.parquet").write_bytes(b"x")
    with pytest.raises(ValueError, match="must be a Parquet file"):
        evaluate(folder / "bad.parquet", folder / "labels.csv")


def test_a_file_that_does_not_exist_is_named(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.csv must be .* no such file"):
        evaluate(folder / "gone.csv", folder / "labels.csv")
