"""Configuration files by path, or by the name of a recipe that comes with the package.

A recipe is a YAML file of `configs/` in a clone; a wheel holds them in `hierclf/recipes/`.
"""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (_PACKAGE / "recipes", _PACKAGE.parent / "configs")


def recipe_names() -> list[str]:
    """Names of the recipes, sorted: cpu, demo, ..."""
    return sorted(path.stem for path in _recipes().glob("*.yaml"))


def config_file(path: str | Path) -> Path:
    """The file that a `--config` means: a file if there is one, else the recipe of that name.

    Raises:
        ValueError: neither a file nor a recipe.
    """
    path = Path(path)
    if path.is_file():
        return path
    if str(path) in recipe_names():
        return _recipes() / f"{path}.yaml"
    raise ValueError(
        f"--config must name a YAML file or a recipe ({', '.join(recipe_names())}), "
        f"but {path} does not exist"
    )


def _recipes() -> Path:
    return next(folder for folder in _FOLDERS if folder.is_dir())
