"""The nine types differ in pixels: a classifier that sees nothing else tells them.

Ten scenes to learn from, six others to be asked; six and five paths each, a clip of
every type along each path, from streams of their own. Clips that the simulation would
refuse as hardly broken are drawn again.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from aw_jax.core.keys import at_step
from aw_jax.data.procedural.captures import CaptureConfig, capture
from aw_jax.data.procedural.rendering import render as trace
from aw_jax.data.procedural.seeds import TEST
from aw_jax.data.procedural.surface_points import SurfacePointsConfig, surface_points
from aw_jax.data.procedural.worlds import scene
from aw_jax.dataengine.artifacts.breaking import EDITS, broken_clip
from aw_jax.dataengine.artifacts.subject import subject as look
from aw_jax.dataengine.dense_fit import DenseFitConfig, dense_fit
from aw_jax.dataengine.gate import GateConfig
from aw_jax.images.quantise import quantise
from aw_jax.splat.fit_config import FitConfig

pytestmark = pytest.mark.slow
TYPES = (*EDITS, "aliasing")
SIZE, FRAMES, WALK = 64, 9, 97
TRAINING, TESTING = range(10), range(10, 16)
PATHS = {True: 6, False: 5}
TRIES = 8
CONFIG = DenseFitConfig(
    views=25,
    points=SurfacePointsConfig(count=3000, outliers=0.0, noise=0.003, corners=0.5),
    fit=FitConfig(steps=600, capacity=5000, sh_degree=2),
)


# What is measured. D = broken - clean; all frames in [0, 1].


def features(clean, broken):
    """Of pixels alone, (n,); frames uint8 (f h w 3)."""
    clean, broken = (x.astype(np.float64) / 255 for x in (clean, broken))
    parts = (size, signs, spectra, detail, chroma, blocks, motion, sides, shapes, holes)
    return np.array([x for part in parts for x in part(clean, broken)])


def _log(x):
    return np.log(np.maximum(x, 1e-6))


def _grey(x):
    return x.mean(axis=-1)


def _smooth(x, sigma):
    sigmas = (0, sigma, sigma) + (0,) * (x.ndim - 3)
    return ndimage.gaussian_filter(x, sigmas)


def _cosine(a, b):
    return np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b) + 1e-9)


def size(clean, broken):
    gap = np.abs(broken - clean).mean(axis=-1)
    shares = [np.mean(gap > level) for level in (4 / 255, 0.05, 0.15)]
    return [
        _log(gap.mean()),
        _log(gap.std()),
        *shares,
        _log(shares[2] / (shares[0] + 1e-4)),
    ]


def signs(clean, broken):
    change = _grey(broken - clean)
    size = np.abs(change).mean() + 1e-6
    return [
        change.mean() / size,
        stats.skew(change, axis=None),
        _log(stats.kurtosis(change, axis=None) + 3),
        _cosine(change, _grey(clean) - _grey(clean).mean()),
    ]


def spectra(clean, broken):
    """Energy by frequency: broken over clean, and how D's is shared out."""
    bands = ((0.02, 0.1), (0.1, 0.2), (0.2, 0.35), (0.35, 0.75))
    side = clean.shape[1]
    window = np.hanning(side)[:, None] * np.hanning(side)
    f = np.hypot(*np.meshgrid(*[np.fft.fftfreq(side)] * 2))
    power = lambda x: (np.abs(np.fft.fft2(window * _grey(x))) ** 2).mean(axis=0)
    of = lambda x: np.array([x[(f >= a) & (f < b)].sum() for a, b in bands])
    before, after, change = (of(power(x)) for x in (clean, broken, broken - clean))
    return [*_log(after / before), *_log(change / change.sum()), *_log(change / before)]


def detail(clean, broken):
    """What is finer than a pixel or two, lost and gained, and likeness to a blur."""
    found = []
    for sigma in (1, 2):
        before, after = (
            _smooth(np.abs(x - _smooth(x, sigma)), 2) for x in (clean, broken)
        )
        whole = before.sum()
        found += [
            np.maximum(before - after, 0).sum() / whole,
            np.maximum(after - before, 0).sum() / whole,
        ]
    change = broken - clean
    blurs = [_cosine(change, _smooth(clean, s) - clean) for s in (0.7, 1.5, 3)]
    slope = lambda x: np.hypot(*np.gradient(_grey(x), axis=(1, 2)))
    edges = np.corrcoef(slope(clean).ravel(), slope(broken).ravel())[0, 1]
    return [*found, *blurs, edges]


def chroma(clean, broken):
    """How much of D is color, how coarse, and how a frame's gains drift."""
    change = broken - clean
    color = change - change.mean(axis=-1, keepdims=True)
    whole = np.sqrt(np.mean(change**2)) + 1e-6
    gains = broken.mean(axis=(1, 2)) / clean.mean(axis=(1, 2))
    return [
        _log(np.sqrt(np.mean(color**2))),
        np.sqrt(np.mean(color**2)) / whole,
        np.sqrt(np.mean(_smooth(color, 2) ** 2)) / whole,
        np.sqrt(np.mean(_smooth(change, 2) ** 2)) / whole,
        np.sqrt(np.mean(_smooth(change, 5) ** 2)) / whole,
        _log(gains.mean(axis=1).std()),
        _log(np.ptp(gains, axis=1).mean()),
    ]


def blocks(clean, broken):
    """Neighbours that are equal to the last bit, more than in the clean clip."""
    equal = lambda x, axis: np.mean(np.all(np.diff(x, axis=axis) == 0, axis=-1))
    return [equal(broken, axis) - equal(clean, axis) for axis in (1, 2)]


def motion(clean, broken):
    """How D changes from frame to frame, against D, and against how clean changes."""
    change = broken - clean
    found = []
    for x in (change, _smooth(change, 2), _smooth(change, 4)):
        steps = np.abs(np.diff(x, axis=0)).mean(axis=(1, 2, 3))
        found += [
            _log(steps.mean() / (np.abs(x).mean() + 1e-6)),
            _log(steps.max() / (np.median(steps) + 1e-6)),
            _log(steps.max()),
        ]
    energy = (change**2).mean(axis=(1, 2, 3)) + 1e-8
    found += [
        _log(energy[-3:].mean() / energy[:3].mean()),
        _log(energy.std() / energy.mean()),
    ]
    moved = np.abs(np.diff(clean, axis=0)).mean()
    found.append(_log(np.abs(np.diff(broken, axis=0)).mean() / (moved + 1e-4)))
    return found


def sides(clean, broken):
    """Likeness of D to a copy from one side and not from the other."""
    change = broken - clean
    found = []
    for d in range(2, 17):
        inner, here = change[:, :, d:-d], clean[:, :, d:-d]
        pair = clean[:, :, : -2 * d] - here, clean[:, :, 2 * d :] - here
        a, b = (_cosine(inner, x) for x in pair)
        found.append((abs(a - b), max(a, b), d))
    best = max(found)
    return [best[0], max(x[1] for x in found), best[2], np.mean([x[0] for x in found])]


def shapes(clean, broken):
    """The parts that D falls into, and how streaky it is."""
    change = _grey(np.abs(broken - clean))
    marked = change > 0.06
    counts, areas, lengths, fills = [], [], [], []
    for frame in marked:
        labels, count = ndimage.label(frame)
        counts.append(count)
        for box, index in zip(
            ndimage.find_objects(labels), range(1, count + 1), strict=True
        ):
            part = labels[box] == index
            areas.append(part.sum())
            if part.sum() > 3:
                y, x = np.nonzero(part)
                spread = np.linalg.eigvalsh(np.cov(np.stack([y, x])) + np.eye(2) / 12)
                lengths.append(np.sqrt(spread[1] / spread[0]))
                fills.append(part.mean())
    mean = lambda x, default: np.mean(x) if len(x) else default
    return [
        _log(np.mean(counts) + 0.1),
        _log(mean(areas, 0.5)),
        _log(max(areas, default=0.5)),
        mean(lengths, 1.0),
        np.max(lengths, initial=1.0),
        mean(fills, 1.0),
        *streaks(_grey(broken - clean)),
    ]


def streaks(change):
    y, x = np.gradient(change, axis=(1, 2))
    yy, yx, xx = (_smooth(v, 2) for v in (y * y, y * x, x * x))
    half, middle = np.hypot((xx - yy) / 2, yx), (xx + yy) / 2
    coherence = half / (middle + 1e-9)
    return [
        np.sum(coherence * middle) / (middle.sum() + 1e-9),
        _log(np.sqrt(half.mean())),
    ]


def holes(clean, broken):
    """Dark where it was not, and flat where it was not."""
    dark = (broken.max(axis=-1) < 0.08) & (clean.max(axis=-1) > 0.15)
    changed = _grey(np.abs(broken - clean)) > 0.06
    rough = lambda x: np.sqrt(
        np.maximum(_smooth(_grey(x) ** 2, 1.5) - _smooth(_grey(x), 1.5) ** 2, 0)
    )
    inside = lambda x: x[changed].mean() if changed.any() else 0.0
    less = np.minimum(broken, clean).sum() / clean.sum()
    share = broken / np.maximum(clean, 0.05)
    dimmed = inside((np.ptp(share, axis=-1) < 0.15) & (share.mean(axis=-1) < 0.9))
    return [
        _log(dark.mean() + 1e-4),
        _log((inside(rough(broken)) + 1e-3) / (inside(rough(clean)) + 1e-3)),
        inside(_grey(broken) < _grey(clean)),
        less,
        dimmed,
    ]


# What is made.


def _subjects(seed, paths):
    """Clips along stretches of one walk, its other frames having made the fit."""
    world = scene(seed)
    path = CaptureConfig(frames=WALK, width=SIZE, height=SIZE, sweep=(1.0, 1.2))
    walk = capture(world, path)
    views = walk[np.arange(0, WALK, 4)]
    photos, depths = (np.asarray(x) for x in trace(world, views))
    rng = np.random.default_rng([seed, 3])
    points, colors = surface_points(photos, depths, views, CONFIG.points, rng=rng)
    splat = dense_fit(
        jnp.asarray(photos),
        views,
        points,
        colors,
        config=CONFIG,
        key=jax.random.key(seed),
    )
    frames = 2 * np.arange(FRAMES)
    return [look(splat, walk[8 * i + frames], views) for i in range(paths)]


def _example(subject, name, severity, key):
    """Features of one clip that the simulation would not refuse as hardly broken."""
    clean = np.asarray(quantise(subject.clean.color))
    for attempt in range(TRIES):
        broken = broken_clip(subject, {name: severity}, at_step(key, attempt)).frames
        error = np.mean((clean.astype(np.float64) - broken) ** 2) / 255**2
        if -10 * np.log10(error + 1e-10) <= GateConfig().most_psnr:
            break
    return features(clean, broken)


def examples(scenes, paths):
    """Features and types of a clip of every type along every path of every scene."""
    found, types = [], []
    for number in scenes:
        seed = TEST.start + 500 + number
        rng = np.random.default_rng([seed, 5])
        for at, subject in enumerate(_subjects(seed, paths)):
            for index, name in enumerate(TYPES):
                severity = float(rng.uniform(0.6, 1.0))
                key = jax.random.fold_in(at_step(jax.random.key(seed), at), index)
                found.append(_example(subject, name, severity, key))
                types.append(index)
    return np.array(found), np.array(types)


# Who tells them apart: linear discriminants of standardised features.


def discriminants(x, y, *, shrink=0.1):
    """Weights and offsets of each type, with one covariance shrunk to its diagonal."""
    means = np.stack([x[y == i].mean(axis=0) for i in range(len(TYPES))])
    within = np.cov((x - means[y]).T)
    within = (1 - shrink) * within + shrink * np.diag(np.diag(within) + 1e-3)
    weights = np.linalg.solve(within, means.T)
    return weights, -0.5 * np.sum(means.T * weights, axis=0)


def told(train, types, test):
    """The types of `test`, by what `train` of known types teaches."""
    middle, scale = train.mean(axis=0), train.std(axis=0) + 1e-6
    train, test = (np.clip((x - middle) / scale, -4, 4) for x in (train, test))
    weights, offsets = discriminants(train, types)
    return np.argmax(test @ weights + offsets, axis=1)


def test_nine_types_are_told_apart_by_pixels():
    train, types = examples(TRAINING, PATHS[True])
    test, truth = examples(TESTING, PATHS[False])
    counts = [np.bincount(x).tolist() for x in (types, truth)]
    assert counts == [[60] * len(TYPES), [30] * len(TYPES)]
    found = told(train, types, test)
    right = [np.mean(found[truth == i] == i) for i in range(len(TYPES))]
    print(dict(zip(TYPES, right, strict=True)))
    assert np.mean(found == truth) >= 0.9
    assert min(right) >= 0.75
    shuffled = np.random.default_rng(0).permutation(types)
    assert np.mean(told(train, shuffled, test) == truth) <= 0.2
