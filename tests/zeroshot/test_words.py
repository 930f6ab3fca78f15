"""Claims about the words of zero-shot models."""

from pathlib import Path

import open_clip
import pytest

from hierclf.hierarchy import Hierarchy
from hierclf.zeroshot.words import TEMPLATES, class_words, read_names, read_templates

CLASSES = Hierarchy(
    super_names=("dog", "reptile"),
    sub_names=("golden_retriever", "mud-turtle", "Boa"),
    sub_to_super=(0, 1, 1),
    super_ids=(0, 1),
    sub_ids=(0, 1, 2),
    novel_super_id=2,
    novel_sub_id=3,
)


def test_the_templates_are_those_that_open_clip_publishes() -> None:
    published = [template("crane") for template in open_clip.SIMPLE_IMAGENET_TEMPLATES]
    assert [template.format("crane") for template in TEMPLATES] == published


def test_names_are_read_as_words_and_a_users_names_follow_each_once(tmp_path: Path) -> None:
    file = tmp_path / "names.csv"
    file.write_text("class,name\nmud-turtle,small_turtle\nmud-turtle,mud turtle\nBoa,snake\n")
    more = read_names(file, CLASSES)
    assert class_words(CLASSES.sub_names, more) == [
        ["golden retriever"],
        ["mud turtle", "small turtle"],
        ["Boa", "snake"],
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class,name\ncat,kitten\n", "names.csv row 2: 'cat' is not a class of the data"),
        ("class,name\nBoa,_\n", "a name must not be empty, but got '_'"),
        ("class,words\nBoa,snake\n", "column 'name' is missing"),
    ],
)
def test_a_wrong_table_of_names_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "names.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=words):
        read_names(file, CLASSES)


@pytest.mark.parametrize("text", ["a photo", "{} and {}", "{0.__class__} {}", "{} {{"])
def test_a_template_has_one_place_and_no_other_braces(tmp_path: Path, text: str) -> None:
    file = tmp_path / "templates.txt"
    file.write_text(f"a photo of a {{}}.\n{text}\n")
    with pytest.raises(ValueError, match=r"a template must have one \{\}, but got"):
        read_templates(file)


def test_a_file_of_templates_replaces_all(tmp_path: Path) -> None:
    file = tmp_path / "templates.txt"
    file.write_text("a photo of a {}.\n\n a drawing of {} \n")
    assert read_templates(file) == ("a photo of a {}.", "a drawing of {}")
