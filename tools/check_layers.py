# SPDX-License-Identifier: Apache-2.0
"""Fail when a file includes or imports one of a layer above its own.

C: base -> memory -> spead -> net, and base -> scp; each folder may use those
to its left. Python: the rows of PYTHON_LAYERS, lowest first.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

C_MAY_INCLUDE = {
    "base": {"base"},
    "memory": {"base", "memory"},
    "spead": {"base", "memory", "spead"},
    "net": {"base", "memory", "spead", "net"},
    "scp": {"base", "scp"},
}

PYTHON_LAYERS = [
    {"_core", "_version"},
    {"errors", "arguments"},
    {"_ffi"},
    {"log"},
    {"threads"},
    {"memory", "items", "topology"},
    {"recv", "send", "messages"},
    {"connections"},
    {"board"},
    {"cli"},
]


def c_faults() -> list[str]:
    """Return a line for each include that looks up or sideways."""
    faults = []
    for path in sorted((ROOT / "csrc" / "src").glob("*/*.[ch]")):
        allowed = C_MAY_INCLUDE[path.parent.name]
        for included in re.findall(r'#include "([^"]+)"', path.read_text()):
            if included == "pyspin.h":
                continue
            folder = included.split("/")[0] if "/" in included else path.parent.name
            if folder not in allowed:
                faults.append(f"{path.relative_to(ROOT)}: includes {included}")
    return faults


def imported_modules(path: Path) -> set[str]:
    """Return the first names under `pyspin` that a module imports."""
    package = path.relative_to(ROOT).parent.parts
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            dotted = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        names.update(name.split(".")[1] for name in dotted if name.startswith("pyspin."))
    return names


def python_faults() -> list[str]:
    """Return a line for each import that looks up."""
    level = {name: i for i, row in enumerate(PYTHON_LAYERS) for name in row}
    faults = []
    for path in sorted((ROOT / "pyspin").rglob("*.py")):
        own = path.relative_to(ROOT / "pyspin").parts[0].removesuffix(".py")
        if own in ("__init__", "__main__"):
            continue
        if own not in level:
            faults.append(f"{path.relative_to(ROOT)}: {own} is in no layer")
            continue
        for name in imported_modules(path):
            if name in level and name != own and level[name] >= level[own]:
                faults.append(f"{path.relative_to(ROOT)}: imports pyspin.{name}")
    return faults


def main() -> int:
    faults = c_faults() + python_faults()
    print("\n".join(faults) or "layers hold")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
