"""benchmarks.json, an object a figure, and the same as a Markdown table."""

import json
import os
import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

_PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "ray", "optuna", "mlflow")
_HEAD = "| figure | ours | theirs | unit | ratio | low to high | n | aim | note |"


def update(path: Path, new: dict[str, Any], order: list[str]) -> list[dict[str, Any]]:
    """Put one figure into the file; others stay as they are, in the given order of names."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    figures = {item["name"]: item for item in kept} | {new["name"]: new}
    ordered = sorted(
        figures.values(),
        key=lambda item: order.index(item["name"]) if item["name"] in order else len(order),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")
    return ordered


def circumstances(device: torch.device) -> dict[str, Any]:
    """What a time depends on: kept with every figure, since some are run again elsewhere."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "hardware": _hardware(device),
        "versions": {"python": platform.python_version()} | _versions(),
    }


def markdown(figures: list[dict[str, Any]]) -> str:
    """The table, followed by what is compared and by hardware and versions."""
    lines = [_HEAD, "|" + "---|" * (_HEAD.count("|") - 1)]
    for item in figures:
        cells = [
            f"`{item['name']}`",
            _short(item["ours"]),
            _short(item["theirs"]),
            item["unit"],
            _short(item["ratio"]),
            f"{_short(item['low'])} to {_short(item['high'])}",
            str(item["n"]),
            item["aim"],
            item["note"],
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("")
    for item in figures:
        against = f" against {item['theirs_is']}" if item["theirs"] is not None else ""
        lines.append(f"- `{item['name']}`: {item['ours_is']}{against}. `{item['command']}`")
    lines.append("")
    for settings, names in _grouped(figures).items():
        lines.append(f"{settings}: {', '.join(f'`{name}`' for name in names)}.")
    return "\n".join(lines) + "\n"


def _grouped(figures: list[dict[str, Any]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for item in figures:
        versions = ", ".join(f"{name} {text}" for name, text in item["versions"].items())
        groups.setdefault(f"{item['date']}, {item['hardware']}; {versions}", []).append(
            item["name"]
        )
    return groups


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _hardware(device: torch.device) -> str:
    cpu = Path("/proc/cpuinfo")
    names = cpu.read_text().splitlines() if cpu.is_file() else []
    model = next((x.split(":")[1].strip() for x in names if x.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    text = f"{len(os.sched_getaffinity(0))} cores of {model or platform.machine()}, {memory:.0f} GB"
    return f"{text}, {torch.cuda.get_device_name(device)}" if device.type == "cuda" else text


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
