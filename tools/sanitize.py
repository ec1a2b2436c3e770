# SPDX-License-Identifier: Apache-2.0
"""Run the Python tests over a core built with a sanitizer, and count its reports.

    python tools/sanitize.py address|thread [pytest arguments]

The package is copied to build/sanitize-NAME and compiled there, so the installed one stays as
it is. The interpreter is not instrumented, hence leaks are not asked of the address sanitizer
here: the C tests ask it, and the tests' own fixture counts heaps and buffers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# UndefinedBehaviorSanitizer comes with AddressSanitizer: both fit in one run.
FLAGS = {"address": "address,undefined", "thread": "thread"}
LIBRARIES = {"address": "libasan.so", "thread": "libtsan.so"}


def build(name: str, tree: Path) -> None:
    """Compile a copy of the package with the sanitizer."""
    shutil.rmtree(tree, ignore_errors=True)
    for part in ("csrc", "pyspin"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("_core.*so", "*.o"))
    shutil.copy(ROOT / "build_ffi.py", tree)
    flags = f"-fsanitize={FLAGS[name]} -fno-omit-frame-pointer -g -O1"
    environment = {**os.environ, "CFLAGS": flags, "LDFLAGS": f"-fsanitize={FLAGS[name]}"}
    command = [sys.executable, "build_ffi.py"]
    subprocess.run(command, cwd=tree, env=environment, check=True, stdout=subprocess.DEVNULL)


def library(name: str) -> str:
    """Return the path of a run-time library of the compiler's."""
    compiler = os.environ.get("CC", "cc")
    return subprocess.check_output([compiler, f"-print-file-name={name}"], text=True).strip()


def preloaded(name: str) -> str:
    """Return what must be loaded before the interpreter.

    The sanitizer asks at the start where C++ throws; spead2 does, the interpreter knows no C++.
    """
    paths = [library(LIBRARIES[name]), library("libstdc++.so.6")]
    return " ".join(path for path in paths if Path(path).is_absolute())


def without_randomisation() -> list[str]:
    """Return a prefix that makes ThreadSanitizer's shadow fit, where it can be had."""
    prefix = ["setarch", "-R"]
    if shutil.which("setarch") is None:
        return []
    works = subprocess.run([*prefix, "true"], capture_output=True).returncode == 0
    return prefix if works else []


def environment(name: str, tree: Path) -> dict[str, str]:
    log = tree / "reports" / "report"
    log.parent.mkdir()
    # Memory that nobody has is a MemoryError here too.
    options = f"log_path={log}:exitcode=66:allocator_may_return_null=1"
    return {
        **os.environ,
        "LD_PRELOAD": preloaded(name),
        "PYTHONPATH": str(tree),
        "PYTHONMALLOC": "malloc",
        "PYSPIN_SANITIZER": name,
        "ASAN_OPTIONS": f"detect_leaks=0:{options}",
        "UBSAN_OPTIONS": f"print_stacktrace=1:{options}",
        "TSAN_OPTIONS": f"{options}:suppressions={ROOT / 'tools' / 'tsan.supp'}",
    }


def is_refusal(report: str) -> bool:
    """Whether a report only says that memory was asked for that nobody has."""
    return all("failed to allocate" in line for line in report.splitlines())


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in FLAGS:
        sys.exit(__doc__)
    name = sys.argv[1]
    tree = ROOT / "build" / f"sanitize-{name}"
    build(name, tree)
    # Run inside the copy: `-m pytest` puts the working directory before all else.
    config = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
    chosen = [str(ROOT / word) if (ROOT / word).exists() else word for word in sys.argv[2:]]
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *config, *chosen]
    if not any(word.startswith(str(ROOT)) for word in chosen):
        pytest.append(str(ROOT / "tests"))
    run = subprocess.run([*without_randomisation(), *pytest], cwd=tree, env=environment(name, tree))
    texts = [path.read_text(errors="replace") for path in sorted((tree / "reports").iterdir())]
    reports = [text for text in texts if not is_refusal(text)]
    for report in reports[:5]:
        print(report[:8000])
    print(f"{name} sanitizer: {len(reports)} reports")
    return run.returncode or (1 if reports else 0)


if __name__ == "__main__":
    sys.exit(main())
