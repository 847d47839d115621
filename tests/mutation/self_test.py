#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""self_test COMPILER SAMPLE: are its mutants found, tried and reported as they should be?"""
import subprocess
import sys
import tempfile
from pathlib import Path

import mutants
import mutate

EXPECTED = {
    "counter: int last = 7: 7 becomes 6": "survived sample",
    "counter: int last = 7: 7 becomes 8": "survived sample",
    "counter::count: value.load(std::memory_order_acquire) + by: + becomes -": "killed by sample",
    "counter::count: value.load(std::memory_order_acquire): acquire becomes relaxed": "not reached",
    "counter::count: next > most: > becomes >=": "survived sample",
    "counter::count: next > most: > becomes <=": "killed by sample",
    "counter::count: next = most: removed": "killed by sample",
    "counter::count: value.store(next): removed": "killed by sample",
    "counter::count: value.store(next): seq_cst becomes relaxed": "not reached",
    "counter::count: last = by: removed": "survived sample",
    "nobody_asks: x == 0: == becomes !=": "not reached",
    "nobody_asks: x == 0: 0 becomes 1": "not reached",
}


def expect(what, got, expected):
    if got != expected:
        sys.exit(f"{what}:\n  got      {got}\n  expected {expected}")


def main():
    compiler, source = sys.argv[1], Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory() as directory:
        mutate.WORK = Path(directory)
        check(compiler, source, mutate.WORK / "sample")


def check(compiler, source, program):
    found = mutants.find(str(source), ["-std=c++20"])
    found = [m for m in found if not m.name.startswith("main:")]
    for number, m in enumerate(found, 1):
        m.number, m.path = number, "sample.cpp"
    expect("the mutants", [m.name for m in found], list(EXPECTED))

    text = mutants.write(source.read_bytes(), found)
    (mutate.WORK / "sample.cpp").write_bytes(text)
    place = text.index(b"next <= most")
    line = text[:place].count(b"\n") + 1
    column = place - text.rfind(b"\n", 0, place)
    expect("the mutant at a place", found[mutants.at(text, line, column) - 1].name,
           "counter::count: next > most: > becomes <=")

    subprocess.run([compiler, "-std=c++20", "-w", "-include", mutate.HERE / "mutant.hpp",
                    mutate.WORK / "sample.cpp", "-o", program], check=True)
    sample = mutate.Program("sample", program)
    kernel = mutate.Kernel("sample", ["sample.cpp"], [], [], found)
    fate = mutate.try_kernel(kernel, [sample], [], 1, "")
    expect("what becomes of them", fate, EXPECTED)

    left = {n for n, f in fate.items() if not f.startswith("killed")}
    row, wrong = mutate.report(kernel, fate, {n: "Equivalent" for n in left}, True)
    expect("the table", row, ("sample", 10, 4, 4, 2, 6, "100.0%", 2, 0))
    expect("nothing to complain of", wrong, [])

    unlisted, gone = sorted(left)[0], "sample.cpp: x"
    killed = "counter::count: next = most: removed"
    reasons = {n: "Equivalent" for n in left - {unlisted}} | {killed: "no", gone: "no"}
    expect("what is wrong", mutate.report(kernel, fate, reasons, True)[1],
           ["sample: 80.0% killed, less than 95%", f"{fate[unlisted]}: {unlisted}",
            f"listed as a survivor, but killed by sample: {killed}",
            f"listed, but there is no such mutant: {gone}"])


main()
