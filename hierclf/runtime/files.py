"""The folder of an exported model.

    export.json    schema, preprocessing, classes, rule, calibration, checksums, versions
    network.onnx   uint8 images [B, size, size, 3] to features and logits of the known classes
    scores.npz     the arrays of the scores that the rule adds up, uncompressed

Nothing in it is unpickled. The network is data for onnxruntime, which knows ONNX's own operators
only.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hierclf.data.preprocessing import Preprocessing
from hierclf.hierarchy import Hierarchy
from hierclf.io.atomic import read_json_object, write_json_object
from hierclf.io.digest import sha256_of
from hierclf.rules.calibration import Calibration
from hierclf.rules.rule import Rule

SCHEMA = 1
DESCRIPTION, NETWORK, STATES = "export.json", "network.onnx", "scores.npz"
INPUT, OUTPUTS = "images", ("features", "super_logits", "sub_logits")
"""Names in the ONNX graph."""


class Parts(NamedTuple):
    """What an exported model is made of, beside its network.

    Attributes:
        preprocessing: from a decoded image to the network's input.
        hierarchy: the known classes and the novel ids.
        states: of the scores that the rule uses, as from `fit_scores`.
        rule: scores and thresholds.
        calibration: of probabilities; None leaves them uncalibrated.
    """

    preprocessing: Preprocessing
    hierarchy: Hierarchy
    states: dict[str, np.ndarray]
    rule: Rule
    calibration: Calibration | None


def write_parts(folder: Path, parts: Parts, versions: Mapping[str, str]) -> None:
    """Write everything but the network, which must be there: its checksum is listed.

    Args:
        folder: where network.onnx lies.
        parts: what to write.
        versions: of the packages that exported the network, to be read by people.
    """
    np.savez(folder / STATES, **parts.states)  # type: ignore[arg-type]  # names are no options
    description = {
        "schema": SCHEMA,
        "preprocessing": asdict(parts.preprocessing),
        "hierarchy": parts.hierarchy.to_dict(),
        "rule": parts.rule.to_dict(),
        "calibration": parts.calibration and parts.calibration.to_dict(),
        "sha256": {name: sha256_of(folder / name) for name in (NETWORK, STATES)},
        "versions": dict(versions),
    }
    write_json_object(folder / DESCRIPTION, description)


def read_parts(folder: Path) -> Parts:
    """Read and check everything but the network.

    Raises:
        ValueError: another schema, a damaged file, or parts of another form.
        KeyError: a missing key.
    """
    description = read_json_object(folder / DESCRIPTION)
    schema = description["schema"]
    if type(schema) is not int or schema != SCHEMA:
        raise ValueError(f"its schema must be {SCHEMA}, not {schema!r}: export it again")
    for name in (NETWORK, STATES):
        if not (folder / name).is_file():
            raise ValueError(f"has no {name}")
        if sha256_of(folder / name) != description["sha256"][name]:
            raise ValueError(f"{name} must match its checksum in {DESCRIPTION}, but differs")
    calibration = description["calibration"]
    return Parts(
        Preprocessing(**description["preprocessing"]),
        Hierarchy.from_dict(description["hierarchy"]),
        _read_states(folder / STATES),
        Rule.from_dict(description["rule"]),
        None if calibration is None else Calibration.from_dict(calibration),
    )


def _read_states(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        packed: list[Any] = [i for i in archive.infolist() if i.compress_type != zipfile.ZIP_STORED]
    if packed:  # a few bytes could become any number of gigabytes
        raise ValueError(f"{path.name} must not be compressed, but {packed[0].filename!r} is")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
