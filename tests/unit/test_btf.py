"""Type information as a compiler writes it, read back; offsets and sizes are those that the same compiler asserts."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest

from swaptrace.errors import EnvironmentProblem
from swaptrace.kernel import btf as module
from swaptrace.kernel.btf import Btf, Field, KernelTypes

SOURCE = """
typedef unsigned int u32;
typedef struct { unsigned long val; } swp_entry_t;
struct inner { int a; const volatile long b[3]; };
struct outer {
    char c;
    struct { u32 x; union { short y; void *z; }; };
    struct inner in;
    unsigned first : 3, more : 7, far : 12;
    struct inner *next;
};
union either { int i; char bytes[12]; };
enum colour { RED = -1, GREEN = 5 };
struct unknown;
struct outer *all(
    struct outer *o, swp_entry_t e, u32 n, const void *p, union either u, int *q, swp_entry_t *r, struct unknown *s,
    unsigned char t) { return o; }
enum colour none(void) { return GREEN; }
union either either;
"""
# Bytes: offset and size; None: no such field. Of bit fields, the byte in which they begin.
FIELDS = {
    "outer": (0, 72),
    "outer.c": (0, 1),
    "outer.x": (8, 4),
    "outer.y": (16, 2),
    "outer.z": (16, 8),
    "outer.in": (24, 32),
    "outer.in.a": (24, 4),
    "outer.in.b": (32, 24),
    "outer.next": (64, 8),
    "either.bytes": (0, 12),
}
NOT_THERE = ("outer.none", "outer.next.a", "inner.a.b", "nothing", "nothing.x", "u32", "colour", "all")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vmlinux, in a folder of its own."""
    folder = tmp_path_factory.mktemp("btf")
    checks = [f"_Static_assert(__builtin_offsetof({kind(p)}, {m}) == {FIELDS[p][0]}, {p!r});" for p, m in members()]
    checks += [f"_Static_assert(sizeof((({kind(p)} *)0)->{m}) == {FIELDS[p][1]}, {p!r});" for p, m in members()]
    source = SOURCE + "\n".join(checks).replace("'", '"')
    subprocess.run(
        ["gcc", "-gbtf", "-c", "-x", "c", "-o", folder / "vmlinux", "-"], input=source, text=True, check=True
    )
    return folder


def kind(path: str) -> str:
    name = path.partition(".")[0]
    return f"{'union' if name == 'either' else 'struct'} {name}"


def members() -> list[tuple[str, str]]:
    return [(path, path.partition(".")[2]) for path in FIELDS if "." in path]


@pytest.fixture
def types(compiled: Path) -> Btf:
    return KernelTypes(compiled).vmlinux


def test_fields(types: Btf) -> None:
    assert {path: types.field(path) for path in FIELDS} == {path: Field(*place) for path, place in FIELDS.items()}
    assert {path: types.field(path) for path in NOT_THERE} == dict.fromkeys(NOT_THERE)


def test_bit_fields(types: Btf) -> None:
    """Of 3, 7 and 12 bits: the second begins in the first byte, the third in the second one."""
    offsets = [field.offset for name in ("first", "more", "far") if (field := types.field(f"outer.{name}"))]
    assert offsets == [56, 56, 57]


def test_sizes_and_enums(types: Btf) -> None:
    assert [types.size(name) for name in ("inner", "either", "nothing")] == [32, 12, None]
    assert (types.enum("colour"), types.enum("inner"), types.enum("nothing")) == ({"RED": -1, "GREEN": 5}, {}, {})


def test_functions(types: Btf) -> None:
    assert types.parameters("all") == (
        "struct outer *", "swp_entry_t", "int32", "void *", "struct either", "void *",
        "swp_entry_t *", "struct unknown *", "int8",
    )  # fmt: skip
    assert types.parameter_names("all") == tuple("oenpuqrst")
    assert (types.returns("all"), types.returns("none")) == ("struct outer *", "int32")
    assert (types.parameters("none"), types.parameter_names("none")) == ((), ())
    for name in ("nothing", "outer"):
        assert (types.parameters(name), types.parameter_names(name), types.returns(name)) == (None, (), None)
        assert types.function(name) is None
    assert types.function("all") != types.function("none")


def test_each_file_is_read_once(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    types = KernelTypes(compiled)
    assert types.vmlinux is types.vmlinux
    assert types.module("zram") is None
    made: list[tuple[Path, Btf | None]] = []
    (compiled / "zsmalloc").write_text("")
    monkeypatch.setattr(module, "Btf", lambda path, base=None: made.append((path, base)) or object())
    first = types.module("zsmalloc")
    assert first is types.module("zsmalloc")
    assert types.module("zram") is None
    assert made == [(compiled / "zsmalloc", types.vmlinux)]
    assert KernelTypes()._folder == Path("/sys/kernel/btf")


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no BTF in here, whatever one may think of it")
    for path, why in ((tmp_path / "none", "No such file or directory"), (tmp_path / "text", "")):
        with pytest.raises(EnvironmentProblem) as raised:
            Btf(path)
        assert raised.value.what.startswith(f"cannot read the kernel's type information from {path}: {why}")
        assert raised.value.remedy.startswith("use a kernel built with CONFIG_DEBUG_INFO_BTF=y")


def test_no_libbpf(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def missing(name: str, **_: object) -> ctypes.CDLL:
        asked.append(name)
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(EnvironmentProblem, match="libbpf, which reads the kernel's type information"):
        module.libbpf()
    assert asked == ["libbpf.so.1", "libbpf.so.0"]
