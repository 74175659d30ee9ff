"""Every type shows in its own statistic, on dense fits that tests make.

The other side is no copy of the clean clip, which no statistic could miss, but the
clean splat a little off, as another fit to the same photos would be.

Procedural scenes and captures come as equally many square photos and end as equally
many Gaussians, so each program is compiled once for all of them; each clip is rendered
once for all tests. One group alone: pytest -m slow THIS_FILE -k fox.
"""

import functools
import os
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from aw_jax.core.keys import at_step, named
from aw_jax.core.pytrees import replace
from aw_jax.data.procedural.seeds import TEST
from aw_jax.data.procedural.worlds import scene
from aw_jax.dataengine.artifacts.breaking import broken_clip
from aw_jax.dataengine.artifacts.seen import seen
from aw_jax.dataengine.artifacts.statistics import STATISTICS, statistics
from aw_jax.dataengine.artifacts.subject import subject as look
from aw_jax.dataengine.captured import photo_capture
from aw_jax.dataengine.dense_fit import DenseFitConfig, dense_capture, dense_fit
from aw_jax.geometry.paths import through

pytestmark = pytest.mark.slow
NAMES = tuple(STATISTICS)
SEVERITIES = (0.2, 0.4, 0.6, 0.8, 1.0)
SEPARATED = 0.8
FRAMES, SIZE, SCENES, DRAWS = 9, (96, 96), 10, 2
SHARED = Path(os.environ.get("AW_SHARED", Path(__file__).parents[4] / "shared"))
CONFIG = DenseFitConfig()


@pytest.fixture(scope="module", params=["procedural", "fox", "desk"])
def subjects(request):
    """Ten scenes, or ten clips of a capture; two draws of each are broken."""
    if request.param == "procedural":
        return [_procedural(TEST.start + 700 + i) for i in range(SCENES)]
    folder = SHARED / "scenes" / request.param
    if not folder.exists():
        pytest.skip(f"{folder} is not here; AW_SHARED says where else it may be")
    return _captured(folder)


def _procedural(seed):
    rng = np.random.default_rng(seed)
    taken = dense_capture(scene(seed), rng, size=SIZE, config=CONFIG)
    return _between(_fit(taken), taken.cameras, CONFIG.views // 2)


def _captured(folder):
    whole = photo_capture(folder, size=SIZE, config=CONFIG)
    even = np.linspace(0, len(whole.photos) - 1, CONFIG.views).round().astype(int)
    views = {name: getattr(whole, name)[even] for name in ("photos", "cameras")}
    weights = None if whole.weights is None else whole.weights[even]
    splat = _fit(replace(whole, **views, weights=weights))
    starts = np.linspace(0, CONFIG.views - 3, SCENES).astype(int)
    return [_between(splat, views["cameras"], start) for start in starts]


def _between(splat, views, start):
    """Along three neighbouring views."""
    return look(splat, through(views[start : start + 3], FRAMES), views)


def _fit(taken):
    return dense_fit(
        taken.photos,
        taken.cameras,
        taken.points,
        taken.colors,
        config=CONFIG,
        key=jax.random.key(0),
        weights=taken.weights,
    )


def another_fit(subject, key):
    """The subject with a splat as another fit would leave it."""
    splat = subject.splat
    noise = lambda name, x: jax.random.normal(named(key, name), x.shape)
    drift = 0.1 * subject.spacing[:, None] * noise("means", splat.means)
    off = replace(
        splat,
        means=splat.means + drift,
        log_scales=splat.log_scales + 0.05 * noise("scales", splat.log_scales),
        sh=splat.sh + 0.03 * noise("sh", splat.sh),
    )
    return replace(subject, splat=off)


@pytest.fixture(scope="module")
def figures(subjects):
    """Every statistic of a clip broken by a type; without one, of another fit's.

    The clip is named by its subject and draw; each is made once. Of severities that are
    not asked for separation only the type's own statistic is needed.
    """

    @functools.cache
    def of(name, index, draw, severity=SEPARATED):
        subject, key = subjects[index], at_step(jax.random.key(7), draw)
        if name is None:
            clip = broken_clip(another_fit(subject, key), {}, key)
        else:
            clip = broken_clip(subject, {name: severity}, key)
        if severity == SEPARATED:
            return statistics(seen(subject, clip))
        return {name: STATISTICS[name](seen(subject, clip))}

    return of


@pytest.fixture(scope="module")
def tables(figures):
    """Of each type, and of None, every statistic of 20 clips, all `SEPARATED`."""
    clips = [(i, draw) for i in range(SCENES) for draw in range(DRAWS)]
    return {name: [figures(name, *x) for x in clips] for name in (None, *NAMES)}


def auc(low, high):
    """How often a draw of `high` is larger than one of `low`; ties count half."""
    ranks = rankdata([*low, *high])[len(low) :]
    return (ranks.sum() - len(high) * (len(high) + 1) / 2) / (len(low) * len(high))


def separation(tables, statistic, name):
    """How well a statistic tells clips broken by a type from another fit's: AUC."""
    clean, broken = ([found[statistic] for found in tables[x]] for x in (None, name))
    assert len(broken) >= 20
    return auc(clean, broken)


def rank_correlation(figures, name, index):
    """Spearman's, of severity and statistic of one scene, all else equal."""
    found = [figures(name, index, 0, severity)[name] for severity in SEVERITIES]
    return spearmanr(SEVERITIES, found).statistic


def test_auc_and_its_ends():
    assert auc([1, 2], [3, 4]) == 1
    assert auc([1, 3], [1, 3]) == 0.5
    assert auc([3, 4], [1, 2]) == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_statistic_tells_broken_from_clean(tables, name):
    assert separation(tables, name, name) >= 0.95


def test_the_matrix_of_statistics_against_types_is_told(tables, capsys):
    rows = [[separation(tables, x, name) for name in NAMES] for x in NAMES]
    width = max(map(len, NAMES))
    with capsys.disabled():
        print("\nAUC of each statistic (rows) for each type, in the order of the rows")
        for name, row in zip(NAMES, rows, strict=True):
            print(f"{name:>{width}}", *(f"{x:.2f}" for x in row))
    # the type that a statistic is for shows in it more surely than types do on average
    assert all(row[i] > np.mean(row) for i, row in enumerate(rows))


@pytest.mark.parametrize("name", NAMES)
def test_the_statistic_grows_with_severity(figures, name):
    found = [rank_correlation(figures, name, i) for i in range(SCENES)]
    assert np.median(found) >= 0.9 - 1e-9, found  # of five ranks, 0.9 is 0.8999...
