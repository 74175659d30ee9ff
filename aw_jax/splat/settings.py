"""How to render: the choices in which splatting programs differ."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class RenderSettings:
    """Static choices of a render; the defaults are gsplat's."""

    near: float = 0.01
    """Gaussians whose centre has z <= near are not drawn (world units)."""
    far: float = 1e10
    """Nor are those with z > far."""
    low_pass: float = 0.3
    """Added to both variances on screen (pixels squared); 0 lets splats alias."""
    antialiased: bool = False
    """Dim a splat by as much as the low-pass filter widened it (Mip-Splatting)."""
    max_alpha: float = 0.99
    """Upper clamp of one splat's alpha; gsplat 1.5.3 has 0.999 here."""
    sh_degree: int | None = None
    """Use only harmonics up to this degree; None: all that the splat stores."""
    depth: Literal["expected", "accumulated"] = "expected"
    """Mean z of what is seen, or the sum of weights times z."""
    backend: Literal["auto", "native", "xla", "pallas"] = "auto"
    """Compositing kernel. Auto: native on a CPU that has it, else XLA's.

    Pallas' is meant for GPUs and has never run on one; a CPU interprets it, slowly.
    """
    capacity: int | None = None
    """XLA and Pallas: splat-tile pairs sorted at once; more take more passes."""
