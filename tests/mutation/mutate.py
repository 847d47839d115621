#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Tries whether the tests notice when a kernel is wrong: see docs/mutation.md."""
import argparse
import configparser
import fnmatch
import hashlib
import json
import os
import pickle
import re
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import mutants

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = ROOT / "build" / "mutation"
TREE, BUILD = WORK / "tree", WORK / "build"
SHARE = 0.95
NUMBERS_PER_FILE = 1000


class Problem(Exception):
    """What keeps the tool from working."""


@dataclass
class Kernel:
    name: str
    files: list
    tests: list   # patterns
    models: list
    mutants: list = field(default_factory=list)
    sources: dict = field(default_factory=dict)  # of the files


def read_kernels():
    parser = configparser.ConfigParser()
    parser.read(HERE / "kernels")
    keys = ("files", "tests", "models")
    return [Kernel(name, *(parser[name].get(key, "").split() for key in keys))
            for name in parser.sections()]


def read_survivors(path):
    """name -> reason. A reason stands, indented, below the names that it is for."""
    reasons, names = {}, []
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            for name in names:
                reasons[name] = f"{reasons[name]} {line.strip()}".strip()
            closed = True
        else:
            names = [line] if not names or closed else [*names, line]
            closed = False
            reasons[line] = ""
    if without := [name for name, reason in reasons.items() if not reason]:
        raise Problem(f"{path}: no reason for {without[0]}")
    return reasons


def put(path, content):
    """Writes a file if it is another one, so that no more is compiled than needs to be."""
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def git(*arguments):
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True,
                          text=True).stdout


def copy_tree(but):
    """Copies the project, but for the files that get mutants."""
    files = set(git("ls-files", "-co", "--exclude-standard").splitlines())
    files = {f for f in files if (ROOT / f).is_file()}
    for f in files - but:
        put(TREE / f, (ROOT / f).read_bytes())
        if os.access(ROOT / f, os.X_OK):
            (TREE / f).chmod(0o755)
    for f in TREE.rglob("*"):
        if f.is_file() and str(f.relative_to(TREE)) not in files:
            f.unlink()
    for f in but:  # must exist for CMake
        if not (TREE / f).exists():
            put(TREE / f, (ROOT / f).read_bytes())


def configure():
    subprocess.run(
        ["cmake", "-S", TREE, "-B", BUILD, "-G", "Ninja", "--log-level=WARNING",
         "-DCMAKE_CXX_COMPILER=clang++-19", f"-DCMAKE_PREFIX_PATH={ROOT}/.deps/root/usr",
         "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O1",
         # A number that is chosen is no constant any more, and may not fit where it stands.
         f"-DCMAKE_CXX_FLAGS=-w -Wno-narrowing -ferror-limit=0 -D_GLIBCXX_ASSERTIONS"
         f" -include {TREE}/tests/mutation/mutant.hpp",
         "-DHOLDFAST_BUILD_EXAMPLES=OFF", "-DHOLDFAST_BUILD_BENCHMARKS=OFF",
         "-DHOLDFAST_BUILD_CHECKS=OFF"], check=True, stdout=subprocess.DEVNULL)


def parse_arguments():
    """How the library's files are compiled, as far as a parser needs to know."""
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    words = next(c["command"] for c in commands if c["file"].endswith("classifier.cpp")).split()
    kept = [w for w in words if w.startswith(("-I", "-D", "-std="))]
    systems = [d for w, d in zip(words, words[1:]) if w == "-isystem"]
    return [*(w.replace(str(TREE), str(ROOT)) for w in kept), *(f"-isystem{d}" for d in systems)]


def find_mutants(kernels):
    """The mutants of all kernels' files, numbered."""
    arguments = parse_arguments()
    memory = WORK / "found.pickle"
    known = pickle.loads(memory.read_bytes()) if memory.exists() else {}
    finder = Path(mutants.__file__).read_bytes()
    number = 0
    for kernel in kernels:
        for path in kernel.files:
            number += NUMBERS_PER_FILE  # a file that changes leaves the others' numbers alone
            kernel.sources[path] = (ROOT / path).read_bytes()
            key = path, hashlib.sha256(finder + kernel.sources[path]).digest()
            if key not in known:
                known[key] = mutants.find(str(ROOT / path), arguments)
                memory.write_bytes(pickle.dumps(known))
            assert len(known[key]) < NUMBERS_PER_FILE
            for i, m in enumerate(known[key]):
                m = replace(m, number=number + i, name=f"{path}: {m.name}", path=path)
                kernel.mutants.append(m)


def programs_of():
    """The test programs there are, by the patterns of the kernels."""
    help_text = subprocess.run(["ninja", "-C", BUILD, "-t", "targets", "all"], check=True,
                               capture_output=True, text=True).stdout
    found = re.findall(r"^(tests/(?:\w+/)?(\w+)): CXX_EXECUTABLE_LINKER", help_text, re.M)
    paths = {name: BUILD / path for path, name in found}
    return lambda patterns: {n: paths[n] for p in patterns for n in fnmatch.filter(paths, p)}


def build(kernels, targets, jobs):
    """Compiles with all mutants; those that are no C++ are left out, and the rest tried again."""
    memory = WORK / "no_code.json"
    no_code = set(json.loads(memory.read_text())) if memory.exists() else set()
    while True:
        texts = {}
        for kernel in kernels:
            kernel.mutants = [m for m in kernel.mutants if m.name not in no_code]
            for path, source in kernel.sources.items():
                texts[path] = mutants.write(source, [m for m in kernel.mutants if m.path == path])
                put(TREE / path, texts[path])
        print(f"mutate: building {' '.join(targets)}", flush=True)
        done = subprocess.run(["ninja", "-C", BUILD, "-k0", f"-j{jobs}", *sorted(targets)],
                              capture_output=True, text=True)
        if done.returncode == 0:
            return
        names = {m.number: m.name for kernel in kernels for m in kernel.mutants}
        numbers = {mutants.at(texts[path], int(line), int(column))
                   for path, line, column in re.findall(r"/tree/([^\s:]+):(\d+):(\d+): error:",
                                                        done.stdout) if path in texts} - {None}
        if not numbers:
            raise Problem("it does not build\n" + done.stdout[-4000:])
        no_code |= {names[n] for n in numbers}
        memory.write_text(json.dumps(sorted(no_code), indent=0))
        print(f"mutate: {len(numbers)} mutants are no C++", flush=True)


class Program:
    """A test program, and what is known of it. That is kept for as long as it is the same program,
    so that after a change of some tests only those are run again."""

    def __init__(self, name, path):
        self.name, self.path = name, path
        # Catch2: stop at the first failure; without what only luck makes fail.
        self.command = [path] if name.startswith("model_") else [path, "-a", "~[threads]"]
        key = path.read_bytes() + str(self.command[1:]).encode()
        memory = WORK / "known" / hashlib.sha256(key).hexdigest()
        memory.mkdir(parents=True, exist_ok=True)
        self.record, self.time, self.fates = memory / "reached", memory / "time", memory / "fates"
        self.measure()
        lines = self.fates.read_text().splitlines() if self.fates.exists() else []
        self.killed = {int(number): fate == "killed" for number, fate in map(str.split, lines)}

    def run(self, environment, cpu, wall):
        """Whether it passes in this time. The bound is on the processor's, since a busy machine may
        be slow; the other one is for what hangs."""
        def limits():
            resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        try:
            return subprocess.run(self.command, env={**os.environ, **environment}, timeout=wall,
                                  preexec_fn=limits, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, cwd=WORK).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def measure(self):
        """Runs it as it is, and notes how long it takes and what it comes by."""
        if not self.time.exists():
            begin = time.monotonic()
            passed = self.run({"HF_MUTANTS_REACHED": str(self.record)}, 600, 600)
            if not passed or not self.record.exists():
                raise Problem(f"{self.name} fails without any mutant")
            self.time.write_text(str(time.monotonic() - begin))
        self.seconds = float(self.time.read_text())
        self.reached = {int(n) for n in self.record.read_text().split()}

    def kills(self, number):
        if number not in self.killed:
            bound = max(3, 10 * self.seconds)
            killed = not self.run({"HF_MUTANT": str(number)}, int(bound), max(10, bound))
            self.killed[number] = killed
            with self.fates.open("a") as file:
                file.write(f"{number} {'killed' if killed else 'survived'}\n")
        return self.killed[number]


def try_mutant(number, programs):
    """Which program kills it, or None."""
    before = [p for p in programs if p.killed.get(number)]
    return next((p.name for p in before + programs if p.kills(number)), None)


def try_kernel(kernel, programs, models, jobs, only):
    """name -> "killed by ...", "survived ..." or "not reached"."""
    fate, work = {}, []
    for m in kernel.mutants:
        if only not in m.name:
            continue
        able = [p for p in (models if m.order else programs + models) if m.number in p.reached]
        fate[m.name] = f"survived {' '.join(p.name for p in able)}" if able else "not reached"
        if able:
            work.append((m, able))
    done = 0
    with ThreadPoolExecutor(jobs) as pool:
        for (m, _), killer in zip(work, pool.map(lambda w: try_mutant(w[0].number, w[1]), work)):
            if killer:
                fate[m.name] = f"killed by {killer}"
            done += 1
            if sys.stdout.isatty() or done % 100 == 0:
                print(f"mutate: {kernel.name} {done}/{len(work)}",
                      end="\r" if sys.stdout.isatty() else "\n", flush=True)
    return fate


def report(kernel, fate, reasons, whole):
    """The kernel's line of the table, and what is wrong."""
    names = {m.name for m in kernel.mutants if not m.order and m.name in fate}
    orders = {m.name for m in kernel.mutants if m.order and m.name in fate}
    wrong = []

    def count(these, word):
        return sum(fate[n].startswith(word) for n in these)

    equivalent = sum(reasons.get(n, "").startswith("Equivalent") for n in names
                     if not fate[n].startswith("killed"))
    killed, counted = count(names, "killed"), len(names) - equivalent
    share = killed / counted if counted else 1.0
    if whole and share < SHARE:
        wrong.append(f"{kernel.name}: {share:.1%} killed, less than {SHARE:.0%}")
    for n in sorted(names | orders):
        if fate[n].startswith("killed"):
            if n in reasons:
                wrong.append(f"listed as a survivor, but {fate[n]}: {n}")
        elif n not in reasons:
            wrong.append(f"{fate[n]}: {n}")
    if whole:
        wrong += [f"listed, but there is no such mutant: {n}" for n in sorted(reasons)
                  if n.split(":")[0] in kernel.files and n not in names | orders]
    row = (kernel.name, len(names), killed, len(names) - killed - count(names, "not reached"),
           count(names, "not reached"), equivalent, f"{share:.1%}", len(orders),
           count(orders, "killed"))
    return row, wrong


HEAD = ("kernel", "mutants", "killed", "survived", "not reached", "equivalent", "share",
        "orders", "killed")


def table(rows):
    widths = [max(len(str(r[i])) for r in [HEAD, *rows]) for i in range(len(HEAD))]
    for r in [HEAD, *rows]:
        print("| " + " | ".join(str(v).ljust(w) for v, w in zip(r, widths)) + " |")
        if r is HEAD:
            print("|-" + "-|-".join("-" * w for w in widths) + "-|")


def main():
    parser = argparse.ArgumentParser(prog="mutate", description=__doc__)
    parser.add_argument("kernels", nargs="*", help="which; all where none is named")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="", help="try those whose name holds this text")
    parser.add_argument("--list", action="store_true", help="list the mutants, and try none")
    given = parser.parse_args()

    kernels = read_kernels()
    if unknown := set(given.kernels) - {k.name for k in kernels}:
        parser.error(f"no kernel {', '.join(sorted(unknown))}")
    wanted = [k for k in kernels if not given.kernels or k.name in given.kernels]
    reasons = read_survivors(HERE / "survivors")

    WORK.mkdir(parents=True, exist_ok=True)
    copy_tree({f for k in kernels for f in k.files})
    configure()
    find_mutants(kernels)
    if given.list:
        print(*(m.name for k in wanted for m in k.mutants if given.only in m.name), sep="\n")
        return 0
    programs_for = programs_of()
    programs, rows, wrong = {}, [], []
    for k in wanted:
        paths, models = programs_for(k.tests), programs_for(k.models)
        build(kernels, paths | models, given.jobs)
        for n, path in (paths | models).items():
            programs[n] = Program(n, path)

        def ordered(names):
            return sorted((programs[n] for n in names), key=lambda p: p.seconds)

        fate = try_kernel(k, ordered(paths), ordered(models), given.jobs, given.only)
        row, bad = report(k, fate, reasons, not given.only)
        print(*bad, sep="\n", flush=True)
        rows.append(row)
        wrong += bad
        put(WORK / "fates" / k.name, "".join(f"{n}\n  {f}\n" for n, f in fate.items()).encode())
    table(rows)
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Problem as problem:
        print(f"mutate: {problem}", file=sys.stderr)
        sys.exit(2)
