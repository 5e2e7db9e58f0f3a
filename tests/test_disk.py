"""The one place where the package touches files, and that there is no other."""

from __future__ import annotations

import ast
import errno
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedast_jax.config import disk

PACKAGE = Path(disk.__file__).parents[1]
OF_PATHS = {
    "read_text", "read_bytes", "write_text", "write_bytes", "open", "mkdir", "unlink", "rmdir",
    "touch", "iterdir", "glob", "rglob", "exists", "is_file", "is_dir", "is_symlink", "stat",
    "lstat", "chmod", "symlink_to", "hardlink_to", "samefile", "savefig", "to_csv",
}  # fmt: skip
OF_OS = {
    "environ",
    "getenv",
    "getpid",
    "cpu_count",
    "sched_getaffinity",
    "strerror",
    "name",
    "getcwd",
}
ONLY_DISK_IMPORTS = {"shutil", "tempfile", "fcntl", "mmap", "glob", "filelock"}
ALLOWED = {
    ("results/output.py", "os.open"),  # a terminal that is gone is sent to nowhere
    ("results/output.py", "os.dup2"),
    ("results/output.py", "os.close"),
    ("results/output.py", "os.devnull"),
    ("results/output.py", "os.O_WRONLY"),
    ("results/pictures.py", "savefig"),  # into a file of disk's
    ("study/paper/page.py", "to_csv"),  # as text
    ("cli/own.py", "filelock"),  # what a lock raises that is held
    ("data/formats.py", "tarfile.open"),  # in memory
    ("study/fuzz/recorded.py", "tempfile"),  # a folder for what is drawn
    ("config/npz.py", "open"),  # what lies in a file that is open
}


def touches(path: Path) -> Iterator[str]:
    """What in a module works on files by itself."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom | ast.Import):
            module = getattr(node, "module", None)
            names = [module] if module else [alias.name for alias in node.names]
            yield from (name for name in names if name in ONLY_DISK_IMPORTS)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield from {"open"} & {node.func.id}
        if isinstance(node, ast.Attribute):
            yield from _attribute(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            given = len(node.args), len(node.keywords)
            yield from {"replace", "rename"} & {node.func.attr} if given == (1, 0) else ()


def _attribute(node: ast.Attribute) -> Iterator[str]:
    owner = node.value.id if isinstance(node.value, ast.Name) else ""
    if owner == "os" and node.attr not in OF_OS:
        yield f"os.{node.attr}"
    elif owner in ("gzip", "lzma", "tarfile", "zipfile", "io") and node.attr == "open":
        yield f"{owner}.open"
    elif owner != "disk" and node.attr in OF_PATHS:
        yield node.attr


def test_no_other_module_touches_files():
    found = {
        (name, what)
        for path in PACKAGE.rglob("*.py")
        if (name := path.relative_to(PACKAGE).as_posix()) != "config/disk.py"
        for what in touches(path)
    }
    assert found - ALLOWED == set()
    assert ALLOWED - found == set()  # what is no longer so is no longer allowed


@pytest.mark.parametrize(
    "code",
    [
        "open('a')", "import shutil", "from tempfile import mkdtemp", "path.read_text()",
        "os.replace(a, b)", "a.replace(b)", "a.rename(b)", "gzip.open(a)", "figure.savefig(a)",
    ],
)  # fmt: skip
def test_the_rule_sees(tmp_path, code):
    (tmp_path / "a.py").write_text(code)
    assert list(touches(tmp_path / "a.py"))


def test_reads_and_writes_are_operations_of_their_own(tmp_path):
    seen = []

    def way(verb, do, *arguments):
        seen.append(verb)
        return do(*arguments)

    with disk.by_way_of(way):
        disk.write_text("a\r\nb", tmp_path / "a", is_new=True)
        assert disk.read_text(tmp_path / "a") == "a\nb"
    assert seen == ["open", "write", "sync", "close", "open", "read", "close"]
    disk.read_bytes(tmp_path / "a")
    assert len(seen) == 7  # it is over


def test_what_cannot_be_a_file_is_none(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "a", tmp_path / "a\0b", tmp_path / "loop"):
        assert not disk.exists(path)
    assert disk.is_there(tmp_path / "loop")
    with pytest.raises(OSError, match="name too long") as said:
        disk.exists(tmp_path / ("a" * 9999))
    assert said.value.errno == errno.ENAMETOOLONG


def test_a_packed_file_is_read_through_it(tmp_path):
    from fedast_jax.data.formats import read_file

    (tmp_path / "a.gz").write_bytes(gzip.compress(b"abc"))
    assert read_file(tmp_path / "a.gz") == b"abc"
