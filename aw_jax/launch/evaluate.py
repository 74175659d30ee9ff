"""Figures of a folder of predictions against a folder of truths, matched by name.

python -m aw_jax.launch.evaluate --task=reconstruction --pred=DIR --gt=DIR --out=DIR

Items that an interrupted start has measured are not measured again.
With clip records (the benchmark's or others') as --gt, clips are measured by artifact
type too; with the same folder as --pred, the broken clips themselves are.
"""

from absl import flags

from aw_jax.evaluate.figures import TASKS, EvaluateConfig, evaluate
from aw_jax.evaluate.measured import Measured
from aw_jax.evaluate.tables import result_table
from aw_jax.launch import app
from aw_jax.runs.folder import RunFolder

flags.DEFINE_enum("task", "reconstruction", sorted(TASKS), "What is measured.")
flags.DEFINE_string("pred", None, "Folder of predicted frames, videos or clip records.")
flags.DEFINE_string("gt", None, "Folder of true frames, videos or clip records.")


def run(config: EvaluateConfig, folder: RunFolder) -> None:
    """Measures, prints the table and writes metrics.json."""
    task, prediction, truth = app.FLAGS.task, app.existing("pred"), app.existing("gt")
    measured = Measured(folder)
    result = evaluate(task, prediction, truth, config=config, measured=measured)
    print(result_table(result))
    folder.finish(result)


PRESET = EvaluateConfig()
OWN = ("task", "pred", "gt")

if __name__ == "__main__":
    app.launch(run, PRESET, own=OWN)
