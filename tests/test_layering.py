"""Claims about who may import what, read from the source of both packages."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "hierclf").rglob("*.py"))
SEARCH = sorted((ROOT / "search").rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(path: Path) -> set[str]:
    """Full names of all that is imported, at any depth and by any means that names it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and called(node) in ("__import__", "import_module"):
            raise AssertionError(f"{name_of(path)} imports by a computed name")
    return names


def packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


def calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node


def called(call: ast.Call) -> str:
    """The last two parts of what is called: `torch.load`, `load`."""
    function, parts = call.func, []
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    # Of a method on a result, `net.cpu().eval()`, no name is the beginning.
    parts.append(function.id if isinstance(function, ast.Name) else "?")
    last = list(reversed(parts))[-2:]
    return last[-1] if last[0] == "importlib" else ".".join(last)


def test_both_packages_are_found() -> None:
    assert len(CORE) > 30
    assert len(SEARCH) > 10


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_knows_nothing_of_search_ray_optuna_and_mlflow(path: Path) -> None:
    assert not packages(path) & {"search", "ray", "optuna", "mlflow"}


# What each package of `hierclf` may import of the others; "" is the files at its top, except the
# entry points `cli`, `predict` and `config`, which are named.
BELOW = {
    "": set(),
    "io": {""},
    "storage": {"", "io"},
    "data": {"", "io", "storage"},
    "scores": {""},
    "metrics": {""},
    "nets": {"", "data", "scores"},
    "rules": {"", "metrics", "scores"},
    "config": {"", "rules", "scores"},
    "bundle": {"", "io", "data", "scores", "metrics", "nets", "rules"},
    "training": {"", "io", "data", "scores", "metrics", "nets", "rules", "config", "bundle"},
    "predict": {"", "data", "scores", "metrics", "nets", "rules", "bundle"},
    "explanations": {"", "scores", "rules", "bundle", "predict"},
    "model": {
        *("", "data", "scores", "nets", "rules", "bundle", "predict", "explanations"),
        *("additions", "hub"),
    },
    "hub": {"", "io", "storage", "data", "rules", "bundle", "reports"},
    "reports": {"", "io", "scores", "metrics", "rules", "config"},
    "run_report": {
        *("", "io", "data", "scores", "metrics", "rules", "config", "bundle", "training"),
        "reports",
    },
    "discovery": {"", "data", "reports"},
    "inspection": {"", "data", "reports", "training"},
    "additions": {
        *("", "io", "data", "scores", "nets", "rules", "config", "bundle", "training"),
        "discovery",
    },
    "zeroshot": {
        *("", "data", "scores", "nets", "rules", "config", "bundle", "training"),
        "additions",
    },
    "runtime": {"", "io", "data", "scores", "rules"},
    "serving": {
        *("", "io", "data", "nets", "scores", "rules", "bundle", "predict", "explanations"),
        "runtime",
    },
    "commands": {
        *("", "io", "data", "scores", "metrics", "nets", "rules", "bundle", "predict"),
        *("runtime", "explanations", "discovery", "inspection"),
    },
    "app": {
        *("", "data", "scores", "metrics", "rules", "bundle", "predict", "explanations"),
        *("model", "reports", "commands", "serving"),
    },
}
# Entry points stand above everything.
ENTRIES = {"__init__", "cli", "benchmark", "classifier"}


def room(module: str) -> str:
    """The package of `hierclf` that a module or an imported name belongs to."""
    first = module.split(".")[1] if "." in module else ""
    return first if first in BELOW or first in ENTRIES else ""


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_a_package_imports_only_those_below_it(path: Path) -> None:
    own = room(name_of(path).removesuffix(".py").replace("/", "."))
    if own in ENTRIES:
        return
    used = {room(name) for name in imported(path) if name.partition(".")[0] == "hierclf"}
    assert used - {own} <= BELOW[own]


def test_the_table_of_packages_has_no_circle() -> None:
    assert list(TopologicalSorter(BELOW).static_order())


def test_mlflow_is_imported_by_the_modules_about_mlflow_only() -> None:
    users = {path.name for path in SEARCH if "mlflow" in packages(path)}
    assert users <= {
        "store.py",
        "store_errors.py",
        "system_metrics.py",
        "registry.py",
        "pyfunc_model.py",
    }


@pytest.mark.parametrize("path", SEARCH, ids=name_of)
def test_only_public_parts_of_ray_are_imported(path: Path) -> None:
    parts = [name.split(".") for name in imported(path) if name.startswith("ray.")]
    private = [name for name in parts if any(part.startswith("_") for part in name)]
    assert not private
    assert not [name for name in parts if name[:2] == ["ray", "core"] or "v2" in name]


@pytest.mark.parametrize("path", CORE + SEARCH, ids=name_of)
def test_nothing_read_from_a_file_can_run_code(path: Path) -> None:
    forbidden = {
        *("pickle.load", "pickle.loads", "pickle.Unpickler", "cloudpickle.load"),
        *("cloudpickle.loads", "joblib.load", "pd.read_pickle", "torch.jit.load"),
        *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"),
        *("eval", "exec"),
    }
    # Taken out of its module, a function would not be seen by the names above.
    hidden = {"pickle.load", "pickle.loads", "yaml.load", "torch.load", "numpy.load"}
    assert not imported(path) & hidden
    for call in calls(path):
        options = {option.arg: ast.unparse(option.value) for option in call.keywords}
        assert called(call) not in forbidden, f"line {call.lineno}"
        if called(call) == "torch.load":
            assert options.get("weights_only") == "True", f"line {call.lineno}"
        assert options.get("allow_pickle", "False") == "False", f"line {call.lineno}"
        assert options.get("shell", "False") == "False", f"line {call.lineno}"
