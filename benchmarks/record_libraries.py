"""What reading records costs with the libraries that could do it: importing them, and decoding 1,000 records.

    pip install msgspec cattrs && python benchmarks/record_libraries.py

The records are those of a run as seedpin wrote it (tests/unit/data), read as ``CheckResult``; the best of
several tries counts. cattrs works on parsed JSON, so that ``json.loads`` is part of its time. What hostile
values come to stands beside it: a field is refused, or gets in as something else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from seedpin.records import read_record
from seedpin.run.result import CheckResult

LINES = (Path(__file__).parents[1] / "tests/unit/data/results_of_0.1.0.jsonl").read_bytes().splitlines()
TRIES = 7
WRONG = ('"attempt": true', '"seconds": "1.5"', '"message": 7', '"hints": "ab"', '"seconds": NaN')


def import_ms(module: str) -> float:
    """The least time that a fresh interpreter takes for the import, beside what is loaded with pytest."""
    code = "import json, decimal, datetime, enum, inspect, typing, dataclasses, time\n"
    code += f"began = time.perf_counter()\nimport {module}\nprint(1000 * (time.perf_counter() - began))"
    command = [sys.executable, "-c", code]
    runs = [subprocess.run(command, capture_output=True, check=True) for _ in range(TRIES)]
    return min(float(run.stdout) for run in runs)


def decode_ms(read: Callable[[bytes], CheckResult]) -> float:
    """The least time for 1,000 records, once the reader is made."""
    read(LINES[0])
    lines = [LINES[index % len(LINES)] for index in range(1000)]
    best = float("inf")
    for _ in range(TRIES):
        began = time.perf_counter()
        for line in lines:
            read(line)
        best = min(best, 1000 * (time.perf_counter() - began))
    return best


def refused(read: Callable[[bytes], CheckResult]) -> list[str]:
    """Which wrong values a reader refuses."""
    found = []
    for field in WRONG:
        name = field.partition(":")[0]
        line = json.dumps({key: value for key, value in json.loads(LINES[0]).items() if f'"{key}"' != name})
        try:
            read(f"{line[:-1]}, {field}}}".encode())
        except Exception:
            found.append(field)
    return found


def _is_wide(kind: object) -> bool:
    origin: object = get_origin(kind)
    return (origin is Union or origin is UnionType) and len(get_args(kind)) > 2


def main() -> None:
    # By its name: it is in no extra, and so unknown where types are checked.
    converter: Any = import_module("cattrs").Converter()
    # Unions of several scalars (facts) need code of one's own; here it lets all values through.
    converter.register_structure_hook_func(_is_wide, lambda value, _: value)

    def with_cattrs(line: bytes) -> CheckResult:
        result: CheckResult = converter.structure(json.loads(line), CheckResult)
        return result

    def with_msgspec(line: bytes) -> CheckResult:
        return read_record(CheckResult, line)

    for name, read in (("msgspec", with_msgspec), ("cattrs", with_cattrs)):
        print(f"{name:<8} import {import_ms(name):6.1f} ms", end="  ")
        try:
            print(f"1,000 records {decode_ms(read):7.1f} ms  refuses {len(refused(read))} of {len(WRONG)}")
        except Exception as error:  # what it cannot be told without code for each type
            print(f"cannot read them as they are: {type(error).__name__}: {str(error)[:200]}")


if __name__ == "__main__":
    main()
