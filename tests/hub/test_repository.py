"""Upload to a hub and download from it, over HTTP, by the real client in processes of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from hierclf.model import load
from tests.commands_run import error_of
from tests.hub.fake_hub import FakeHub, fake_hub
from tests.tiny_models import pictures, save_tiny_model

pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")
ROOT = Path(__file__).parents[2]


class Client:
    """Runs Python with a hub's address and a cache of its own."""

    def __init__(self, address: str, folder: Path) -> None:
        self.folder = folder
        self.env = os.environ | {
            "HF_ENDPOINT": address,
            "HF_HOME": str(folder / "home"),
            "HF_TOKEN": "hf_none",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        }

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *words]
        return subprocess.run(
            command, env=self.env, cwd=self.folder, capture_output=True, text=True, check=False
        )


@pytest.fixture
def hub() -> Iterator[tuple[FakeHub, str]]:
    with fake_hub() as found:
        yield found


@pytest.fixture
def client(hub: tuple[FakeHub, str], tmp_path: Path) -> Client:
    save_tiny_model(tmp_path / "model")
    (tmp_path / "photos").mkdir()
    for name, data in pictures(6):
        (tmp_path / "photos" / name).write_bytes(data)
    return Client(hub[1], tmp_path)


PUSH = "import hierclf; print(hierclf.load('model').push_to_hub('owner/tiny', license='mit'))"


@pytest.mark.long
@pytest.mark.slow
def test_what_was_pushed_predicts_the_same_to_the_bit(
    hub: tuple[FakeHub, str], client: Client
) -> None:
    pushed = client.run("-c", PUSH)
    assert pushed.stdout.startswith(f"{hub[1]}/owner/tiny/commit/"), pushed.stderr
    assert "Warning" not in pushed.stderr
    assert hub[0].private == {"owner/tiny": True}
    files = hub[0].files["owner/tiny"]
    assert b"hierclf predict hf://owner/tiny IMAGES" in files["README.md"]
    files["pytorch_model.bin"] = b"a pickle, for all that is known"

    predict = ("-m", "hierclf.cli", "predict", "hf://owner/tiny", "photos", "--out", "o.parquet")
    done = client.run(*predict)
    assert done.returncode == 0, done.stderr
    own = load(client.folder / "model", device="cpu").predict(str(client.folder / "photos"))
    found = pd.read_parquet(client.folder / "o.parquet")
    pd.testing.assert_frame_equal(found, own[found.columns], check_exact=True, check_dtype=False)
    assert not [path for _, path in hub[0].asked if "pytorch_model" in path]

    moved = client.run("-m", "hierclf.cli", "thresholds", "hf://owner/tiny", "--dry-run")
    assert moved.stdout.endswith("dry run: hf://owner/tiny is as it was\n"), moved.stderr

    files["model.safetensors"] = files["model.safetensors"][:-1] + b"?"
    (client.folder / "home").rename(client.folder / "elsewhere")
    damaged = client.run(*predict)
    assert damaged.returncode == 2
    (line,) = [x for x in damaged.stderr.splitlines() if x.startswith("hierclf: error")]
    assert "checksum" in line


@pytest.mark.slow
def test_a_repository_that_is_not_there_is_one_line(client: Client) -> None:
    done = client.run("-c", "import hierclf; hierclf.load('hf://owner/gone')")
    assert done.stderr.splitlines()[-1].startswith(
        "ValueError: hf://owner/gone must be a model that can be downloaded, but "
    )
    unreachable = Client("http://127.0.0.1:9", client.folder)
    done = unreachable.run("-c", "import hierclf; hierclf.load('hf://owner/gone')")
    assert "ValueError: hf://owner/gone must be" in done.stderr.splitlines()[-1]
    done = unreachable.run("-c", PUSH)
    assert "ValueError: owner/tiny must take an upload" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["hf://owner", "hf://a/b/c", "hf://a/b@", "hf://../b c"])
def test_an_address_of_another_form_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="hf://OWNER/NAME"):
        load(name)
    image = tmp_path / "a.png"
    image.write_bytes(pictures(1)[0][1])
    assert "is called" in error_of("predict", name, image, "--out", tmp_path / "o.csv")
