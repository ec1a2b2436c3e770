# SPDX-License-Identifier: Apache-2.0
"""Write pyspin/_core.pyi, the types of the compiled extension, or check that it is current.

    python tools/gen_stub.py [--check]

It asks the built extension, so build it first. Each opaque C type becomes a NewType and each
struct a class, both standing for a *pointer* to it as that is all Python ever holds; so a type
checker refuses the wrong handle, a misspelt function and a missing field. CFFI calls in API mode
know types of arguments but not their names.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STUB = ROOT / "pyspin" / "_core.pyi"
sys.path.append(str(ROOT))  # after an installed one

from pyspin._core import ffi, lib  # noqa: E402

HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# Made by tools/gen_stub.py from the built extension; do not edit.

from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, NewType, TypeVar, overload

T = TypeVar("T")
P = TypeVar("P")

class CData:
    def __getitem__(self, index: Any, /) -> Any: ...
    def __setitem__(self, index: int | slice, value: Any, /) -> None: ...
    def __len__(self) -> int: ...
    def __int__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def __add__(self, offset: int, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...

# A pointer or an array whose elements are of one type.
class Out(CData, Generic[T]):
    @overload
    def __getitem__(self, index: int, /) -> T: ...
    @overload
    def __getitem__(self, index: slice, /) -> Out[T]: ...
    def __setitem__(self, index: int | slice, value: T | Sequence[T], /) -> None: ...

class Buffer:
    def __len__(self) -> int: ...
    def __getitem__(self, index: int | slice, /) -> bytes: ...
    def __setitem__(self, index: int | slice, value: bytes, /) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

class CType:
    cname: str
    kind: str
    item: Any
    args: tuple[Any, ...]
    result: Any
    fields: Any

"""

FFI = """\
class FFI:
    NULL: Any
    error: type[Exception]
    buffer: Callable[..., Buffer]
    def cast(self, ctype: str, value: Any, /) -> Any: ...
    def string(self, cdata: CData, maxlen: int = -1) -> bytes: ...
    def unpack(self, cdata: CData, length: int) -> Any: ...
    @overload
    def from_buffer(self, data: Any, /, *, require_writable: bool = False) -> CData: ...
    @overload
    def from_buffer(self, ctype: str, data: Any, /, *, require_writable: bool = False) -> CData: ...
    def gc(self, pointer: P, destructor: Callable[[P], None] | None, size: int = 0) -> P: ...
    def memmove(self, dest: Any, src: Any, n: int) -> None: ...
    def addressof(self, cdata: Any, *fields: str | int) -> Any: ...
    def sizeof(self, cdecl: str | CData) -> int: ...
    def typeof(self, cdecl: Any) -> CType: ...
    def list_types(self) -> tuple[list[str], list[str], list[str]]: ...
"""


def is_opaque(name: str) -> bool:
    # Asking an opaque type for its fields aborts the interpreter (cffi 2.1).
    try:
        ffi.sizeof(name)
    except ffi.error:
        return True
    return False


def handle(ctype: Any) -> str | None:
    """Return the name of the library's type that a C pointer points to, if it is one."""
    if ctype.kind != "pointer" or ctype.item.kind != "struct":
        return None
    return str(ctype.item.cname).removeprefix("struct ")


def result(ctype: Any) -> str:
    """Return the Python type of a value that C gives."""
    if ctype.kind == "void":
        return "None"
    if ctype.kind == "primitive":
        if ctype.cname == "_Bool":
            return "bool"
        if ctype.cname in ("float", "double"):
            return "float"
        return "int"
    if ctype.kind == "enum":
        return "int"
    if ctype.kind == "struct":
        return str(ctype.cname).removeprefix("struct ")
    if ctype.kind in ("pointer", "array"):
        return handle(ctype) or element_type(ctype)
    return "CData"


def element_type(ctype: Any) -> str:
    if ctype.item.kind in ("void", "function") or ctype.item.cname == "char":
        return "CData"
    return f"Out[{result(ctype.item)}]"


def argument(ctype: Any) -> str:
    """Return the Python type of a value that C takes."""
    name = handle(ctype)
    if name and not is_opaque(name):
        return f"{name} | Out[{name}]"  # one, or the first of several
    if ctype.kind != "pointer" or handle(ctype):
        return result(ctype)
    if ctype.item.kind == "primitive":
        kinds = "CData | bytes" if ctype.item.cname in ("char", "unsigned char") else "CData"
        return f"{kinds} | Sequence[{result(ctype.item)}]"
    if ctype.item.kind == "void":
        return "CData | bytes"
    return element_type(ctype)


def functions() -> list[str]:
    lines = ["class Lib:"]
    for name in sorted(dir(lib)):
        value = getattr(lib, name)
        if isinstance(value, int):
            lines.append(f"    {name}: int")
            continue
        ctype = ffi.typeof(value)
        parameters = "".join(f", {chr(97 + i)}: {argument(a)}" for i, a in enumerate(ctype.args))
        marker = ", /" if parameters else ""
        line = f"    def {name}(self{parameters}{marker}) -> {result(ctype.result)}: ..."
        lines.extend(wrapped(line))
    return lines


def wrapped(line: str) -> list[str]:
    """Break a definition that is too long, the way the formatter does."""
    if len(line) <= 100:
        return [line]
    head, rest = line.split("(", 1)
    inside, tail = rest.rsplit(")", 1)
    if len(inside) + 8 <= 100:
        return [f"{head}(", f"        {inside}", f"    ){tail}"]
    return [f"{head}(", *(f"        {part}," for part in inside.split(", ")), f"    ){tail}"]


def structs() -> tuple[list[str], list[str]]:
    """Return the names of opaque types, and of structs that have fields."""
    typedefs, tagged, _ = ffi.list_types()
    names = {name for name in [*typedefs, *tagged] if name.startswith("spn_")}
    names = {name for name in names if ffi.typeof(name).kind == "struct"}
    opaque = sorted(name for name in names if is_opaque(name))
    return opaque, sorted(names - set(opaque))


def types() -> list[str]:
    opaque, visible = structs()
    lines = [f'{name} = NewType("{name}", CData)' for name in opaque]
    for name in visible:
        lines += ["", f"class {name}(CData):"]
        for field, description in ffi.typeof(name).fields:
            lines.append(f"    {field}: {result(description.type)}")
    return lines


def new() -> list[str]:
    """Return the forms of `ffi.new` whose results have types of ours."""
    opaque, visible = structs()
    forms = []
    for name in visible:
        forms.append((f"{name} *", name, "init: Any = None"))
        forms.append((f"{name}[]", f"Out[{name}]", "init: Any"))
        forms.append((f"{name} *[]", f"Out[{name}]", "init: Any"))
    for name in sorted(opaque + visible):
        forms.append((f"{name} **", f"Out[{name}]", "init: Any = None"))
    lines = []
    for cdecl, python, init in forms:
        lines.append("    @overload")
        line = f'    def new(self, cdecl: Literal["{cdecl}"], {init}) -> {python}: ...'
        lines.extend(wrapped(line))
    lines.append("    @overload")
    lines.append("    def new(self, cdecl: str, init: Any = None) -> Any: ...")
    return lines


def stub() -> str:
    lines = [*types(), "", FFI.rstrip(), *new(), "", *functions(), "", "ffi: FFI", "lib: Lib", ""]
    return HEAD + "\n".join(lines)


def main(arguments: list[str]) -> int:
    text = stub()
    if arguments == ["--check"]:
        current = STUB.exists() and STUB.read_text() == text
        if not current:
            print(f"{STUB.relative_to(ROOT)} is not current; run python tools/gen_stub.py")
        return 0 if current else 1
    STUB.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
