"""gsplat 1.5.3's torch functions as one differentiable render: the peer of our bench.

Its `accumulate` takes lists of (gaussian, pixel) pairs, made here outside the timed
region, and calls two reductions of nerfacc, which are restated in torch.
"""

import sys
import types

import numpy as np
import torch

CHUNK = 2000
THRESHOLDS = (1 / 255, 0.999)
"""Alphas at which a splat starts to count, and is clamped."""
LIGHT_MIN = 1e-4
MARGIN = 1e-5


def weights_from_alpha(
    alphas: torch.Tensor, ray_indices: torch.Tensor, n_rays: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """alpha_i prod_{j < i} (1 - alpha_j) along each ray; pairs are sorted by ray."""
    passed = torch.cumsum(torch.log1p(-alphas.double()), dim=0)
    before = torch.cat([passed.new_zeros(1), passed[:-1]])
    counts = torch.bincount(ray_indices, minlength=n_rays)
    first = torch.cumsum(counts, dim=0) - counts
    start = before[first.clamp(max=len(before) - 1)]
    left = torch.exp(before - start[ray_indices]).float()
    return alphas * left, left


def sum_along_rays(
    weights: torch.Tensor,
    values: torch.Tensor | None,
    ray_indices: torch.Tensor,
    n_rays: int,
) -> torch.Tensor:
    """The sum of weights, or of weighted values, per ray."""
    source = weights[:, None] if values is None else weights[:, None] * values
    out = source.new_zeros(n_rays, source.shape[-1])
    return out.index_add(0, ray_indices, source)


nerfacc = types.ModuleType("nerfacc")
vars(nerfacc).update(
    render_weight_from_alpha=weights_from_alpha, accumulate_along_rays=sum_along_rays
)
sys.modules["nerfacc"] = nerfacc

from gsplat.cuda import _torch_impl as gsplat  # noqa: E402


class Peer:
    """Renders one view; `names` order the parameters that receive gradients."""

    names = ("means", "quats", "log_scales", "logit_opacities", "sh", "pose")

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        intrinsics: np.ndarray,
        size: tuple[int, int],
    ) -> None:
        self.leaves = {
            k: torch.tensor(arrays[k], requires_grad=True) for k in self.names
        }
        self.intrinsics = torch.tensor(intrinsics)
        self.width, self.height = size
        self.unsure = np.zeros(self.width * self.height, bool)
        """Pixels where an alpha or the light lies within MARGIN of a threshold."""
        with torch.no_grad():
            self.pairs = self._pairs()

    def render(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Color (h w 3) and alpha (h w)."""
        means2d, conics, opacities, colors, _, _ = self._project()
        gaussians, pixels = self.pairs
        views = torch.zeros_like(gaussians)
        color, alpha = gsplat.accumulate(
            *(means2d, conics, opacities, colors),
            *(gaussians, pixels, views, self.width, self.height),
        )
        return color[0], alpha[0, ..., 0]

    def run(
        self, d_color: torch.Tensor, d_alpha: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Forward and backward under the given cotangents."""
        for leaf in self.leaves.values():
            leaf.grad = None
        color, alpha = self.render()
        ((color * d_color).sum() + (alpha * d_alpha).sum()).backward()
        grads = [leaf.grad for leaf in self.leaves.values() if leaf.grad is not None]
        return color.detach(), grads

    def _project(self) -> tuple[torch.Tensor, ...]:
        x = self.leaves
        scales, opacities = torch.exp(x["log_scales"]), x["logit_opacities"].sigmoid()
        covariances, _ = gsplat._quat_scale_to_covar_preci(
            torch.nn.functional.normalize(x["quats"], dim=-1), scales, True, False
        )
        assert covariances is not None
        radii, means2d, depths, conics, _ = gsplat._fully_fused_projection(
            *(x["means"], covariances, x["pose"][None], self.intrinsics[None]),
            *(self.width, self.height),
        )
        center = torch.linalg.inv(x["pose"])[:3, 3]
        colors = gsplat._spherical_harmonics(3, x["means"] - center, x["sh"])
        colors = torch.clamp_min(colors + 0.5, 0)
        return means2d, conics, opacities[None], colors[None], depths, radii

    def _pairs(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Every blended (gaussian, pixel), sorted by pixel, then depth."""
        arrays = [x[0].double().numpy() for x in self._project()]
        means, conics, opacities, _, depths, radii = arrays
        drawn = np.flatnonzero((radii > 0).all(-1) & (opacities >= 1 / 255))
        drawn = drawn[np.argsort(depths[drawn], kind="stable")]
        parts = [
            self._chunk(drawn[i : i + CHUNK], means, conics, opacities, radii)
            for i in range(0, len(drawn), CHUNK)
        ]
        gaussian, pixel, passed = (np.concatenate(p) for p in zip(*parts, strict=True))
        order = np.argsort(pixel, kind="stable")
        gaussian, pixel = gaussian[order], pixel[order]
        total = np.cumsum(passed[order])
        first = np.searchsorted(pixel, pixel)
        light = total - (total - passed[order])[first]
        self.unsure[pixel[np.abs(np.exp(light) - LIGHT_MIN) < MARGIN]] = True
        kept = light > np.log(LIGHT_MIN)
        return torch.from_numpy(gaussian[kept]), torch.from_numpy(pixel[kept])

    def _chunk(
        self,
        index: np.ndarray,
        means: np.ndarray,
        conics: np.ndarray,
        opacities: np.ndarray,
        radii: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(gaussian, pixel, log(1 - alpha)) where alpha >= 1/255."""
        limit = np.asarray([self.width, self.height])
        low = np.clip(np.floor(means[index] - radii[index]), 0, limit).astype(np.int64)
        high = np.clip(np.ceil(means[index] + radii[index]), 0, limit).astype(np.int64)
        wide, count = (high - low)[:, 0], np.prod(high - low, axis=1)
        owner = np.repeat(np.arange(len(index)), count)
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        x = low[owner, 0] + within % wide[owner]
        y = low[owner, 1] + within // wide[owner]
        g = index[owner]
        dx, dy = x + 0.5 - means[g, 0], y + 0.5 - means[g, 1]
        a, b, c = conics[g].T
        sigma = (a * dx * dx + c * dy * dy) / 2 + b * dx * dy
        alpha = opacities[g] * np.exp(-sigma)
        near = np.min([np.abs(alpha - edge) for edge in THRESHOLDS], axis=0) < MARGIN
        self.unsure[(y * self.width + x)[near]] = True
        hit = (alpha >= 1 / 255) & (sigma >= 0)
        passed = np.log1p(-np.minimum(alpha[hit], 0.999))
        return g[hit], (y * self.width + x)[hit], passed
