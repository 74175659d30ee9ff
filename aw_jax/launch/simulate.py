"""Pairs of clean and broken clips from sparse fits of procedural scenes.

python -m aw_jax.launch.simulate --scenes=procedural:SEED:COUNT --out=DIR

Several processes may work for the same folder: --share=0/4 to --share=3/4 each make
every fourth shard, and the last of them to finish closes the run.
"""

from absl import flags

from aw_jax.core.errors import UserError
from aw_jax.data.procedural.seeds import purpose
from aw_jax.dataengine.simulation import SimulationConfig, simulate
from aw_jax.launch import app
from aw_jax.runs.folder import RunFolder
from aw_jax.runs.progress import progress

flags.DEFINE_string(
    "scenes", None, "procedural:SEED:COUNT, the first seed and how many."
)
flags.DEFINE_string("share", "0/1", "I/N: make every N-th shard, from the I-th on.")


def run(config: SimulationConfig, folder: RunFolder) -> None:
    """Makes the shards in OUT/clips; those that are there already are kept."""
    seeds = procedural_seeds(app.required("scenes"))
    share = one_of(app.required("share"))
    folder.begin()
    units = -(-len(seeds) // config.scenes_per_shard)
    mine = len(range(share[0], units, share[1]))
    with progress("simulate", mine) as bar:
        summary = simulate(
            seeds,
            folder.path / "clips",
            config=config,
            share=share,
            told=lambda done, _, last: bar.update(
                done, clips=float(last.get("clips", 0))
            ),
        )
    if summary["units"] == summary["of"]:
        folder.finish(summary)


def procedural_seeds(text: str) -> list[int]:
    """The seeds that `procedural:SEED:COUNT` names.

    Raises:
        UserError: another form, or seeds of more than one purpose.
    """
    kind, _, rest = text.partition(":")
    first, _, count = rest.partition(":")
    if kind != "procedural" or not first.isdigit() or not count.isdigit():
        raise UserError(f"--scenes={text}: expected procedural:SEED:COUNT.")
    seeds = list(range(int(first), int(first) + int(count)))
    if not seeds:
        raise UserError(f"--scenes={text}: COUNT must be at least 1.")
    if purpose(seeds[0]) != purpose(seeds[-1]):
        raise UserError(
            f"--scenes={text}: seeds {seeds[0]} ({purpose(seeds[0])}) and {seeds[-1]} "
            f"({purpose(seeds[-1])}) serve different purposes; ask for fewer."
        )
    return seeds


def one_of(text: str) -> tuple[int, int]:
    """(I, N) of the text "I/N".

    Raises:
        UserError: another form, or not 0 <= I < N.
    """
    part, _, parts = text.partition("/")
    if not (part.isdigit() and parts.isdigit() and int(part) < int(parts)):
        raise UserError(f"--share={text}: expected I/N with 0 <= I < N.")
    return int(part), int(parts)


PRESET = SimulationConfig()
OWN = ("scenes",)

if __name__ == "__main__":
    app.launch(run, PRESET, own=OWN)
