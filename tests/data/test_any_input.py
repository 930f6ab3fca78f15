"""Claims about tables, paths and zips of any content, by examples that hypothesis makes up."""

import csv
import io
import posixpath
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hierclf.data.csv_tables import read_mapping
from hierclf.data.file_names import unsafe_reason
from hierclf.data.image_files import list_images
from hierclf.data.listing import Problem
from hierclf.data.sources import inspect_source, open_source
from hierclf.hierarchy import Hierarchy
from hierclf.metrics.accuracy import six_accuracies
from hierclf.training.folds import refit_fold
from tests.layouts import ROWS, png, release, write_csv
from tests.planned_folds import plan_folds

# Cells as tables go wrong: near-numbers, separators, quotes, lines, marks, other scripts.
ODD_CELLS = [
    *("", " ", "0", "1", " 2", "7", "-1", "1.0", "1e3", "٣", "novel", "NOVEL", "nan", "9" * 25),
    *("a\nb", '"', ",", ";", "\ufeff", "\x00", "../0.png", "0.png", "/etc/passwd", "ü", "\u202e"),
]
FIRST_LETTER = 0
if sys.version_info < (3, 11):  # its csv module neither writes nor reads a NUL
    ODD_CELLS.remove("\x00")
    FIRST_LETTER = 1
CELLS = st.sampled_from(ODD_CELLS) | st.text(
    st.characters(exclude_categories=["Cs"], min_codepoint=FIRST_LETTER), max_size=6
)
TABLES = st.lists(st.lists(CELLS, max_size=5), max_size=8)
RAW = st.binary(max_size=200)
quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def check_report(root: Path) -> None:
    """A source or a fatal problem, and in either case no other exception and one line."""
    source, problems = inspect_source(str(root))
    assert (source is None) == any(problem.fatal for problem in problems)
    for problem in problems:
        assert problem.what
        assert "\n" not in problem.where + problem.what
    if source is None:
        with pytest.raises(ValueError, match=r".") as caught:
            open_source(str(root))
        assert "\n" not in str(caught.value)


# --- tables ------------------------------------------------------------------------------------


@quick
@given(TABLES, st.sampled_from(["train_data.csv", "superclass_mapping.csv"]), st.booleans())
def test_a_table_of_any_cells_is_reported(
    rows: list[list[str]], name: str, keep_header: bool
) -> None:
    with folder() as root:
        release(root)
        header = (root / name).read_text().splitlines()[0].split(",")
        with (root / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows] if keep_header else rows)
        check_report(root)


@quick
@given(RAW, st.sampled_from(["train_data.csv", "subclass_mapping.csv", "train_images.zip"]))
def test_a_file_of_any_bytes_is_reported(data: bytes, name: str) -> None:
    with folder() as root:
        release(root)
        (root / name).write_bytes(data)
        check_report(root)


@quick
@given(st.lists(st.tuples(CELLS, CELLS), max_size=8))
def test_a_mapping_gives_each_row_as_a_class_or_as_a_problem(rows: list[tuple[str, str]]) -> None:
    with folder() as root:
        problems: list[Problem] = []
        write_csv(root / "m.csv", ("index", "class"), rows)
        level = read_mapping(root / "m.csv", problems)
        assert level.novel_id not in level.names
        assert len(set(level.names.values())) == len(level.names)
        assert all(name == name.strip() != "" for name in level.names.values())
        filled = [row for row in rows if any(row)]
        if not any(problem.where == "m.csv" for problem in problems):
            named = {name.strip() for _, name in rows}
            assert set(level.names.values()) <= named
            novel = sum(name.strip().lower() == "novel" for _, name in filled)
            assert len(level.names) + len(problems) + min(novel, 1) >= len(filled)


@st.composite
def hierarchies(draw: st.DrawFn) -> tuple[list[int], list[int], list[int]]:
    """Ids of super-classes, ids of sub-classes, and the super-class of each sub-class."""
    ids = st.integers(-(10**17), 10**17)
    supers = draw(st.lists(ids, min_size=2, max_size=4, unique=True))
    subs = draw(st.lists(ids, min_size=len(supers) + 1, max_size=9, unique=True))
    more = st.integers(0, len(supers) - 1)
    parents = [*range(len(supers)), *(draw(more) for _ in subs[len(supers) :])]
    return supers, subs, parents


@quick
@given(hierarchies(), st.booleans(), st.randoms(use_true_random=False))
def test_a_sound_table_is_read_as_it_was_written(
    drawn: tuple[list[int], list[int], list[int]], mark: bool, random: object
) -> None:
    supers, subs, parents = drawn
    images = [(f"{i}.png", supers[parents[i // 2]], subs[i // 2]) for i in range(2 * len(subs))]
    random.shuffle(images)  # type: ignore[attr-defined]
    with folder() as root:
        release(
            root,
            images,
            supers=[(i, f"super, {i}") for i in supers],
            subs=[(i, f'sub "{i}"') for i in subs],
            images=[f"{i}.png" for i in range(len(images))],
            encoding="utf-8-sig" if mark else "utf-8",
        )
        source = open_source(str(root))
    known = source.hierarchy
    found = known.decode(source.super_labels, source.sub_labels)
    assert list(zip(source.images, *(a.tolist() for a in found), strict=True)) == images
    assert known.super_names == tuple(f"super, {i}" for i in sorted(supers))
    assert known.sub_names == tuple(f'sub "{i}"' for i in sorted(subs))
    assert known.novel_sub_id == max(subs) + 1


# --- paths and zips ------------------------------------------------------------------------------

PARTS = st.sampled_from(["..", ".", "", "a", "b.png", "C:", "\\", "\x00", "...", "ü", "..\\.."])


@given(st.lists(PARTS, max_size=6).map("/".join) | st.text(max_size=12))
def test_a_name_that_is_followed_stays_inside_the_folder(name: str) -> None:
    if unsafe_reason(name):
        return
    unified = name.replace("\\", "/")
    inside = posixpath.normpath(posixpath.join("/data/set", unified))
    assert posixpath.commonpath([inside, "/data/set"]) == "/data/set"
    assert ".." not in PureWindowsPath(name).parts
    assert not PureWindowsPath(name).root
    assert "\0" not in name


@pytest.mark.filterwarnings("ignore:Duplicate name")
@quick
@given(
    st.dictionaries(
        (
            st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
            | st.lists(PARTS, max_size=4).map("/".join)
        ).map(lambda name: name.replace("\0", "") + ".png"),  # zipfile writes no zero bytes
        st.binary(max_size=20),
        max_size=6,
    ),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_a_zip_of_any_names_is_listed_and_nothing_is_written(
    entries: dict[str, bytes], method: int
) -> None:
    with folder() as root:
        release(root, images=[f"{i}.png" for i in range(6)])
        with zipfile.ZipFile(root / "train_images.zip", "a", method) as archive:
            for name, data in entries.items():
                archive.writestr(name, data)
        before = sorted(root.rglob("*"))
        check_report(root)
        with suppress(ValueError):  # such as the same name twice
            images = list_images(str(root / "train_images.zip"))
            held = {*entries.values(), *(png(i) for i in range(6))}
            assert {read() for _, read in images} <= held
        assert sorted(root.rglob("*")) == before


ARCHIVE = io.BytesIO()
with zipfile.ZipFile(ARCHIVE, "w", zipfile.ZIP_DEFLATED) as made:
    for number, row in enumerate(ROWS):
        made.writestr(str(row[0]), png(number))


@quick
@given(st.lists(st.tuples(st.integers(0, len(ARCHIVE.getvalue()) - 1), st.integers(0, 255))))
def test_a_damaged_zip_fails_by_entry_or_as_a_whole_in_one_line(
    damage: list[tuple[int, int]],
) -> None:
    data = bytearray(ARCHIVE.getvalue())
    for place, value in damage:
        data[place] = value
    with folder() as root:
        release(root)
        (root / "train_images.zip").write_bytes(data)
        check_report(root)
        source, _ = inspect_source(str(root))
        if source is not None:
            for index in range(len(source.images)):
                with suppress(ValueError):
                    source.read(index)


# --- splits and figures --------------------------------------------------------------------------


@quick
@given(hierarchies(), st.integers(2, 6), st.integers(0, 9), st.data())
def test_no_split_is_empty_and_none_shares_an_image(
    drawn: tuple[list[int], list[int], list[int]], n_folds: int, seed: int, data: st.DataObject
) -> None:
    _, subs, parents = drawn
    n_super = max(parents) + 1
    known = Hierarchy(
        super_names=tuple(f"s{i}" for i in range(n_super)),
        sub_names=tuple(f"c{i}" for i in range(len(subs))),
        sub_to_super=tuple(parents),
        super_ids=tuple(range(n_super)),
        sub_ids=tuple(range(len(subs))),
        novel_super_id=n_super,
        novel_sub_id=len(subs),
    )
    # Two images a sub-class are the fewest that the checks let pass.
    sub = np.repeat(np.arange(len(subs)), [data.draw(st.integers(2, 5)) for _ in subs])
    sup = np.asarray(parents)[sub]
    folds = plan_folds(
        sup,
        sub,
        known,
        sub_folds=n_folds,
        super_folds=n_super,
        mixed_folds=1,
        val_fraction=0.15,
        seed=seed,
    )
    for fold in folds:
        rows = [fold.train, fold.val, fold.held_out]
        assert all(len(part) for part in rows)
        assert sorted(np.concatenate(rows)) == list(range(len(sub)))
        assert set(sub[fold.train]) == set(sub[fold.val]) == set(fold.known_sub)
    assert len(refit_fold(sup, sub).train) == len(sub)


@given(st.lists(st.tuples(*[st.integers(-1, 2)] * 4), max_size=6))
def test_no_accuracy_is_nan(rows: list[tuple[int, int, int, int]]) -> None:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    for value in six_accuracies(*columns).values():
        assert value is None or 0 <= value <= 1
