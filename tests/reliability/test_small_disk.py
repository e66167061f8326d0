"""Disks that are too small, read-only, elsewhere, or prepared by somebody."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .figures import FIGURES
from .project import How, Project, Run

MB = 1 << 20
NOBODY = 65534


@contextmanager
def _tmpfs(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _on(project: Project, cache: Path) -> None:
    project.cache = cache
    project.write()


def _fails_saying(run: Run, *words: str) -> None:
    FIGURES["runs on small, read-only or prepared disks"] += 1
    assert run.status == 1, run.text
    for word in words:
        assert word in run.out, run.text


@pytest.mark.root
def test_a_full_disk_keeps_the_older_engine_and_says_what_to_do(project: Project, folder: Path) -> None:
    with _tmpfs(folder / "small", "size=4m") as small:
        _on(project, small / "engines")
        project.behave(size=MB)
        assert project.run("engines:alpha").models("BUILT") == {"alpha"}
        before = [path.read_bytes() for path in project.files("alpha")]
        project.set_onnx("alpha", b"version two")
        project.behave(size=6 * MB)
        run = project.run("engines:alpha")
        _fails_saying(run, "No space left on device", "Free space", "The older engine is left as it was")
        assert [path.read_bytes() for path in project.files("alpha")] == before
        assert project.temporaries() == []
        project.behave(size=MB)
        assert project.run("engines:alpha").models("BUILT") == {"alpha"}


@pytest.mark.root
@pytest.mark.parametrize("free_kb", [0, 1, 4, 100, 197, 200, 204])
def test_any_amount_of_space_ends_well_or_says_why(project: Project, folder: Path, free_kb: int) -> None:
    with _tmpfs(folder / "small", "size=4m") as small:
        _on(project, small / "engines")
        project.cache.mkdir()
        (project.cache / ".locks").mkdir()
        (small / "ballast").write_bytes(bytes(4 * MB - free_kb * 1024))
        run = project.run("engines:alpha")
        FIGURES["runs on small, read-only or prepared disks"] += 1
        assert run.models("BUILT") or (run.status == 1 and "No space left on device" in run.out), run.text
        assert project.temporaries() == []
        (small / "ballast").unlink()
        assert project.run().status == 0


@pytest.mark.root
@pytest.mark.parametrize("inodes", range(2, 10))
def test_no_inodes(project: Project, folder: Path, inodes: int) -> None:
    with _tmpfs(folder / "small", f"size=4m,nr_inodes={inodes}") as small:
        _on(project, small / "engines")
        run = project.run("engines:alpha")
        FIGURES["runs on small, read-only or prepared disks"] += 1
        assert run.models("BUILT") or (run.status == 1 and "No space left on device" in run.out), run.text
        assert project.temporaries() == []


@pytest.mark.parametrize("limit", [1, 100, 1000, 100_000, 199_999])
def test_a_file_size_limit(project: Project, limit: int) -> None:
    # The database's journal is a file too: it is elsewhere in memory.
    run = project.run("engines:alpha", how=How(limits={"RLIMIT_FSIZE": limit}))
    FIGURES["runs on small, read-only or prepared disks"] += 1
    assert run.status != 0
    assert not any(path.exists() for path in project.files("alpha"))
    assert project.temporaries() == []
    assert project.run().models("BUILT") == set(project.models)


@pytest.mark.root
def test_a_file_size_limit_set_by_the_shell(project: Project) -> None:
    from .project import DRIVERS
    from .real import DOIT

    done = subprocess.run(
        ["prlimit", "--fsize=150000", str(DOIT), "engines"],
        cwd=project.root,
        env={**os.environ, "PYTHONPATH": str(DRIVERS)},
        capture_output=True,
        text=True,
        check=False,
    )
    _fails_saying(Run(done.returncode, done.stdout, done.stderr), "File too large", "ulimit -f")
    assert project.run().status == 0


@pytest.mark.root
def test_a_read_only_mount_reuses_and_does_not_build(project: Project, folder: Path) -> None:
    with _tmpfs(folder / "disk", "size=8m") as disk:
        _on(project, disk / "engines")
        project.run()
        orphan = project.cache / f".{project.engine('alpha').name}.0000000000000000.tmp"
        orphan.write_bytes(b"of a dead process, and not to be removed now")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert project.run().models("REUSED") == set(project.models)
        project.set_onnx("beta", b"version two")
        run = project.run()
        _fails_saying(
            run, "Read-only file system", "The older engine is left as it was, and it is not reused (ONNX changed"
        )
        assert run.models("REUSED") == {"alpha"}


@pytest.mark.root
def test_a_whole_project_that_may_only_be_read(make_project: Callable[..., Project], folder: Path) -> None:
    with _tmpfs(folder / "disk", "size=8m") as disk:
        project = make_project("alpha", name="disk/project")
        project.run()
        out = folder / "out"
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        pid = project.zygote.start(project.root, ["engines"], out, folder / "err", How())
        assert project.zygote.wait(pid, 30)[0] == 0
        assert "REUSED alpha" in out.read_text()
        assert "Traceback" not in (folder / "err").read_text()


@pytest.mark.root
def test_cache_root_on_another_file_system_by_a_symlink(project: Project, folder: Path) -> None:
    with _tmpfs(folder / "disk", "size=8m") as disk:
        (project.root / "engines").symlink_to(disk)
        assert project.run().models("BUILT") == set(project.models)
        assert len(list(disk.glob("*.engine"))) == len(project.models)
        assert project.run().models("REUSED") == set(project.models)


@pytest.mark.parametrize("suffix", ["", ".sha256", ".json"])
@pytest.mark.parametrize("exists", [1, 0])
def test_a_symlink_planted_at_a_target_leads_nowhere(project: Project, folder: Path, suffix: str, exists: int) -> None:
    victim = folder / "victim"
    if exists:
        victim.write_bytes(b"precious")
    project.cache.mkdir()
    target = Path(f"{project.engine('alpha')}{suffix}")
    target.symlink_to(victim)
    assert project.run().models("BUILT") == set(project.models)
    assert not target.is_symlink()
    assert victim.exists() == bool(exists)
    assert not exists or victim.read_bytes() == b"precious"
    assert project.run().models("REUSED") == set(project.models)


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory"])
def test_what_is_planted_at_a_lock_leads_nowhere_and_hangs_nothing(project: Project, folder: Path, kind: str) -> None:
    locks = project.cache / ".locks"
    locks.mkdir(parents=True)
    lock = locks / f"{project.engine('alpha').name}.lock"
    {"symlink": lambda: lock.symlink_to(folder / "victim"), "fifo": lambda: os.mkfifo(lock), "directory": lock.mkdir}[
        kind
    ]()
    _fails_saying(project.run("engines:alpha", how=How(timeout=20)), "lock: expected to create the lock file")
    assert not (folder / "victim").exists()


@pytest.mark.parametrize("suffix", ["", ".sha256", ".json"])
@pytest.mark.parametrize("kind", ["fifo", "directory"])
def test_what_is_no_file_at_a_target(project: Project, suffix: str, kind: str) -> None:
    project.cache.mkdir()
    target = Path(f"{project.engine('alpha')}{suffix}")
    os.mkfifo(target) if kind == "fifo" else target.mkdir()
    run = project.run("engines:alpha", how=How(timeout=20))
    if kind == "fifo":  # replaced, as any file is
        assert run.models("BUILT") == {"alpha"}
    else:
        _fails_saying(run, "Is a directory")
    assert project.temporaries() == []


@pytest.mark.parametrize("what", ["engines", "engines/.locks"])
def test_a_file_where_a_directory_is_needed(project: Project, what: str) -> None:
    (project.root / what).parent.mkdir(exist_ok=True)
    (project.root / what).write_bytes(b"")
    _fails_saying(project.run("engines:alpha"), "lock: expected to create the lock file", "cache_root")


@pytest.mark.parametrize(
    ("umask", "file", "directory"), [(0o022, 0o644, 0o755), (0o002, 0o664, 0o775), (0o077, 0o600, 0o700)]
)
def test_modes_follow_the_umask(project: Project, umask: int, file: int, directory: int) -> None:
    assert project.run(how=How(umask=umask)).status == 0
    for path in project.files("alpha"):
        assert stat.S_IMODE(path.stat().st_mode) == file
    assert stat.S_IMODE(project.cache.stat().st_mode) == directory


@pytest.mark.root
@pytest.mark.parametrize("mode", [0o000, 0o400, 0o500, 0o555])
def test_a_cache_that_another_user_may_not_write(project: Project, mode: int) -> None:
    project.run()
    project.cache.chmod(mode)
    project.root.chmod(0o777)
    (project.root / "ledger.jsonl").chmod(0o666)
    run = project.run(how=How(uid=NOBODY, timeout=30))
    if mode & 0o005 == 0o005:
        assert run.models("REUSED") == set(project.models), run.text
        project.set_onnx("alpha", b"version two")
        run = project.run(how=How(uid=NOBODY, timeout=30))
    _fails_saying(run, "Permission denied", "cache_root")


def test_a_failed_rebuild_leaves_the_older_engine_and_says_so(project: Project) -> None:
    project.run()
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in project.files("alpha")]
    project.set_onnx("alpha", b"version two")
    run = project.run(how=How(env={"STUB_MODE": "raise"}))
    _fails_saying(run, "FAILED alpha", "The older engine is left as it was, and it is not reused (ONNX changed: sha256")
    assert str(project.engine("alpha")) in run.out
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in project.files("alpha")] == before
    assert project.run().models("BUILT") == {"alpha"}


def test_a_forced_rebuild_that_fails_leaves_an_engine_that_is_reused(project: Project) -> None:
    project.run()
    run = project.run("-a", "engines:alpha", how=How(env={"STUB_MODE": "raise"}))
    _fails_saying(run, "The older engine is left as it was, and it can still be reused")
    assert project.run().models("REUSED") == set(project.models)


@pytest.mark.parametrize("mode", ["raise", "raise_late", "lie"])
def test_a_failed_first_build_says_nothing_of_an_older_engine(project: Project, mode: str) -> None:
    run = project.run(how=How(env={"STUB_MODE": mode}))
    _fails_saying(run, "FAILED alpha")
    assert "older engine" not in run.text
    assert project.run().models("BUILT") == set(project.models)
