"""The lock of the GPU: one for each device and user, whatever the project, in a folder that nobody else can use."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from harness import doit

from c10.building import device
from c10.building.device import device_held, device_lock
from c10.errors import C10Error, ConfigError, PublishError
from c10.files import locks
from c10.files.locks import held
from c10.host.cuda import ask_device_identity, device_identity

#: Two GPUs, by index or by UUID; unset is the first one. MISSING leaves functions out, FAIL makes them fail.
LIBCUDA = """
#include <stdlib.h>
#include <string.h>
static int chosen(void) {
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    if (!visible) return 0;
    if (!strncmp(visible, "0", 1) || !strncmp(visible, "GPU-0a0a0a0a", 12)) return 0;
    if (!strncmp(visible, "1", 1) || !strncmp(visible, "GPU-1b1b1b1b", 12)) return 1;
    return -1;
}
int cuInit(unsigned flags) { return FAIL == 1 ? 3 : 0; }
int cuDeviceGet(int *device, int ordinal) { *device = 7; return FAIL == 2 || chosen() < 0 ? 101 : ordinal; }
#if !(MISSING & 1)
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
    memset(uuid, chosen() ? 0x1b : 0x0a, 16); return device != 7 || FAIL == 3;
}
#endif
#if !(MISSING & 2)
int cuDeviceGetUuid(unsigned char *uuid, int device) {
    memset(uuid, ZEROS ? 0 : chosen() ? 0x2b : 0x2a, 16); return device != 7 || FAIL == 3;
}
#endif
#if !(MISSING & 4)
int cuDeviceGetPCIBusId(char *text, int size, int device) {
    strncpy(text, chosen() ? "0000:02:00.0" : "0000:01:00.0", size); return device != 7 || FAIL == 4;
}
#endif
"""

FIRST = "0a" * 16
SECOND = "1b" * 16


@pytest.fixture(scope="session")
def libcuda(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Compile a stand-in for libcuda."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here: a stand-in for a CUDA library cannot be made")

    def build(fail: int = 0, missing: int = 0, zeros: int = 0) -> str:
        folder = tmp_path_factory.mktemp("libcuda")
        (folder / "cuda.c").write_text(LIBCUDA)
        flags = [f"-DFAIL={fail}", f"-DMISSING={missing}", f"-DZEROS={zeros}"]
        command = [compiler, "-shared", "-fPIC", *flags, "-o", str(folder / "libcuda.so.1"), str(folder / "cuda.c")]
        subprocess.run(command, check=True)
        return str(folder / "libcuda.so.1")

    return build


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Leave this machine's own GPU, where there is one, out of it."""
    device._device.cache_clear()
    monkeypatch.setattr(device, "ask_device_identity", lambda: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return monkeypatch


@pytest.fixture
def own(no_gpu: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the user's own folder for locks, not yet made, under a parent of this test."""
    no_gpu.delenv("C10_LOCK_DIR")
    no_gpu.setattr(device, "_PARENTS", (tmp_path,))
    return tmp_path / f"c10-{os.geteuid()}"


# Which device


@pytest.mark.parametrize(
    ("fail", "missing", "zeros", "identity"),
    [
        (0, 0, 0, FIRST),
        (0, 1, 0, "2a" * 16),  # before CUDA 11.4
        (0, 1, 1, "0000:01:00.0"),  # a driver that knows no UUID
        (0, 3, 0, "0000:01:00.0"),
        (3, 0, 0, "0000:01:00.0"),
        (4, 3, 0, None),
        (0, 7, 0, None),
        (1, 0, 0, None),
        (2, 0, 0, None),
    ],
)
def test_what_identifies_a_device(
    libcuda: Callable[..., str], fail: int, missing: int, zeros: int, identity: str | None
) -> None:
    library = libcuda(fail, missing, zeros)
    assert device_identity(library) == ask_device_identity(library) == identity


@pytest.mark.parametrize("content", [None, b"", b"not a library"])
def test_without_libcuda_nothing_is_started_to_ask_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    monkeypatch.setattr("c10.host.cuda.subprocess.run", None)
    if content is not None:
        (tmp_path / "libcuda.so.1").write_bytes(content)
    assert ask_device_identity(str(tmp_path / "libcuda.so.1")) is None
    assert device_identity(str(tmp_path / "libcuda.so.1")) is None


@pytest.mark.parametrize("what", ["crashes", "hangs"])
def test_a_driver_that_does_not_answer_leaves_the_index(
    libcuda: Callable[..., str], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    library = libcuda()
    monkeypatch.setattr(
        "c10.host.cuda._ASK", "import os; os.abort()" if what == "crashes" else "import time; time.sleep(60)"
    )
    monkeypatch.setattr("c10.host.cuda._ANSWER_S", 30 if what == "crashes" else 0.2)
    assert ask_device_identity(library) is None
    monkeypatch.setattr(device, "ask_device_identity", partial(ask_device_identity, library))
    assert device_lock().name == "gpu-0.lock"


def name_for(monkeypatch: pytest.MonkeyPatch, visible: str | None) -> str:
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    return device_lock().name


def test_unset_index_and_uuid_are_one_lock_where_they_are_one_device(
    libcuda: Callable[..., str], no_gpu: pytest.MonkeyPatch
) -> None:
    no_gpu.setattr(device, "ask_device_identity", partial(ask_device_identity, libcuda()))
    first = {name_for(no_gpu, visible) for visible in (None, "0", "0,1", "GPU-0a0a0a0a", "GPU-0a0a0a0a,1")}
    second = {name_for(no_gpu, visible) for visible in ("1", "1,0", "GPU-1b1b1b1b")}
    assert (first, second) == ({f"gpu-{FIRST}.lock"}, {f"gpu-{SECOND}.lock"})


@pytest.mark.parametrize(
    ("visible", "name"),
    [(None, "0"), ("", "0"), ("0", "0"), ("1,0", "1"), (" 2", "2"), ("GPU-0a/../b", "GPU-0a----b")],
)
def test_where_cuda_cannot_be_asked_the_first_entry_counts(
    no_gpu: pytest.MonkeyPatch, visible: str | None, name: str
) -> None:
    assert name_for(no_gpu, visible) == f"gpu-{name}.lock"


# Two projects

PROJECT = '''\
"""Compiles on the device as `meet` says: alone, or at the same time as the other project."""
import os, time
from pathlib import Path
from c10 import EngineCacheEntry, Sha256Sidecar
from c10.host import HostCapabilities
from c10.tasks import DOIT_CONFIG, engine_tasks

HERE, INSIDE = Path.cwd(), Path(os.environ["INSIDE"])


class Runtime:
    kind = "trt"

    def compile_engine(self, onnx_path, build_config, output_path, *, progress=None):
        mine = INSIDE / HERE.name
        mine.touch()
        others = []
        for _ in range(int(os.environ["PATIENCE"])):
            others = [path for path in INSIDE.iterdir() if path != mine]
            if others and os.environ["MEET"] == "yes":
                break
            time.sleep(0.01)
        (HERE / "met").write_text(str(len(others)))
        if os.environ["MEET"] != "yes":
            mine.unlink()
        return EngineCacheEntry(
            engine_path=output_path, sha256=Sha256Sidecar.write_atomic_and_sidecar(output_path, b"engine")
        )


def task_engines():
    host = HostCapabilities(sm="87", jp="6.2", trt="10.3")
    yield from engine_tasks("backbones.toml", host=host, runtime=Runtime())
'''


def two_projects(folder: Path, monkeypatch: pytest.MonkeyPatch, devices: tuple[str, str], *, meet: bool) -> list[int]:
    """Run two projects at once, each with a cache of its own; return how many others each met on its device."""
    (folder / "inside").mkdir()
    monkeypatch.setenv("INSIDE", str(folder / "inside"))
    monkeypatch.setenv("MEET", "yes" if meet else "no")
    monkeypatch.setenv("PATIENCE", "3000" if meet else "30")
    running = []
    for number, visible in enumerate(devices):
        project = folder / f"project{number}"
        project.mkdir()
        (project / "m.onnx").write_bytes(b"\x08\x08\x12\x01m")
        (project / "backbones.toml").write_text('[[backbones]]\nmodel_name = "m"\nonnx_path = "m.onnx"\n')
        (project / "dodo.py").write_text(PROJECT)
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": visible}
        command = [sys.executable, "-m", "doit", "engines"]
        running.append(subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.DEVNULL))
    assert [process.wait() for process in running] == [0, 0]
    return [int((folder / f"project{number}" / "met").read_text()) for number in range(2)]


def test_two_projects_do_not_tune_on_one_device_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert two_projects(tmp_path, monkeypatch, ("0", "0,1"), meet=False) == [0, 0]
    assert not list(tmp_path.glob("project*/engines/.locks/gpu*"))


def test_two_projects_tune_on_two_devices_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert two_projects(tmp_path, monkeypatch, ("0", "1"), meet=True) == [1, 1]


# The user's own folder


def test_the_folder_depends_on_the_user_alone(no_gpu: pytest.MonkeyPatch) -> None:
    no_gpu.delenv("C10_LOCK_DIR")
    no_gpu.setattr(device, "_refuse_unsafe", lambda *_: None)
    made: list[Path] = []
    no_gpu.setattr(Path, "mkdir", lambda path, _: made.append(path))
    no_gpu.setattr(Path, "lstat", lambda _: None)
    for name in ("HOME", "XDG_RUNTIME_DIR", "TMPDIR", "USER"):
        no_gpu.setenv(name, "/nowhere")
    folder = Path(f"/var/tmp/c10-{os.geteuid()}")  # noqa: S108 - its name is what is tested
    assert device_lock() == folder / "gpu-0.lock"
    assert made == [folder]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_folder_is_made_for_this_user_alone(own: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with device_held(lambda: pytest.fail("waited")):
            assert stat.S_IMODE(own.lstat().st_mode) == 0o700
            assert own.lstat().st_uid == os.geteuid()
    finally:
        os.umask(before)
    assert [path.name for path in own.iterdir()] == ["gpu-0.lock"]
    assert device_lock() == own / "gpu-0.lock"  # and is taken as it is the next time


def test_the_lock_stays_young_for_who_removes_old_files(own: Path) -> None:
    with device_held(lambda: None):
        pass
    os.utime(own / "gpu-0.lock", (0, 0))
    with device_held(lambda: None):
        assert time.time() - (own / "gpu-0.lock").stat().st_mtime < 3600


def plant_link(own: Path) -> None:
    (own.parent / "elsewhere").mkdir(0o700)
    own.symlink_to(own.parent / "elsewhere")


def plant_dangling_link(own: Path) -> None:
    own.symlink_to(own.parent / "elsewhere")


def plant_file(own: Path) -> None:
    own.touch(0o700)


def with_mode(mode: int) -> Callable[[Path], None]:
    def plant(own: Path) -> None:
        own.mkdir()
        own.chmod(mode)

    return plant


@pytest.mark.parametrize(
    ("plant", "found", "remedy"),
    [
        (plant_link, "a symbolic link", "Find out who made it and remove it, or set C10_LOCK_DIR"),
        (plant_dangling_link, "a symbolic link", "Find out who made it and remove it, or set C10_LOCK_DIR"),
        (plant_file, "a file", "Find out who made it and remove it, or set C10_LOCK_DIR"),
        (with_mode(0o755), "mode 0755", "chmod 700 "),
        (with_mode(0o770), "mode 0770", "chmod 700 "),
        (with_mode(0o1777), "mode 0777", "chmod 700 "),
        (with_mode(0o500), "mode 0500", "chmod 700 "),
    ],
)
def test_what_is_planted_is_refused(own: Path, plant: Callable[[Path], None], found: str, remedy: str) -> None:
    plant(own)
    with pytest.raises(PublishError, match=f"with mode 0700, got {found}\n") as raised, device_held(lambda: None):
        pytest.fail("held a lock where others may put files")
    assert str(own) in raised.value.message
    assert remedy in raised.value.remedy
    assert not list(own.parent.glob("elsewhere/*"))


def test_a_folder_of_another_user_is_refused(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own.mkdir(0o700)
    monkeypatch.setattr(device, "_PARENTS", (own.parent,))
    uid = os.geteuid()
    own.rename(own.with_name(f"c10-{uid + 1}"))
    monkeypatch.setattr(device.os, "geteuid", lambda: uid + 1)
    with pytest.raises(PublishError, match=rf"of user {uid + 1} with mode 0700, got a directory of user {uid}\n"):
        device_lock()


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EROFS, errno.ENOTDIR])
def test_tmp_serves_where_var_tmp_cannot(own: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    first = own.parent / "var-tmp"
    monkeypatch.setattr(device, "_PARENTS", (first, own.parent))
    mkdir = Path.mkdir

    def refuse(path: Path, mode: int) -> None:
        if path.parent == first:
            raise OSError(number, os.strerror(number))
        mkdir(path, mode)

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert device_lock() == own / "gpu-0.lock"
    monkeypatch.setattr(device, "_PARENTS", (first,))
    with pytest.raises(PublishError, match="expected a directory that can be written to") as raised:
        device_lock()
    assert "Set C10_LOCK_DIR" in raised.value.remedy


def test_another_error_is_told_and_leads_to_no_other_lock(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, mode: int) -> None:  # noqa: ARG001
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(device, "_PARENTS", (own.parent, own.parent.parent))
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(PublishError, match="No space left on device") as raised:
        device_lock()
    assert "Set C10_LOCK_DIR" in raised.value.remedy


# A folder of a group


def test_a_folder_of_a_group_serves_users_with_any_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C10_LOCK_DIR", str(tmp_path))
    tmp_path.chmod(0o2770)
    before = os.umask(0o077)
    try:
        with device_held(lambda: None):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "gpu-0.lock").stat().st_mode) == 0o666


@pytest.mark.parametrize(
    ("named", "kind", "words"),
    [
        ("locks", ConfigError, "C10_LOCK_DIR: expected an absolute path, got 'locks'"),
        ("/nowhere/locks", PublishError, "install -d -m 2770 -g GROUP /nowhere/locks"),
        ("/dev/null", PublishError, "C10_LOCK_DIR: lock: expected a directory, got '/dev/null'"),
    ],
)
def test_a_named_folder_that_cannot_serve(
    monkeypatch: pytest.MonkeyPatch, named: str, kind: type[C10Error], words: str
) -> None:
    monkeypatch.setenv("C10_LOCK_DIR", named)
    with pytest.raises(kind) as raised:
        device_lock()
    assert words in str(raised.value)


def test_the_remedy_names_the_folder_of_this_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C10_LOCK_DIR", str(tmp_path))
    (tmp_path / "gpu-0.lock").mkdir()
    with pytest.raises(PublishError, match="expected to create the lock file") as raised, device_held(lambda: None):
        pass
    assert "C10_LOCK_DIR" in raised.value.remedy
    assert "cache_root" not in raised.value.remedy


def test_another_users_lock_file_in_a_sticky_folder_is_opened_without_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux refuses O_CREAT there (fs.protected_regular), whatever the file's mode."""
    path = tmp_path / "gpu-0.lock"
    path.touch()
    opened = os.open

    def protected(name: object, flags: int, mode: int = 0o777) -> int:
        if name == path and flags & os.O_CREAT:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(name, flags, mode)  # type: ignore[arg-type]

    monkeypatch.setattr(locks.os, "open", protected)
    with held(path, lambda: pytest.fail("waited")):
        pass
    path.unlink()
    with pytest.raises(PublishError, match="got Permission denied"), held(path):
        pass


def test_a_run_says_what_is_wrong_with_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C10_LOCK_DIR", "locks")
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08\x12\x01m")
    (tmp_path / "backbones.toml").write_text('[[backbones]]\nmodel_name = "m"\nonnx_path = "m.onnx"\n')
    (tmp_path / "dodo.py").write_text(PROJECT)
    monkeypatch.setenv("INSIDE", str(tmp_path))
    done = doit(tmp_path, "engines")
    assert done.returncode == 1
    assert "C10_LOCK_DIR: expected an absolute path" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
