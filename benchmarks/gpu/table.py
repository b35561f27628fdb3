"""The tables of a gpu-check's JSON file, in Markdown: docs/gpu.md holds what this writes, and a test compares.

python -m benchmarks.gpu.table docs/gpu/one-card.json
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

GIB = 2**30


def render(results: Mapping[str, Any]) -> str:
    """All tables: what was measured on, supervised training, policy steps, export, and what failed or wasn't run."""
    cases = results["cases"]
    parts = [about(results)]
    for works, table in ((("sft", "plain"), supervised), (("grpo",), policy), (("export",), export)):
        rows = {name: case for name, case in cases.items() if case.get("work") in works}
        if rows:
            parts.append(table(rows, results))
    failed = {name: case for name, case in cases.items() if "work" not in case}
    parts += [f"`{name}`: {missing(case)}" for name, case in failed.items()]
    return "\n\n".join(parts) + "\n"


def missing(case: Mapping[str, str]) -> str:
    """Why a case has no numbers."""
    words = case.get("skipped") or case["error"]
    return f"{words}: {case['said']}" if case.get("said") else words


def targets(files: Mapping[str, Mapping[str, Any]]) -> str:
    """What was aimed at and what was seen, from the files of docs/gpu by their names."""

    def case(file: str, name: str) -> Mapping[str, Any]:
        return files[file]["cases"][name]

    def share(file: str, name: str) -> str:
        return f"{100 * case(file, name)['flops_per_second'] / files[file]['matrix_flops_per_second']:.1f} %"

    def times(first: tuple[str, str], second: tuple[str, str]) -> str:
        return f"{case(*first)['tokens_per_second'] / case(*second)['tokens_per_second']:.2f} times"

    ours, plain, unsloth = (("backends", name) for name in ("sft-bf16", "sft-bf16-plain", "sft-bf16-unsloth"))
    taken = f"{case('check', 'sft-nf4')['device_bytes'] / GIB:.1f} GiB taken"
    rows = [
        ["4 bit, LoRA r=32, 2048 tokens, in 24 GiB", taken, "check"],
        ["bf16 LoRA at 40 % of the matrix rate, batch 1 × 8", f"missed: {share(*ours)}", "backends"],
        ["the same with unsloth", share(*unsloth), "backends"],
        ["the same without unsloth, batch 2 × 4", share("backends", "sft-bf16-2x4"), "backends"],
        ["bf16 at least as fast as the plain script", times(ours, plain), "backends"],
        ["unsloth against the plain script, bf16", times(unsloth, plain), "backends"],
        [
            "unsloth against the plain script, 4 bit",
            times(("check", "sft-nf4-unsloth"), ("backends", "sft-nf4-plain")),
            "check, backends",
        ],
        ["two cards (DDP) against one", times(("two-cards", "sft-bf16-ddp"), ours), "two-cards, backends"],
        ["two cards (FSDP2) against one", times(("two-cards", "sft-bf16-fsdp2"), ours), "two-cards, backends"],
    ]
    return markdown(["", "measured", "files"], rows) + "\n"


def kernels(case: Mapping[str, Any]) -> str:
    """How long the card works on one forward and backward pass, of how long that takes, and on what."""
    spent = case["kernels"]
    busy = spent[0]["milliseconds"] / spent[0]["share"]
    whole = 1000 * case["step_seconds"] / case["accumulation"]
    rows = [
        [f"`{row['name'][:60]}`", str(row["calls"]), f"{row['milliseconds']:.1f}", f"{100 * row['share']:.0f} %"]
        for row in spent[:8]
    ]
    table = markdown(["kernel", "calls", "ms", "of the card's work"], rows)
    return f"Of {whole:.0f} ms a pass, the card works for {busy:.0f}.\n\n{table}\n"


def about(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    card = f"{machine['card']}, driver {machine['driver']}, CUDA {machine['cuda']}" if machine["card"] else "no card"
    rate = results["matrix_flops_per_second"] / 1e12
    return (
        f"Shape {results['shape']}, {results['matrix_parameters'] / 1e9:.2f} billion parameters in matrices; {card}, "
        f"Python {machine['python']}, {machine['cores']} cores; {versions}. "
        f"Measured bfloat16 matrix rate: {rate:.3g} TFLOP/s."
    )


def supervised(cases: Mapping[str, Mapping[str, Any]], results: Mapping[str, Any]) -> str:
    rate = results["matrix_flops_per_second"]
    rows = [
        [
            name,
            str(case["processes"]),
            f"{case['batch_size']} × {case['accumulation']}",
            *memory(case),
            f"{case['step_seconds']:.2f}",
            f"{case['tokens_per_second']:.0f}",
            f"{100 * case['flops_per_second'] / rate / case['processes']:.1f} %",
        ]
        for name, case in cases.items()
    ]
    head = ["case", "cards", "batch", "peak of tensors, GiB", "taken, GiB", "step, s", "tokens/s", "of the matrix rate"]
    return markdown(head, rows)


def policy(cases: Mapping[str, Mapping[str, Any]], results: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            f"{case['completions']} × {case['rollout_tokens'] // case['completions']}",
            *memory(case),
            f"{case['rollout_seconds']:.1f}",
            f"{case['rollout_tokens_per_second']:.0f}",
            f"{case['reward_seconds']:.2f}",
            f"{case['training_seconds']:.1f}",
            f"{case['step_seconds']:.1f}",
        ]
        for name, case in cases.items()
    ]
    head = [
        "case", "completions × tokens", "peak of tensors, GiB", "taken, GiB", "rollouts, s", "tokens/s", "rewards, s",
        "update, s", "step, s",
    ]  # fmt: skip
    return markdown(head, rows)


def export(cases: Mapping[str, Mapping[str, Any]], results: Mapping[str, Any]) -> str:
    rows = [
        [name, *memory(case), f"{case['merge_seconds']:.1f}", f"{case['merged_bytes'] / 1e9:.3g}",
         f"{case['check_seconds']:.1f}"]
        for name, case in cases.items()
    ]  # fmt: skip
    return markdown(["case", "peak of tensors, GiB", "taken, GiB", "merge, s", "merged, GB", "check, s"], rows)


def memory(case: Mapping[str, Any]) -> list[str]:
    """Peak of tensors and what the driver says is taken, or of a CPU's process, in GiB."""
    if "process_bytes" in case:
        return ["", f"{case['process_bytes'] / GIB:.1f}"]
    return [f"{case['allocated_bytes'] / GIB:.1f}", f"{case['device_bytes'] / GIB:.1f}"]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    print(render(json.loads(Path(sys.argv[1]).read_text())), end="")
