"""Claims about recipes: found by name from any folder, as files first."""

from pathlib import Path

import pytest

from hierclf.config import load_config
from hierclf.config.recipes import config_file, recipe_names

ROOT = Path(__file__).parents[1]


def test_the_recipes_are_the_files_of_configs() -> None:
    assert recipe_names() == sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    assert {"cpu", "demo", "paper"} <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_found_by_name_from_any_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load_config(ROOT / "configs" / f"{name}.yaml")
    monkeypatch.chdir(tmp_path)
    assert load_config(name) == expected


def test_a_file_comes_before_a_recipe_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cpu").write_text("seed: 7")
    assert config_file("cpu") == Path("cpu")
    assert load_config("cpu").seed == 7


@pytest.mark.parametrize("name", ["none", "none.yaml", "configs/cpu.yml"])
def test_what_is_neither_is_refused_with_the_recipes_names(name: str) -> None:
    with pytest.raises(
        ValueError, match=r"a recipe \(cpu, demo, paper\), but .* does not exist$"
    ) as e:
        config_file(name)
    assert f"but {name} does" in str(e.value)
