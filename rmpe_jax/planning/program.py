"""What a compiled program sends between devices, read from its text (XLA's HLO).

    %all-reduce.2 = bf16[1,3,3,64,64]{4,3,2,1,0} all-reduce(%fusion.24), ..., to_apply=%add

Instructions stand in computations, which call each other; the body of a loop runs many times.
"""

import math
import re
from collections import Counter, defaultdict
from typing import NamedTuple

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
# Nothing is moved by these, or what they call is counted in its place.
FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while", "conditional"}
HEAD = re.compile(r"(?P<entry>ENTRY )?%?(?P<name>[\w.-]+) \(.*\{$")
INSTRUCTION = re.compile(
    r"\s+(?P<root>ROOT )?%?(?P<name>[\w.-]+) = (?P<type>.+?) (?P<opcode>[a-z][\w-]*)\((?P<rest>.*)$"
)
ARRAY = re.compile(r"\b(pred|bf16|f8\w*|[sufc]\d+)\[([\d,]*)\]")
CALLED = re.compile(r"\b(calls|to_apply|body|condition|branch_computations)=(\{[^}]*\}|%?[\w.-]+)")
NAME = re.compile(r"%?([\w.-]+)")
KNOWN_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
INTEGER = re.compile(r"^[su]\d+\[\].*$")


class Instruction(NamedTuple):
    """One line of a program; `calls` are (how, name) of the computations it calls."""

    name: str
    type: str
    opcode: str
    rest: str
    is_root: bool
    calls: list[tuple[str, str]]


class Collective(NamedTuple):
    """Messages of one kind in a run: how many, and the bytes a device has of them."""

    kind: str
    count: int
    bytes: float


class Program(NamedTuple):
    """The computations of a program by name, and how often each runs."""

    computations: dict[str, list[Instruction]]
    runs: dict[str, int]


def parse(text: str) -> Program:
    """Return a compiled program, of `compiled.as_text()`."""
    computations: dict[str, list[Instruction]] = {}
    entry = None
    for line in text.splitlines():
        head = HEAD.match(line)
        if head:
            name = head["name"]
            computations[name] = []
            entry = name if head["entry"] else entry
        elif (found := INSTRUCTION.match(line)) and computations:
            calls = [
                (how, called)
                for how, names in CALLED.findall(found["rest"])
                for called in NAME.findall(names.strip("{}"))
            ]
            computations[name].append(
                Instruction(
                    found["name"],
                    found["type"],
                    found["opcode"],
                    found["rest"],
                    bool(found["root"]),
                    calls,
                )
            )
    if entry is None:
        raise ValueError("the text of a compiled program has an ENTRY; this one has none")
    return Program(computations, _runs(computations, entry))


def collectives(program: Program) -> list[Collective]:
    """Return what is sent in one run, kind by kind."""
    counts: Counter[str] = Counter()
    sizes: defaultdict[str, float] = defaultdict(float)
    for name, times in program.runs.items():
        for instruction in program.computations[name]:
            # What is begun and ended apart is counted where it begins.
            kind = instruction.opcode.removesuffix("-start")
            if kind in COLLECTIVES:
                counts[kind] += times
                sizes[kind] += times * _sent(instruction)
    return [Collective(kind, counts[kind], sizes[kind]) for kind in COLLECTIVES if counts[kind]]


def loop_factor(program: Program) -> float:
    """Return how many times what a run writes is more than if every loop ran once.

    The compiler's figure of bytes moved, in which every loop runs once, is that much too small.
    """
    inside = {
        called
        for instructions in program.computations.values()
        for instruction in instructions
        for how, called in instruction.calls
        if how in ("calls", "to_apply")
    }
    all_runs = one_run = 0.0
    for name, times in program.runs.items():
        if name in inside:
            continue
        written = sum(_written(program, line) for line in program.computations[name])
        all_runs += times * written
        one_run += written
    return all_runs / one_run if one_run else 1.0


def _runs(computations: dict[str, list[Instruction]], entry: str) -> dict[str, int]:
    """Return how often each computation runs in a run of the program."""
    runs: defaultdict[str, int] = defaultdict(int)

    def run(name: str, times: int) -> None:
        runs[name] += times
        for instruction in computations[name]:
            trips = _trips(instruction, computations) if instruction.opcode == "while" else 1
            for _, called in instruction.calls:
                run(called, times * trips)

    run(entry, 1)
    return dict(runs)


def _trips(loop: Instruction, computations: dict[str, list[Instruction]]) -> int:
    """Return how often the body of a loop runs: what its condition compares its counter with."""
    known = KNOWN_TRIPS.search(loop.rest)
    if known:
        return int(known[1])
    condition = dict(loop.calls)["condition"]
    lines = list(computations[condition])
    for instruction in computations[condition]:
        for _, called in instruction.calls:
            lines += computations[called]
    bounds = [
        int(line.rest.split(")")[0])
        for line in lines
        if line.opcode == "constant" and INTEGER.match(line.type)
    ]
    return max(bounds, default=1)


def _sent(instruction: Instruction) -> float:
    """Return the bytes of the largest array, or of all that are sent together."""
    sizes = [_size(*array) for array in ARRAY.findall(instruction.type)]
    if instruction.opcode in ("all-gather-start", "collective-permute-start"):
        return max(sizes)  # the type has what goes in beside what comes out
    return sum(sizes)


def _written(program: Program, instruction: Instruction) -> float:
    """Return the bytes that an instruction writes."""
    if instruction.opcode in FREE:
        return 0.0
    if instruction.opcode == "fusion":
        called = program.computations[dict(instruction.calls)["calls"]]
        root = next(line for line in called if line.is_root)
        if root.opcode == "dynamic-update-slice":  # writes the slice in place
            update = NAME.findall(root.rest.split(")")[0])[1]
            source = next(line for line in called if line.name == update)
            return sum(_size(*array) for array in ARRAY.findall(source.type))
    return sum(_size(*array) for array in ARRAY.findall(instruction.type))


def _size(kind: str, sides: str) -> float:
    """Return the bytes of an array, without padding."""
    bits = 8 if kind == "pred" or kind.startswith("f8") else int(re.sub(r"\D", "", kind))
    return math.prod(int(side) for side in sides.split(",") if side) * bits / 8
