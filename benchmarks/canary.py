"""What the canary costs, and what it sees.

    python benchmarks/canary.py [ROUNDS]

Cost: processor time of one fresh process each, before any operation of a model has run and after the demo
model has: the least of ROUNDS, which other load touches least, and the median. Target: 50 ms once on a CPU.
On a machine with a GPU the same is measured there (wall time, synchronised). Target: 100 ms; it was not run
on one.

Sight: the operations that compute other bits in a process with one setting changed, on this machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys

MEASURE = """
import json, sys, time
device, profile, after_a_model = sys.argv[1:4]
from seedpin.pinning.profiles import apply_profile
apply_profile(profile)
import torch
from seedpin.environment.canary import with_canary
from seedpin.environment.device import device_class
from seedpin.environment.fingerprint import capture_environment
from seedpin.environment.measured import is_measured
from seedpin.pinning.pin import pin

clock = time.process_time if device == "cpu" else time.perf_counter
if device != "cpu":
    torch.ones(1, device=device).sum().item()
if after_a_model == "True":
    from seedpin.demo import load_demo
    with pin(1):
        load_demo()("red ball")
of = device_class(device, profile)
with pin(1) as held:
    start = clock()
    plain = capture_environment(of, held)
    captured = clock()
    found = with_canary(plain, of)
    measured = clock()
    with_canary(plain, of)
    again = clock()
print(json.dumps({
    "ms": [1000 * (b - a) for a, b in ((start, captured), (captured, measured), (measured, again))],
    "found": {entry.key: entry.value for entry in found.entries if is_measured(entry.key)},
}))
"""

SETTINGS: tuple[dict[str, str], ...] = (
    {"PYTHONHASHSEED": "77"},
    {"ATEN_CPU_CAPABILITY": "avx2"},
    {"ATEN_CPU_CAPABILITY": "default"},
    {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    {"MKL_CBWR": "COMPATIBLE"},
    {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"},
    {"OPENBLAS_CORETYPE": "Haswell"},
)


def fresh(
    device: str, profile: str, *, after_a_model: bool, **variables: str
) -> tuple[list[float], dict[str, str]]:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, device, profile, str(after_a_model)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    data = json.loads(done.stdout.splitlines()[-1])
    return data["ms"], data["found"]


def main(rounds: int) -> None:
    import torch

    from seedpin.environment.cpu import read_cpu
    from seedpin.environment.measured import family_of

    print(f"{read_cpu().brand}, torch {torch.__version__}, {rounds} processes each\n")
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    print("| device | profile | before | versions and settings | canary | canary, again |")
    print("| --- | --- | --- | --- | --- | --- |")
    for device in devices:
        for profile in ("native", "portable"):
            for after_a_model in (False, True):
                runs = [fresh(device, profile, after_a_model=after_a_model)[0] for _ in range(rounds)]
                columns = [*zip(*runs, strict=True)]
                cells = [f"{min(column):.1f} / {statistics.median(column):.1f} ms" for column in columns]
                before = "the demo model" if after_a_model else "nothing"
                print(f"| {device} | {profile} | {before} | {' | '.join(cells)} |")
    plain = fresh("cpu", "native", after_a_model=False)[1]
    print(f"\n{len(plain)} digests of {len({family_of(key) for key in plain})} families (cpu, native)\n")
    print("| setting | other bits | families |\n| --- | --- | --- |")
    for setting in SETTINGS:
        found = fresh("cpu", "native", after_a_model=False, **setting)[1]
        parted = [key for key in plain if found[key] != plain[key]]
        names = ", ".join(dict.fromkeys(family_of(key) for key in parted)) or "none"
        (name, value), *_ = setting.items()
        print(f"| `{name}={value}` | {len(parted)} | {names} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
