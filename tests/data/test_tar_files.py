"""Claims about tars of strangers: what is in them, in bounded memory, and what is refused."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from hierclf.data import tar_files
from hierclf.data.tar_files import read_member, tar_members
from tests.fuzz.mutate import mutate_bytes

LONG = "folder/" + "x" * 80 + ".jpg"


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def tar(path: Path, members: list[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as file:
        for name, data in members:
            info = member(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def refused(path: Path) -> str:
    with pytest.raises(ValueError, match="cannot be read as a tar file") as caught:
        list(tar_members(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("at_a_time", [1, 3, 10_000])
def test_members_are_those_of_tarfile_however_few_are_kept(
    tmp_path: Path, form: int, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_files, "_AT_A_TIME", at_a_time)
    sizes = [0, 1, 511, 512, 513, 5000, 20]
    content = [(f"{i}.jpg", bytes([i]) * size) for i, size in enumerate(sizes)]
    content += [(LONG, b"long"), ("é.jpg", b"accent")]
    path = tar(tmp_path / "a.tar", content, form)
    found = list(tar_members(path))
    assert [(m.path, read_member(path, m.offset, m.size)) for m in found] == content
    with tarfile.open(path) as file:
        assert [m.offset for m in found] == [info.offset_data for info in file.getmembers()]


def test_folders_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.addfile(member("a", tarfile.DIRTYPE))
        for name in ("a/1.jpg", "a/._1.jpg", "./2.jpg", "__MACOSX/3.jpg", ".cache/4.jpg"):
            file.addfile(member(name))
    assert [m.path for m in tar_members(tmp_path / "a.tar")] == ["a/1.jpg", "2.jpg"]


@pytest.mark.parametrize(
    ("info", "why"),
    [
        (member("a", tarfile.SYMTYPE, "/etc/passwd"), "is a link"),
        (member("a", tarfile.LNKTYPE, "b"), "is a link"),
        (member("a", tarfile.CHRTYPE), "is neither a file nor a folder"),
        (member("a", tarfile.BLKTYPE), "is neither a file nor a folder"),
        (member("a", tarfile.FIFOTYPE), "is neither a file nor a folder"),
        (member("../a"), "leaves the data folder"),
        (member("b/../../a"), "leaves the data folder"),
        (member("/etc/a"), "leaves the data folder"),
        (member("C:\\a"), "leaves the data folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.name} {value.type!r}",
)
def test_what_must_not_be_read_comes_with_its_reason(
    tmp_path: Path, info: tarfile.TarInfo, why: str
) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.addfile(info)
        file.addfile(member("good"))
    first, second = tar_members(tmp_path / "a.tar")
    assert why in first.unsafe
    assert (second.path, second.unsafe) == ("good", "")


def test_a_tar_that_is_cut_short_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", [(f"{i}.jpg", b"x" * 700) for i in range(3)])
    whole = path.read_bytes()
    for end in range(0, 3 * 1536 + 1, 256):
        path.write_bytes(whole[:end])
        refused(path)
    path.write_bytes(whole[: 3 * 1536])
    assert "no end mark after byte 4608" in refused(path)


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", [(f"{i}.jpg", b"x" * 700) for i in range(3)])
    data = bytearray(path.read_bytes())
    data[1536 + 10] ^= 1
    path.write_bytes(data)
    assert "is damaged after byte 1536" in refused(path)


def with_size(path: Path, field: bytes) -> Path:
    """The tar with another size in its first header, whose checksum is right."""
    data = bytearray(path.read_bytes())
    data[124:136] = field
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "field",
    [
        b"77777777777\0",  # 8 GiB
        b"\x80" + b"\0" * 3 + b"\x40" + b"\0" * 7,  # 2 ** 62
        b"\xff" * 10 + b"\xfe\0",  # -512
        b"\xff" * 12,  # -1
    ],
)
def test_a_member_may_not_claim_more_than_the_tar_holds(tmp_path: Path, field: bytes) -> None:
    refused(with_size(tar(tmp_path / "a.tar", [("1.jpg", b"x"), ("2.jpg", b"y")]), field))


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("field", [b"77777777777\0", b"\xff" * 10 + b"\xfe\0"])
def test_a_header_of_any_size_takes_no_memory(tmp_path: Path, form: int, field: bytes) -> None:
    # The first header is that of the long name.
    path = with_size(tar(tmp_path / "a.tar", [("x" * 300, b"")], form), field)
    with path.open("ab") as file:
        file.truncate(1 << 33)  # sparse: all that the header claims is there
    assert "a header claims a size of" in refused(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    for number, data in enumerate((b"", b"\x89PNG" * 300, b"\1" * 512, b"PK\3\4" * 256)):
        (tmp_path / f"{number}.tar").write_bytes(data)
        refused(tmp_path / f"{number}.tar")
    with tarfile.open(tmp_path / "a.tar", "w:gz") as file:
        file.addfile(member("1.jpg"))
    refused(tmp_path / "a.tar")


def test_an_empty_tar_has_no_members(tmp_path: Path) -> None:
    assert list(tar_members(tar(tmp_path / "a.tar", []))) == []


def test_damaged_tars_raise_nothing_but_value_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    members = [(f"{i}.jpg", b"x" * 700) for i in range(3)] + [(LONG * 2, b"y")]
    forms = (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    whole = [tar(tmp_path / "a.tar", members, form).read_bytes() for form in forms]
    refusals = []
    for i in range(400):
        path = tmp_path / "b.tar"
        path.write_bytes(mutate_bytes(rng, whole[i % 2], whole))
        try:
            for found in tar_members(path):
                if not found.unsafe:
                    read_member(path, found.offset, found.size)
        except ValueError as error:
            refusals.append(str(error))
    assert 0 < len(refusals) < 400
    assert not [reason for reason in refusals if "\n" in reason]


def test_a_tar_that_has_become_shorter_is_named(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", [("1.jpg", b"x" * 700)])
    (found,) = tar_members(path)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(ValueError, match=r"a\.tar has become shorter since it was listed"):
        read_member(path, found.offset, found.size)
    with pytest.raises(ValueError, match="more than the limit"):
        read_member(path, 0, 1 << 40)
