"""The words of a zero-shot model: class names as people write them, more names, and templates."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hierclf.data.csv_tables import read_csv
from hierclf.data.listing import Problem
from hierclf.hierarchy import Hierarchy

TEMPLATES = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
"""The seven of OpenAI's 80 that Radford et al. 2021 chose for ImageNet."""
_COLUMNS = ("class", "name")


def plain_name(name: str) -> str:
    """A class name as words: `mud_turtle` and `Mud-Turtle` become `mud turtle`, `Mud Turtle`."""
    return " ".join(name.replace("_", " ").replace("-", " ").split())


def class_words(classes: Sequence[str], more: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """For each class of a level its own name and those that the user adds, each once.

    Args:
        classes: names as in the data.
        more: further names by class, from `read_names`.
    """
    return [list(dict.fromkeys(map(plain_name, (name, *more.get(name, ()))))) for name in classes]


def read_names(path: Path, hierarchy: Hierarchy) -> dict[str, list[str]]:
    """Further names of classes, from a CSV with the columns `class` and `name`.

    Args:
        path: a row for each name; a class may have several rows.
        hierarchy: the classes of both levels.

    Raises:
        ValueError: a file that cannot be read, an unknown class, or an empty name.
    """
    problems: list[Problem] = []
    rows = read_csv(path, _COLUMNS, problems)
    if problems:
        raise ValueError(f"{problems[0].where}: {problems[0].what}")
    classes = {*hierarchy.super_names, *hierarchy.sub_names}
    found: dict[str, list[str]] = {}
    for where, (class_name, name) in rows:
        if class_name not in classes:
            raise ValueError(f"{where}: {class_name!r} is not a class of the data")
        if not plain_name(name):
            raise ValueError(f"{where}: a name must not be empty, but got {name!r}")
        found.setdefault(class_name, []).append(name)
    return found


def read_templates(path: Path) -> tuple[str, ...]:
    """Templates, one in each line, with `{}` where the name stands.

    Raises:
        ValueError: a file that cannot be read, no line, or a line without just one `{}`.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be a text file of templates, but {error}") from None
    templates = tuple(line.strip() for line in lines if line.strip())
    if not templates:
        raise ValueError(f"{path} must hold a template or more, but is empty")
    for template in templates:
        if template.count("{}") != 1 or set("{}") & set(template.replace("{}", "")):
            raise ValueError(f"{path}: a template must have one {{}}, but got {template!r}")
    return templates
