from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from wsss_lightning.data.prepare.archives import check_md5, holds, unpack_archive
from wsss_lightning.errors import InputError

FILES = {"top/data/a.txt": b"one", "top/data/sub/b.bin": bytes(range(256)) * 9000, "top/readme": b"not wanted"}


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=["a.tar", "a.tgz", "a.zip"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / request.param, FILES)


def write(path: Path, files: dict[str, bytes]) -> Path:
    return (write_zip if path.suffix == ".zip" else write_tar)(path, files)


def test_everything_is_unpacked(archive: Path, tmp_path: Path) -> None:
    assert unpack_archive(archive, tmp_path / "deep" / "into") == 3
    assert tree(tmp_path / "deep") == {f"into/{name}": content for name, content in FILES.items()}


def test_one_folder_is_unpacked_without_its_parents(archive: Path, tmp_path: Path) -> None:
    assert unpack_archive(archive, tmp_path / "into", inside="top/data") == 2
    assert tree(tmp_path / "into") == {"a.txt": b"one", "sub/b.bin": FILES["top/data/sub/b.bin"]}


def test_holds_looks_at_whole_parts_of_a_path(archive: Path) -> None:
    assert holds(archive, "top/data") and holds(archive, "")
    assert not holds(archive, "top/dat") and not holds(archive, "data")


def test_the_kind_is_read_from_the_content_not_from_the_name(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", FILES).rename(tmp_path / "a.tar")
    assert unpack_archive(tmp_path / "a.tar", tmp_path / "into") == 3


def test_a_second_time_nothing_is_new_and_what_was_lost_is_replaced(archive: Path, tmp_path: Path) -> None:
    unpack_archive(archive, tmp_path / "into", inside="top")
    times = (tmp_path / "into/data/a.txt").stat().st_mtime_ns
    assert unpack_archive(archive, tmp_path / "into", inside="top") == 0
    (tmp_path / "into/data/sub/b.bin").unlink()
    assert unpack_archive(archive, tmp_path / "into", inside="top") == 1
    assert tree(tmp_path / "into") == {name.removeprefix("top/"): content for name, content in FILES.items()}
    assert (tmp_path / "into/data/a.txt").stat().st_mtime_ns == times


@pytest.mark.parametrize("mine", [b"two", b"one and more", b"on", b""])
def test_a_file_of_the_users_is_never_replaced(archive: Path, tmp_path: Path, mine: bytes) -> None:
    (tmp_path / "into" / "sub").mkdir(parents=True)
    (tmp_path / "into" / "a.txt").write_bytes(mine)
    with pytest.raises(InputError, match=r"a\.txt is there with another content"):
        unpack_archive(archive, tmp_path / "into", inside="top/data")
    assert tree(tmp_path / "into") == {"a.txt": mine}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([archive.name, "into"])


def test_what_a_killed_run_left_is_not_used(archive: Path, tmp_path: Path) -> None:
    (tmp_path / ".into.unpacking").mkdir()
    (tmp_path / ".into.unpacking" / "stale").write_text("half")
    unpack_archive(archive, tmp_path / "into", inside="top/data")
    assert set(tree(tmp_path / "into")) == {"a.txt", "sub/b.bin"}
    assert not (tmp_path / ".into.unpacking").exists()


OUTSIDE = [
    "../evil",
    "/evil",
    "top/../../evil",
    "..\\evil",
    "C:\\evil",
    "C:evil",
    "\\\\host\\share\\evil",
    "top/data/../../../evil",
]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("archive_name", ["a.tar", "a.zip"])
def test_a_path_that_leads_out_is_refused_and_nothing_is_unpacked(tmp_path: Path, name: str, archive_name: str) -> None:
    (tmp_path / "box").mkdir()
    archive = write(tmp_path / "box" / archive_name, {"top/a": b"1", name: b"2", "top/b": b"3"})
    with pytest.raises(InputError, match=r"leads out of it") as error:
        unpack_archive(archive, tmp_path / "box" / "into")
    assert str(archive) in str(error.value)
    assert [path.name for path in tmp_path.rglob("*")] == ["box", archive_name]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
@pytest.mark.parametrize("target", ["../secret", "/etc/passwd", "a"])
def test_a_link_or_a_device_in_a_tar_is_refused(tmp_path: Path, kind: bytes, target: str) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("top/a"), io.BytesIO())
        member = tarfile.TarInfo("top/link")
        member.type, member.linkname = kind, target
        tar.addfile(member)
        below = tarfile.TarInfo("top/link/evil")
        tar.addfile(below, io.BytesIO())
    with pytest.raises(InputError, match="'top/link' is a link or a device"):
        unpack_archive(tmp_path / "a.tar", tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_a_link_in_a_zip_is_refused_and_permissions_are_not_taken_over(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, mode in (("good/run", stat.S_IFREG | 0o6777), ("bad/link", stat.S_IFLNK | 0o777)):
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, "/etc/passwd")
    with pytest.raises(InputError, match="'bad/link' is a link or a device"):
        unpack_archive(tmp_path / "a.zip", tmp_path / "into")
    assert unpack_archive(tmp_path / "a.zip", tmp_path / "into", inside="good") == 1  # what is left out harms nobody
    assert not (tmp_path / "into/run").stat().st_mode & 0o7111


def test_a_folder_that_is_a_link_out_of_the_root_is_not_written_through(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", FILES)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="sub is a link that leads out of"):
        unpack_archive(tmp_path / "a.tar", tmp_path / "into", inside="top/data")
    assert tree(tmp_path / "elsewhere") == {} and tree(tmp_path / "into") == {}


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", FILES)
    (tmp_path / "disk").mkdir()
    (tmp_path / "into").symlink_to(tmp_path / "disk")
    assert unpack_archive(tmp_path / "a.tar", tmp_path / "into", inside="top/data") == 2
    assert set(tree(tmp_path / "disk")) == {"a.txt", "sub/b.bin"}


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.zip"])
def test_an_archive_cut_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    content = write(tmp_path / name, {"a": b"x" * 700, "b": b"y" * 100}).read_bytes()
    # Of an uncompressed tar all that counts ends with the first block of zeros: 512 + 1024 + 512 + 512 + 512 bytes.
    cuts = range(0, 3072, 64) if name == "a.tar" else range(0, len(content) - 1, 7)
    for cut in cuts:
        (tmp_path / name).write_bytes(content[:cut])
        with pytest.raises(InputError, match=r"cannot be unpacked .* fetch the archive again\.$"):
            unpack_archive(tmp_path / name, tmp_path / "into")
        assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    content = bytearray(write_tar(tmp_path / "a.tar", {"a": b"x" * 700, "b": b"y" * 100}).read_bytes())
    content[1536 + 150] ^= 0xFF  # in the checksum of b's header
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(InputError, match="its end is missing"):
        unpack_archive(tmp_path / "a.tar", tmp_path / "into")


def test_a_damaged_content_is_seen_in_a_compressed_archive(tmp_path: Path) -> None:
    content = bytearray(write_tar(tmp_path / "a.tgz", FILES).read_bytes())
    content[-8] ^= 1  # the first byte of gzip's CRC-32
    (tmp_path / "a.tgz").write_bytes(content)
    with pytest.raises(InputError, match="CRC check failed"):
        unpack_archive(tmp_path / "a.tgz", tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_what_is_no_archive_or_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "page.tar").write_text("<html>404</html>" * 100)
    for name in ("page.tar", "none.tar"):
        with pytest.raises(InputError, match=f"{name} cannot be unpacked"):
            unpack_archive(tmp_path / name, tmp_path / "into")
        with pytest.raises(InputError, match=f"{name} cannot be unpacked"):
            holds(tmp_path / name, "top")


def test_the_checksum_is_compared(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    check_md5(tmp_path / "a", hashlib.md5(b"content").hexdigest())
    with pytest.raises(InputError, match=r"a has the MD5 sum 9a0364b9e99bb480dd25e1f0284c8555, not 00: it is damaged"):
        check_md5(tmp_path / "a", "00")
    with pytest.raises(InputError, match="none cannot be read"):
        check_md5(tmp_path / "none", "00")
