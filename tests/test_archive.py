"""Zip files from strangers: what is unpacked, and that nothing else ever is."""

import io
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from submissions.archive import Limits, unpacked


def zipped(path: Path, members, **options) -> Path:
    """A zip file of (name, or ZipInfo, and content) pairs."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "unpacked"
    made.mkdir()
    return made


def refused(path: Path, folder: Path, limits: Limits | None = None) -> str:
    """The sentences about a zip that must be refused, of which nothing may be written."""
    before = sorted(folder.parent.rglob("*"))
    problems = unpacked(path, folder, limits or Limits())
    assert problems
    assert sorted(folder.parent.rglob("*")) == before
    return " ".join(each.sentence for each in problems)


def member(name: str, **facts: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = name  # as it is: the constructor mends names
    for key, value in facts.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_plain_zip_is_unpacked(tmp_path, folder, method):
    files = {"submission.toml": b"a = 1", "scores/a.npy": bytes(3_000_000), "scores/ü.npy": b"2"}
    path = zipped(tmp_path / "a.zip", files.items(), compression=method)
    assert unpacked(path, folder, Limits()) == ()
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}
    assert found == files


def test_folders_and_what_file_managers_leave_are_passed_over(tmp_path, folder):
    names = ["scores/", "__MACOSX/scores/._a.npy", ".DS_Store", "scores/Thumbs.db", "scores/a.npy"]
    path = zipped(tmp_path / "a.zip", [(name, b"") for name in names])
    assert unpacked(path, folder, Limits()) == ()
    assert [p.name for p in folder.rglob("*") if p.is_file()] == ["a.npy"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../a", "leaves its folder"),
        ("a/../../b", "leaves its folder"),
        ("a/./b", "not plain"),
        ("a//b", "not plain"),
        ("/etc/passwd", "absolute"),
        ("\\\\host\\a", "absolute"),
        ("C:/a", "absolute"),
        ("a\\b", "one of"),
        ("a\nb", "cannot be seen"),
        ("a\x1b[2Jb", "cannot be seen"),
        ("a\u202egnp.b", "cannot be seen"),
        ("a\u200b", "cannot be seen"),
        ("a\ufeff", "cannot be seen"),
        ("a\u2028b", "cannot be seen"),
        ("a" * 256, "255 bytes"),
        ("/".join("abcdefg"), "more than 6 parts"),
    ],
)
def test_a_bad_name_is_refused(tmp_path, folder, name, said):
    path = zipped(tmp_path / "a.zip", [(member(name), b"x"), ("good", b"y")])
    text = refused(path, folder)
    assert said in text
    assert text.isprintable()


def test_a_name_with_nul_is_refused_and_not_cut(tmp_path, folder):
    path = zipped(tmp_path / "a.zip", [("scores/aXb.npy", b"x")])
    path.write_bytes(path.read_bytes().replace(b"aXb", b"a\0b"))
    assert "cannot be seen" in refused(path, folder)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_are_refused(tmp_path, folder, kind):
    info = member("scores/a", external_attr=(kind | 0o777) << 16)
    assert "link or device" in refused(zipped(tmp_path / "a.zip", [(info, "/etc")]), folder)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a", "a"], "twice"),
        (["a.npy", "A.npy"], "beside a.npy"),
        (["\u00fc", "u\u0308"], "beside \u00fc"),
    ],
)
def test_names_that_would_replace_each_other_are_refused(tmp_path, folder, names, said):
    path = tmp_path / "a.zip"
    zipped(path, [(name, b"x") for name in names])
    assert said in refused(path, folder)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path, folder, method):
    path = zipped(tmp_path / "a.zip", [("a", b"x" * 100)], compression=method)
    assert "plain zip" in refused(path, folder)


def test_encrypted_files_are_refused(tmp_path, folder):
    path = zipped(tmp_path / "a.zip", [("a", b"x")])
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    assert "encrypted" in refused(path, folder)


def test_a_bomb_is_refused_by_what_it_announces(tmp_path, folder):
    path = zipped(tmp_path / "a.zip", [("a", bytes(10**7))], compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000
    assert "10,000,000 bytes" in refused(path, folder, Limits(file_bytes=10**6))
    assert "10,000,000 bytes" in refused(path, folder, Limits(total_bytes=10**6))


def test_a_bomb_that_announces_little_unpacks_to_no_more(tmp_path, folder):
    path = zipped(tmp_path / "a.zip", [("a", bytes(10**7))], compression=zipfile.ZIP_DEFLATED)
    content = path.read_bytes().replace(struct.pack("<I", 10**7), struct.pack("<I", 1000))
    path.write_bytes(content)
    assert unpacked(path, folder, Limits(file_bytes=10**6))[0].code == "archive"
    assert sum(p.stat().st_size for p in folder.rglob("*")) <= 1000


def test_overlapping_files_are_refused(tmp_path, folder):
    path = zipped(tmp_path / "a.zip", [("a", b"x" * 1000), ("b", b"x" * 1000)])
    content = path.read_bytes()
    entry = content.index(b"PK\1\2")
    second = content.index(b"PK\1\2", entry + 4)
    start = content.index(b"PK\3\4", 4)  # without the second file's bytes, both name the first's
    moved = bytearray(content[second:])
    struct.pack_into("<I", moved, 42, 0)
    end = moved.index(b"PK\5\6")
    struct.pack_into("<I", moved, end + 16, start)
    path.write_bytes(content[:start] + content[entry:second] + bytes(moved))
    assert "overlap" in refused(path, folder)


def test_too_many_files_are_counted(tmp_path, folder):
    path = zipped(tmp_path / "a.zip", [(f"{i}", b"") for i in range(30)])
    assert "30 files; at most 20" in refused(path, folder, Limits(files=20))


def test_a_million_entries_cost_little_memory(tmp_path, folder):
    path = zipped(tmp_path / "a.zip", [("a", b"")])
    content = path.read_bytes()
    entry = content[content.index(b"PK\1\2") : content.index(b"PK\5\6")]
    begin, count = content.index(b"PK\1\2"), 10**6
    zip64 = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(entry) * count, begin
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, begin + len(entry) * count, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2**16 - 1, 2**16 - 1, 2**32 - 1, 2**32 - 1, 0)
    path.write_bytes(content[:begin] + entry * count + zip64 + locator + end)
    tracemalloc.start()
    try:
        assert "directory of more than" in refused(path, folder)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("keep", [0, 3, 40, 150])
def test_a_truncated_zip_is_one_sentence(tmp_path, folder, keep):
    path = zipped(tmp_path / "a.zip", [("a", b"x" * 100)])
    path.write_bytes(path.read_bytes()[:keep])
    assert "damaged" in refused(path, folder)


def test_any_damage_is_answered(tmp_path):
    buffer = io.BytesIO()
    zipped(buffer, [("scores/a.npy", b"x" * 50), ("b", b"y")], compression=zipfile.ZIP_DEFLATED)
    good = buffer.getvalue()
    path = tmp_path / "a.zip"
    for position in range(len(good)):
        for value in (0, 255):
            path.write_bytes(good[:position] + bytes([value]) + good[position + 1 :])
            inner = tmp_path / f"{position}-{value}"
            inner.mkdir()
            for problem in unpacked(path, inner, Limits(file_bytes=10**6)):
                assert problem.sentence.isprintable()
    assert all(p.is_relative_to(tmp_path) for p in tmp_path.rglob("*"))
    assert len(list(tmp_path.glob("*"))) == 2 * len(good) + 1
