"""Claims about backbones: their features, and weights from files of every kind."""

import pickle
import urllib.error
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.torch_version import TorchVersion

from hierclf.nets.backbones import FIRST_SAFE_TORCH, Backbone, build_backbone, read_state
from tests.pickles import Bomb

reads_pth = pytest.mark.skipif(
    torch.__version__ < FIRST_SAFE_TORCH, reason="this torch cannot read strangers' .pth files"
)


def features(backbone: Backbone, size: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        return backbone.module.eval()(torch.rand(2, 3, size, size, generator=generator))


def save(state: dict[str, Any], path: Path) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file({k: v.contiguous() for k, v in state.items()}, path)
    else:
        torch.save(state, path)
    return path


def donor() -> nn.Module:
    """A whole torchvision network, with the head that its published weights have."""
    torch.manual_seed(5)
    return torchvision.models.resnet18(weights=None)


def complaint(name: str, weights: Path | str) -> str:
    with pytest.raises(ValueError, match=r"\S") as caught:
        build_backbone(name, str(weights))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what a backbone is ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "smallnet",
        "resnet18",
        "test_resnet",
        "test_efficientnet",
        # In these, timm's num_features counts an earlier layer than the one that comes out.
        "mobilenetv3_small_050",
        "lcnet_035",
        "test_mambaout",
    ],
)
def test_features_are_one_row_an_image_of_the_size_that_was_said(name: str) -> None:
    backbone = build_backbone(name, "none")
    found = features(backbone, 96)
    assert found.shape == (2, backbone.n_features)
    assert torch.isfinite(found).all()
    assert len(backbone.mean) == len(backbone.std) == 3


def test_smallnet_has_150_000_parameters() -> None:
    count = sum(p.numel() for p in build_backbone("smallnet", "none").module.parameters())
    assert count == pytest.approx(150_000, rel=0.03)


def test_torchvisions_backbone_is_its_network_without_the_head(tmp_path: Path) -> None:
    path = save(donor().state_dict(), tmp_path / "w.safetensors")
    backbone = build_backbone("resnet18", str(path))
    whole = donor()
    whole.fc = nn.Identity()
    expected = features(Backbone(whole, 512, (0.0,) * 3, (1.0,) * 3, "bilinear"))
    torch.testing.assert_close(features(backbone), expected, rtol=0, atol=0)
    assert (backbone.mean, backbone.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_timm_says_which_input_its_weights_expect() -> None:
    backbone = build_backbone("tf_efficientnet_lite0", "none")
    published = timm.get_pretrained_cfg("tf_efficientnet_lite0")
    assert published is not None
    config = published.to_dict()
    assert (backbone.mean, backbone.std) == (config["mean"], config["std"])
    assert backbone.mean == (0.5, 0.5, 0.5)
    assert backbone.interpolation == config["interpolation"] == "bicubic"


# --- weights from files ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "suffix",
    [".safetensors", *(pytest.param(suffix, marks=reads_pth) for suffix in (".pth", ".pt"))],
)
@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.backbone."])
def test_weights_are_loaded_and_heads_left_out(tmp_path: Path, suffix: str, prefix: str) -> None:
    torch.manual_seed(1)
    source = build_backbone("smallnet", "none")
    state = {prefix + key: tensor for key, tensor in source.module.state_dict().items()}
    state |= {f"{head}.weight": torch.ones(3, 128) for head in ("fc", "classifier", "heads.sub")}
    path = save(state, tmp_path / f"w{suffix}")
    torch.manual_seed(2)
    loaded = build_backbone("smallnet", str(path))
    torch.testing.assert_close(features(loaded), features(source), rtol=0, atol=0)


def test_a_layer_of_the_backbone_may_be_called_head(tmp_path: Path) -> None:
    whole = timm.create_model("test_convnext", num_classes=10)
    assert "head.norm.weight" in whole.state_dict()
    state = {key: torch.rand_like(tensor) for key, tensor in whole.state_dict().items()}
    path = save(state, tmp_path / "w.safetensors")
    loaded = build_backbone("test_convnext", str(path)).module.state_dict()
    assert torch.equal(loaded["head.norm.weight"], state["head.norm.weight"])


@reads_pth
def test_a_checkpoints_state_dict_is_found_inside_it(tmp_path: Path) -> None:
    torch.save({"state_dict": donor().state_dict(), "epoch": 3}, tmp_path / "w.pth")
    assert set(read_state(tmp_path / "w.pth")) == set(donor().state_dict())


def test_missing_unknown_and_wrong_shapes_are_counted_and_named(tmp_path: Path) -> None:
    state = dict(donor().state_dict())
    del state["conv1.weight"], state["bn1.bias"]
    state["conv9.weight"] = torch.ones(1)
    state["bn1.weight"] = torch.ones(7)
    message = complaint("resnet18", save(state, tmp_path / "w.safetensors"))
    assert "w.safetensors must hold the weights of resnet18" in message
    assert "2 missing (first: conv1.weight)" in message
    assert "1 unknown (first: conv9.weight)" in message
    assert "1 of wrong shape (first: bn1.weight is (7,), needs (64,))" in message


def test_another_networks_weights_are_refused(tmp_path: Path) -> None:
    path = save(build_backbone("smallnet", "none").module.state_dict(), tmp_path / "w.safetensors")
    assert "must hold the weights of resnet18" in complaint("resnet18", path)


@reads_pth
@pytest.mark.parametrize("old_format", [False, True])
def test_code_in_a_pth_file_does_not_run(tmp_path: Path, old_format: bool) -> None:
    target = tmp_path / "was here"
    state = {"conv1.weight": Bomb(target)}
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=not old_format)
    message = complaint("resnet18", tmp_path / "w.pth")
    assert "w.pth must hold tensors only" in message
    assert "weights_only" not in message  # no advice to load it in the way that runs code
    assert not target.exists()
    # The same file does run code in a loader that trusts it.
    torch.load(tmp_path / "w.pth", weights_only=False)
    assert target.is_dir()


@pytest.mark.parametrize("old", ["2.6.0+cpu", "2.9.1"])  # with CVE-2026-24747, fixed in 2.10
def test_a_torch_that_can_be_made_to_run_code_reads_no_pth_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str
) -> None:
    torch.save(donor().state_dict(), tmp_path / "w.pth")
    monkeypatch.setattr(torch, "__version__", TorchVersion(old))
    message = complaint("resnet18", tmp_path / "w.pth")
    assert "w.pth must be a .safetensors file, since a torch before 2.10 can be" in message
    assert f"torch is {old}" in message
    save(donor().state_dict(), tmp_path / "w.safetensors")
    assert set(read_state(tmp_path / "w.safetensors")) == set(donor().state_dict())


@reads_pth
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_plain_pickle_does_not_run_either(tmp_path: Path) -> None:
    target = tmp_path / "was here"
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Bomb(target)))
    assert "must hold tensors only" in complaint("resnet18", tmp_path / "w.pth")
    assert not target.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"", b"no weights", b"\x80\x02", b"\x80\x02.", b"PK\x03\x04 no zip", b"\xff" * 64, b"[" * 64],
)
def test_a_file_of_something_else_is_one_line(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    assert f"w{suffix} must " in complaint("resnet18", path)


def test_a_file_cut_short_is_one_line(tmp_path: Path) -> None:
    for suffix in (".pth", ".safetensors"):
        path = save(build_backbone("smallnet", "none").module.state_dict(), tmp_path / f"w{suffix}")
        path.write_bytes(path.read_bytes()[:-2000])
        assert f"w{suffix} must " in complaint("smallnet", path)


@reads_pth
def test_a_zip_of_something_else_is_one_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("readme.txt", "no weights")
    assert "w.pth must hold tensors only" in complaint("resnet18", tmp_path / "w.pth")


@reads_pth
@pytest.mark.parametrize("content", [[torch.ones(1)], {"model": {"a": torch.ones(1)}}, {"a": 1}])
def test_a_pth_file_without_a_state_dict_is_one_line(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    assert "must hold a state dict" in complaint("resnet18", tmp_path / "w.pth")


def test_a_file_that_is_missing_or_of_another_kind_is_named(tmp_path: Path) -> None:
    assert "gone.pth is none" in complaint("resnet18", tmp_path / "gone.pth")
    assert "is none" in complaint("resnet18", tmp_path)
    (tmp_path / "w.onnx").touch()
    assert "must end in .safetensors or .pth, but got w.onnx" in complaint(
        "resnet18", tmp_path / "w.onnx"
    )


# --- names, and weights to download ------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet19", "", "../resnet18", "vgg", "deeplabv3_resnet50"])
def test_an_unknown_backbone_is_named(name: str) -> None:
    message = complaint(name, "none")
    assert message.startswith("model.backbone must be")
    assert repr(name) in message


def test_there_are_no_published_weights_of_smallnet() -> None:
    assert complaint("smallnet", "default") == (
        "model.weights must be none or a file for smallnet, but got 'default'"
    )


def no_network(*args: object, **options: object) -> NoReturn:
    raise urllib.error.URLError("no route to host")


def test_a_failed_download_says_what_else_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", no_network)
    message = complaint("resnet18", "default")
    assert "the weights of resnet18 could not be downloaded" in message
    assert "no route to host" in message
    assert "model.weights=PATH" in message
    assert "model.weights=none" in message


def test_timms_failed_download_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    class RefusedError(Exception):
        pass

    def fail(*args: object, **options: object) -> NoReturn:
        raise RefusedError("an error\nof two lines")

    monkeypatch.setattr("timm.create_model", fail)
    message = complaint("test_resnet", "default")
    assert "test_resnet could not be downloaded (an error of two lines)" in message


def test_resnet50s_default_is_the_papers_choice() -> None:
    # Without a network only the name can be looked at.
    default = torchvision.models.get_model_weights("resnet50").DEFAULT
    assert default.name == "IMAGENET1K_V2"
