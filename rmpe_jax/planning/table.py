"""A plan in words: what a chip holds, computes, moves and sends, as Markdown."""

from typing import Any

from rmpe_jax.planning.pod import GIB

MIB = 2**20
STORED = {
    "parameters": "parameters",
    "optimiser": "optimiser",
    "running_average": "running average",
    "batch_statistics": "batch statistics",
    "parallel_sppe": "parallel SPPE",
}


def table(plan: dict[str, Any]) -> str:
    """Return the plan that `plan.plan` made as text."""
    parts = [_heading(plan), _memory(plan), _work(plan), _messages(plan), _verdict(plan)]
    return "\n\n".join(part for part in parts if part)


def _heading(plan: dict[str, Any]) -> str:
    return (
        f"{plan['topology']}: {plan['chips']} x {plan['chip']}, {_gib(plan['available'])} for a "
        f"program on each; {plan['parameters'] / 1e6:.2f} M parameters"
    )


def _memory(plan: dict[str, Any]) -> str:
    """Return what lies on a chip, one column a size of the batch."""
    tried = plan["compiled"]
    rows = [[name, *[_mib(plan["stored"][key])] * len(tried)] for key, name in STORED.items()]
    rows.append(["crops and joints", *(_mib(each["inputs"]) for each in tried)])
    running = [_running(plan, each) for each in tried]
    for name in running[0]:
        # Of a program that does not fit the compiler tells the sum alone.
        told = zip(running, tried, strict=True)
        rows.append([name, *(_mib(sizes[name]) if each["given"] else "" for sizes, each in told)])
    rows.append(["**total**", *(f"**{_mib(each['total'])}**" for each in tried)])
    rows.append(["fits", *("yes" if each["fits"] else "no" for each in tried)])
    return _markdown(["MiB a chip", *(f"batch {each['per_chip']}" for each in tried)], rows)


def _running(plan: dict[str, Any], each: dict[str, Any]) -> dict[str, int | float]:
    """Return what a chip has beside what is stored; a line through two sizes tells parts apart."""
    stored = sum(plan["stored"].values()) + each["inputs"]
    sizes: dict[str, Any] = {"padding of these": each["given"] - stored}
    line = plan.get("memory_line")
    if line is None:
        sizes["activations and temporaries"] = each["while_running"]
    else:
        kept = line["a_person"] * each["per_chip"] - each["inputs"]
        sizes["activations (grow with the batch)"] = kept
        sizes["temporaries (do not)"] = each["while_running"] - kept
    return sizes | {"program": each["code"]}


def _work(plan: dict[str, Any]) -> str:
    """Return arithmetic, bytes moved, and the time of each at the chip's full speed."""
    tried = [each for each in plan["compiled"] if each["fits"]]
    if not tried:
        return ""
    rows = [
        ["GFLOPs", *(f"{each['flops'] / 1e9:,.0f}" for each in tried)],
        ["GB read and written, estimated", *(f"{each['moved'] / 1e9:,.1f}" for each in tried)],
        [
            "ms of arithmetic at full speed",
            *(f"{1e3 * each['arithmetic_seconds']:,.1f}" for each in tried),
        ],
        [
            "ms of memory at full speed, estimated",
            *(f"{1e3 * each['memory_seconds']:,.1f}" for each in tried),
        ],
        [
            "people a second at most, by arithmetic, whole pod",
            *(f"{each['batch'] / each['arithmetic_seconds']:,.0f}" for each in tried),
        ],
        ["seconds to compile", *(f"{each['compile_seconds']:,.0f}" for each in tried)],
    ]
    if plan["topology"] == "here":  # nothing is known of these devices' speed
        rows = [rows[0], rows[1], rows[-1]]
    heads = ["a step, a chip", *(f"batch {each['per_chip']}" for each in tried)]
    return _markdown(heads, rows)


def _messages(plan: dict[str, Any]) -> str:
    """Return what the chips send each other, in the largest batch that fits."""
    tried = [each for each in plan["compiled"] if each["fits"]]
    if plan["chips"] == 1 or not tried:
        return ""
    rows = [
        [each["kind"], str(each["count"]), f"{each['bytes'] / MIB:,.1f}"]
        for each in tried[-1]["collectives"]
    ]
    of_step = f"gradient and batch statistics are {plan['gradient_and_statistics'] / MIB:,.1f} MiB"
    return f"{_markdown(['messages of a step', 'count', 'MiB'], rows)}\n({of_step})"


def _verdict(plan: dict[str, Any]) -> str:
    largest = plan["largest_batch_per_chip"]
    if not largest:
        return (
            "Nothing fits. Less memory: --train.remat blocks, --model.dtype bfloat16, "
            "--devices.parameters sharded, --devices.accumulate 2, smaller crops"
        )
    return (
        f"Largest batch that fits, compiled: {largest} people a chip, "
        f"--train.batch-size {largest * plan['chips']}"
    )


def _markdown(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _mib(size: int | float) -> str:
    return f"{size / MIB:,.1f}"


def _gib(size: int | float) -> str:
    return f"{size / GIB:.2f} GiB"
