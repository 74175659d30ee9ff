"""Who may use which seed: training, benchmark, demo, tests never share a world.

A seed is a plain integer below 2^31. Every range is half open and they are disjoint, so
a figure on `BENCHMARK` seeds is a figure on worlds no training ever saw.
"""

from aw_jax.core.errors import UserError

TRAINING = range(10_000_000)
VALIDATION = range(10_000_000, 11_000_000)
BENCHMARK = range(11_000_000, 12_000_000)
DEMO = range(12_000_000, 12_001_000)
TEST = range(13_000_000, 14_000_000)

RANGES = {
    "training": TRAINING,
    "validation": VALIDATION,
    "benchmark": BENCHMARK,
    "demo": DEMO,
    "test": TEST,
}


def purpose(seed: int) -> str:
    """The name of the range a seed belongs to."""
    for name, seeds in RANGES.items():
        if seed in seeds:
            return name
    raise UserError(
        f"seed: expected one in 0..{TEST.stop - 1} of a named range, got {seed}; "
        "see aw_jax/data/procedural/seeds.py"
    )


def require(seed: int, name: str) -> int:
    """The seed itself, or an error when it is not one of the range `name`."""
    if seed not in RANGES[name]:
        raise UserError(
            f"seed: expected one of the {name} range "
            f"{RANGES[name].start}..{RANGES[name].stop - 1}, got {seed}"
        )
    return seed
