"""Figures as a table of text."""

from collections.abc import Mapping
from typing import Any

DIGITS = {"psnr": 2, "ssim": 4, "lpips": 4, "pearson": 4, "pooled": 4}


def result_table(result: Mapping[str, Any]) -> str:
    """The table of what `figures.evaluate` found: one row an item, the mean last.

    Where items fall into groups, one row a group.
    """
    parts = result.get("groups") or result["items"]
    rows = [*parts.items(), ("mean", result["mean"])]
    if "groups" in result:
        rows[-1] = ("total", {"count": result["count"]} | result["mean"])
    flat = [(name, _flatten(values)) for name, values in rows]
    columns = list(flat[0][1]) + [c for c in flat[-1][1] if c not in flat[0][1]]
    body = [
        [name, *(number(values.get(c), c) for c in columns)] for name, values in flat
    ]
    table = aligned(["", *columns], body)
    missed = sum(len(names) for names in result["unmatched"].values())
    note = f"\n{missed} files without a partner are left out." if missed else ""
    return table + note + _variant_note(result) + _benchmark_note(result)


def aligned(header: list[str], rows: list[list[str]]) -> str:
    """Columns of equal width; the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *rows)
    ]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([lines[0], rule, *lines[1:]])


def number(value: float | int | None, name: str) -> str:
    """A figure with the digits its metric deserves; a dash where there is none."""
    if value is None:
        return "-"
    metric = name.rsplit(" ", 1)[-1]
    return f"{value:.{DIGITS[metric]}f}" if metric in DIGITS else f"{value}"


def variant_names(variants: Mapping[str, Any]) -> dict[str, str]:
    """SSIM's and LPIPS's variants in words."""
    lpips = variants["lpips"]
    if lpips["net"] is None:
        named = f"none ({lpips['reason']})"
    else:
        named = f"{lpips['net']} fed {lpips['fed']}"
    ssim = variants["ssim"]
    return {
        "SSIM": f"{ssim['window']}x{ssim['window']} Gaussian, sigma {ssim['sigma']}, "
        f"{ssim['padding']} padding",
        "LPIPS": named,
    }


def _benchmark_note(result: Mapping[str, Any]) -> str:
    if "benchmark" not in result:
        return ""
    told = result["benchmark"]
    note = f"\nbenchmark: {told['verdict']}"
    if told["scored"] < told["clips"]:
        note += (
            f"\nOnly {told['scored']} of its {told['clips']} clips have predictions: "
            "these are not figures of the benchmark."
        )
    return note


def _flatten(values: Mapping[str, Any]) -> dict[str, float | int | None]:
    flat: dict[str, float | int | None] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{key} {name}": v for name, v in value.items()}
        else:
            flat[key] = value
    return flat


def _variant_note(result: Mapping[str, Any]) -> str:
    if "variants" not in result:
        return ""
    names = variant_names(result["variants"])
    return "".join(f"\n{metric}: {name}" for metric, name in names.items())
