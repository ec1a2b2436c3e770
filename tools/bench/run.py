# SPDX-License-Identifier: Apache-2.0
"""Run the SPEAD benchmarks, contenders in turn, and keep every figure.

    python tools/bench/run.py [--rounds 7] [--only NAME] [--output build/bench/spead.json]

A round runs each contender of a case once, one after another, so that a machine whose speed
drifts changes all alike; the report takes the ratios within a round. The sender is pinned to
processor 0, the receiver to processor 1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import psutil
from cases import CASES, MIB, Case

import pyspin

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent.parent / "build" / "bench"
PORT = 27180
SEND_CPU, RECEIVE_CPU = 0, 1
# The heaps that a bare loop uses in turn, unless its name says otherwise: a ring's worth.
BARE_HEAPS = 16
Figures = dict[str, object]
# Another spead2 than the one from the package index, such as one built with GRO, if this
# interpreter has one.
INSTALLED = "spead2 installed"
INSTALLED_PYTHON = os.environ.get("SPEAD2_PYTHON", str(Path(sys.base_prefix) / "bin" / "python3"))


# The threads of numpy's BLAS spin when they begin; nobody here uses them.
os.environ["OPENBLAS_NUM_THREADS"] = "1"


def build() -> None:
    """Compile the bare C programs."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for name in ("udp_send", "udp_receive", "ring_receive", "memory_copy"):
        command = ["cc", "-O2", "-D_GNU_SOURCE", str(HERE / f"{name}.c"), "-o", str(BUILD / name)]
        subprocess.run(command, check=True)


def last_json(text: str) -> Figures:
    return json.loads(text.strip().splitlines()[-1])


def job(contender: str, name: str, **options: object) -> list[str]:
    pairs = [f"{key}={value}" for key, value in options.items()]
    python = INSTALLED_PYTHON if contender == INSTALLED else sys.executable
    return [python, str(HERE / "job.py"), contender.split()[0], name, *pairs]


def installed_spead2() -> str:
    """Return the version of the spead2 that the machine has by itself, "" if it has none."""
    if Path(INSTALLED_PYTHON).absolute() == Path(sys.executable).absolute():
        return ""
    command = [INSTALLED_PYTHON, "-c", "import spead2; print(spead2.__version__)"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.stdout.strip() if run.returncode == 0 else ""


def receiver_command(contender: str, name: str, options: dict[str, object]) -> list[str]:
    """Return the command of the receiving process."""
    if contender.startswith("bare ring"):
        _, _, mode, *count = contender.split()
        command = [str(BUILD / "ring_receive"), mode, PORT, options["heap"], RECEIVE_CPU]
        return [str(part) for part in [*command, count[0] if count else BARE_HEAPS]]
    if contender.startswith("bare"):
        _, mode, *count = contender.split()
        command = [str(BUILD / "udp_receive"), mode, PORT, options["heap"], RECEIVE_CPU]
        command += [count[0] if count else BARE_HEAPS, options["payload"], options["gso"]]
        return [str(part) for part in command]
    keep = {key: options[key] for key in ("payload", "heap") if key in options}
    extra: dict[str, object] = {"port": PORT, "cpu": RECEIVE_CPU}
    if contender == "pyspin ring":
        extra["ring"] = 1
    if contender == "pyspin max_latency=0":
        extra["at_once"] = 1
    if contender == "pyspin scatter=False":
        extra["copying"] = 1
    if name == "udp" and options.get("interleave", 1) != 1:
        extra["max_heaps"] = int(str(options["interleave"])) * 2
    if name == "udp" and options.get("reorder"):
        extra["reorder"] = 1
    if name == "udp" and "flows" in options:
        extra["flows"] = options["flows"]
    return job(contender, name, **keep, **extra)


def sender_command(options: dict[str, object]) -> list[str]:
    names = ("payload", "heap", "heaps", "rate", "gso", "loss", "reorder", "interleave", "flows")
    names += ("stamp", "split", "lie")
    command = [str(BUILD / "udp_send"), "--port", str(PORT), "--cpu", str(SEND_CPU)]
    for name in names:
        if name in options:
            command += [f"--{name}", str(options[name])]
    return command


def exchange(contender: str, name: str, options: dict[str, object]) -> Figures:
    """Run one receiver and one sender; return the figures of both."""
    receiver = subprocess.Popen(
        receiver_command(contender, name, options),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a log line per lost heap; losses are in the figures
        text=True,
    )
    assert receiver.stdout is not None
    try:
        while "READY" not in (line := receiver.stdout.readline()):
            if not line:
                raise RuntimeError(f"{contender} ended before it was ready")
        time.sleep(0.05)
        before = busy_seconds()
        sender = subprocess.run(
            sender_command(options), stdout=subprocess.PIPE, text=True, check=True, timeout=120
        )
        figures = last_json(receiver.communicate(timeout=60)[0])
        machine = busy_seconds() - before
    finally:
        receiver.kill()
        receiver.wait()
    sent = last_json(sender.stdout)
    figures["sent"] = sent
    figures["machine"] = machine - float(str(sent["spun"]))
    return figures


def busy_seconds() -> float:
    """Return how long the processors have worked, up to a constant.

    By the time that they were idle, which the kernel takes exactly: the rest it samples, and would
    miss much of a thread that a timer wakes.
    """
    times = psutil.cpu_times()
    return time.monotonic() * psutil.cpu_count() - times.idle - times.iowait - times.steal


def udp(contender: str, options: dict[str, object]) -> Figures:
    if contender.endswith("in order"):
        options = {k: v for k, v in options.items() if k not in ("loss", "reorder")}
        contender = "pyspin"
    figures = exchange(contender, "udp", options)
    # By packet, not by whole heap: at 1 % loss few heaps are whole.
    split = int(str(options.get("split", 0)))
    size = int(str(options["payload"])) * (split / (split + 1) if split else 1)
    gigabytes = int(str(figures["packets"])) * size / 1e9
    sent = int(str(options["heaps"]))
    cpu = float(str(figures["user"])) + float(str(figures["system"]))
    figures["cpu_per_gb"] = cpu / gigabytes if gigabytes else None
    figures["machine_per_gb"] = float(str(figures["machine"])) / gigabytes if gigabytes else None
    figures["lost"] = 1 - int(str(figures["heaps"])) / sent
    return figures


def rate(contender: str, options: dict[str, object]) -> Figures:
    """Search the highest rate at which every heap arrives, to 5 %, up to what the sender can do.

    Where some are lost it is tried again: a pause of the machine's host loses them too.
    """
    low, high = 0.4e9, 16e9
    sender_limits = False
    while high / low > 1.05 and not sender_limits:
        middle = (low * high) ** 0.5
        figures = udp(contender, {**options, "rate": middle})
        if float(str(figures["lost"])) > 0:
            figures = udp(contender, {**options, "rate": middle})
        sent = figures["sent"]
        assert isinstance(sent, dict)
        reached = float(sent["bytes"]) / float(sent["seconds"])
        if float(str(figures["lost"])) > 0:
            high = middle
        else:
            sender_limits = reached < middle * 0.97
            low = reached if sender_limits else middle
    return {"bytes_per_second": low, "sender_limits": sender_limits}


def latency(contender: str, options: dict[str, object]) -> Figures:
    return exchange(contender, "latency", {**options, "stamp": 1})


def alone(contender: str, name: str, options: dict[str, object]) -> Figures:
    run = subprocess.run(
        job(contender, name, **options),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        timeout=300,
    )
    return last_json(run.stdout)


def memory(contender: str, options: dict[str, object]) -> Figures:
    if contender.startswith("bare"):
        numbers = [str(options[name]) for name in ("payload", "heap", "count")]
        command = [str(BUILD / "memory_copy"), *numbers, contender.split()[2]]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        figures = last_json(run.stdout)
    else:
        figures = alone(contender, "memory", options)
    figures["bytes_per_second"] = float(str(figures["bytes"])) / float(str(figures["wall"]))
    return figures


def small(contender: str, options: dict[str, object]) -> Figures:
    return alone(contender, "small", options)


def send(contender: str, options: dict[str, object]) -> Figures:
    """Send to a bound socket that nobody reads: the kernel drops what does not fit."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", PORT))
        payload, heap = int(str(options["payload"])), int(str(options["heap"]))
        if contender == "bare":
            command = sender_command({**options, "gso": 1, "rate": 0})
            run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            figures = last_json(run.stdout)
            useful = int(str(options["heaps"])) * heap
            figures["bytes_per_second"] = useful / float(str(figures["seconds"]))
            return figures
        more = {"port": PORT, "packet": payload + 48, "heap": heap, "heaps": options["heaps"]}
        if contender == "pyspin send_heaps":
            more["batch"] = 8
        return alone(contender.split()[0], "send", more)


KINDS: dict[str, Callable[[str, dict[str, object]], Figures]] = {
    "udp": udp,
    "rate": rate,
    "latency": latency,
    "memory": memory,
    "small": small,
    "send": send,
}


def measure(case: Case, contenders: tuple[str, ...], rounds: int) -> dict[str, list[Figures]]:
    """Return each contender's figures, a list of one per round."""
    results: dict[str, list[Figures]] = {contender: [] for contender in contenders}
    for number in range(rounds):
        for contender in contenders:
            figures = KINDS[case.kind](contender, case.options)
            results[contender].append(figures)
            print(
                f"{case.name} {number + 1}/{rounds} {contender}: {figures[case.figure]}",
                file=sys.stderr,
                flush=True,
            )
    return results


def contenders(case: Case) -> tuple[str, ...]:
    """Return who is compared: where spead2 receives over UDP, an installed one does too."""
    over_udp = case.kind in ("udp", "rate", "latency") and "spead2" in case.contenders
    return case.contenders + ((INSTALLED,) if over_udp and installed_spead2() else ())


# How cost grows: each series changes one thing of this case.
GROWTH_BASE = {"payload": 8192, "gso": 1, "rate": 0.6e9, "heaps": 400, "heap": MIB}
GROWTH: dict[str, tuple[str, list[float]]] = {
    "payload": ("payload of a packet (bytes)", [256, 512, 1024, 2048, 4096, 8192, 16384]),
    "heap": ("heap (bytes)", [8192, 65536, 262144, MIB, 4 * MIB, 16 * MIB]),
    "flows": ("streams, each a flow of its own", [1, 2, 4, 8]),
    "interleave": ("heaps interleaved", [1, 2, 4, 8, 16]),
    "loss": ("share of packets lost", [0, 0.001, 0.01, 0.05]),
    "reorder": ("packets reordered in windows of (minus 1)", [0, 1, 3, 7, 15]),
}


def growth_options(name: str, value: float) -> dict[str, object]:
    options: dict[str, object] = {**GROWTH_BASE, name: value if name == "loss" else int(value)}
    heap = int(str(options["heap"]))
    options["heaps"] = max(16, int(400 * MIB / heap))
    if name == "payload" and value < 1024:
        options["rate"] = 0.2e9
        options["heaps"] = 200
    if name == "heap" and value < 65536:
        options["heaps"] = 20000
        options["rate"] = 0.2e9
    return options


def measure_growth(rounds: int) -> dict[str, list[Figures]]:
    series: dict[str, list[Figures]] = {}
    for name, (_, values) in GROWTH.items():
        series[name] = []
        for value in values:
            row: Figures = {"value": value}
            for contender in ("pyspin", "spead2"):
                runs = [udp(contender, growth_options(name, value)) for _ in range(rounds)]
                row[contender] = [run["cpu_per_gb"] for run in runs]
            series[name].append(row)
            print(f"growth {name}={value}: {row}", file=sys.stderr, flush=True)
    return series


def instructions() -> dict[str, float]:
    """Return the instructions that the library spends on a packet, payload size by size.

    Counted by callgrind (where it is installed) as the difference between two runs; what the
    program spends on making the packets is counted in.
    """
    if shutil.which("valgrind") is None:
        return {}
    root = HERE.parent.parent
    sources = [str(path) for path in sorted(root.glob("csrc/src/*/*.c"))]
    program = str(BUILD / "memory_receive")
    flags = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-pthread"]
    includes = [f"-I{root / 'csrc' / part}" for part in ("include", "src")]
    source = str(HERE / "memory_receive.c")
    subprocess.run(["cc", *flags, *includes, source, *sources, "-o", program], check=True)
    found = {}
    for payload in (1424,):  # larger copies are one `rep movsb`, counted a byte at a time
        few, many = (_count_instructions(program, payload, heaps) for heaps in (16, 48))
        found[str(payload)] = (many - few) / (32 * -(-MIB // payload))
    return found


def _count_instructions(program: str, payload: int, heaps: int) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += [program, str(payload), str(MIB), str(heaps)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    match = re.search(r"Collected : (\d+)", run.stderr)
    assert match is not None
    return int(match[1])


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    model = next(
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    return {
        "processor": f"{model}, {os.cpu_count()} processors",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "compiler": subprocess.run(
            ["cc", "--version"], stdout=subprocess.PIPE, text=True, check=True
        ).stdout.splitlines()[0],
        "pyspin-io": pyspin.__version__,
        "spead2": metadata.version("spead2"),
        "numpy": metadata.version("numpy"),
        **({INSTALLED: installed_spead2()} if installed_spead2() else {}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--no-growth", action="store_true")
    parser.add_argument("--output", type=Path, default=BUILD / "spead.json")
    arguments = parser.parse_args()
    build()
    results = {}
    for case in CASES:
        if case.name.startswith(arguments.only):
            results[case.name] = measure(case, contenders(case), arguments.rounds)
    growth_rounds = max(1, arguments.rounds // 4)
    growth = {} if arguments.no_growth or arguments.only else measure_growth(growth_rounds)
    document = {
        "machine": machine(),
        "rounds": arguments.rounds,
        "date": time.strftime("%Y-%m-%d"),
        "results": results,
        "growth": growth,
        "instructions": {} if arguments.only else instructions(),
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(document, indent=1))
    print(f"figures in {arguments.output}")


if __name__ == "__main__":
    main()
