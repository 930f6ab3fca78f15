"""Claims about tables that name new classes: what is taken, what stays out, what is refused."""

from pathlib import Path

import numpy as np
import pytest

from hierclf.additions.labelled import NewClass, from_table, new_images, one_class, only
from hierclf.discovery.names import is_proposed, proposed_name
from tests.tiny_models import encoded, picture

ROWS = [
    *(("a.png", "bird", "emu"), ("b.png", "bird", "emu"), ("c.png", "fish", "eel")),
    *(("d.png", "fish", "eel"), ("e.png", "bird", ""), ("f.png", "bird", "new bird 2")),
]


def write(folder: Path, rows: list[tuple[str, str, str]], *, photos: str = "") -> Path:
    place = folder / photos
    place.mkdir(exist_ok=True)
    for number, (image, *_) in enumerate(rows):
        (place / image).write_bytes(encoded(picture(number)))
    lines = ["image,superclass,subclass", *(",".join(row) for row in rows)]
    (folder / "novel.csv").write_text("\n".join(lines) + "\n")
    return folder / "novel.csv"


def test_named_rows_are_taken_and_the_others_counted(tmp_path: Path) -> None:
    found = from_table(str(write(tmp_path, ROWS)))
    assert found.classes == [NewClass("bird", "emu"), NewClass("fish", "eel")]
    assert found.names == ["a.png", "b.png", "c.png", "d.png"]
    assert found.labels.tolist() == [0, 0, 1, 1]
    assert [found.read(i) for i in range(4)] == [encoded(picture(i)) for i in range(4)]
    assert found.notes == [
        "left out: 1 image without a sub-class",
        "left out: 1 image of a group that nobody named yet, such as 'new bird 2'",
    ]


def test_images_may_be_in_another_place_than_the_table(tmp_path: Path) -> None:
    table = write(tmp_path, ROWS, photos="photos")
    found = from_table(str(table), images=str(tmp_path / "photos"))
    assert found.read(2) == encoded(picture(2))
    (tmp_path / "photos" / "c.png").unlink()
    with pytest.raises(ValueError, match=r"novel.csv row 4: image 'c.png' is not in .*photos"):
        from_table(str(table), images=str(tmp_path / "photos"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("x.png", "", "emu"), "super-class of 'emu' must be named, but is ''"),
        (("x.png", "new 3", "cod"), "super-class of 'cod' must be named, but is 'new 3'"),
        (("x.png", "fish", "emu"), "'emu' is below 'bird' and 'fish'"),
        (("x.png", "fish", "cod"), "needs 2 images or more, .* 'cod' has 1"),
        (("a.png", "bird", "emu"), "image 'a.png' appears again"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused(
    tmp_path: Path, row: tuple[str, str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        from_table(str(write(tmp_path, [*ROWS, row])))


def test_a_missing_image_is_refused_with_its_row(tmp_path: Path) -> None:
    table = write(tmp_path, ROWS)
    (tmp_path / "d.png").unlink()
    with pytest.raises(ValueError, match=r"novel.csv row 5: image 'd.png' is not in the folder"):
        from_table(str(table))


def test_a_table_in_which_nothing_is_named_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="gives none: left out: 1 image without"):
        from_table(str(write(tmp_path, [("e.png", "bird", "")])))


def test_a_class_and_a_table_are_told_apart(tmp_path: Path) -> None:
    table = str(write(tmp_path, ROWS))
    assert new_images(table).table == table
    one = new_images(str(tmp_path), subclass="emu", superclass="bird")
    assert (one.table, len(one.names)) == (None, 6)
    for given in ({"subclass": "emu"}, {"superclass": "bird"}):
        with pytest.raises(ValueError, match="need the names of sub-class and super-class"):
            new_images(str(tmp_path), **given)
    with pytest.raises(ValueError, match="need its names, --sub and --super"):
        new_images(str(tmp_path))


def test_some_of_the_classes_can_be_taken_in_another_order(tmp_path: Path) -> None:
    found = from_table(str(write(tmp_path, [*ROWS, ("g.png", "x", "y"), ("h.png", "x", "y")])))
    some = only(found, [NewClass("x", "y"), NewClass("bird", "emu")])
    assert some.names == ["a.png", "b.png", "g.png", "h.png"]
    np.testing.assert_array_equal(some.labels, [1, 1, 0, 0])
    assert some.read(3) == encoded(picture(7))


def test_one_class_is_all_images_of_a_place(tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    found = one_class(str(tmp_path / "[ab].png"), NewClass("bird", "emu"))
    assert found.names == ["a.png", "b.png"]


def test_proposed_names_are_known_as_such_and_others_are_not() -> None:
    assert is_proposed(proposed_name("novel", 3))
    assert is_proposed(proposed_name("root vegetables", 12))
    assert not any(map(is_proposed, ("new", "newt", "new forest pony", "emu 2", "renew 2")))
