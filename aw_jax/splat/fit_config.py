"""The numbers of a fit; the defaults are those of 3D Gaussian Splatting.

Everything that depends on the step is a `Schedule`, written for a fit of 30,000 steps
and shrunk to the fit at hand, so that `FitConfig(steps=2000)` is a whole small fit and
not the beginning of a large one.
"""

import dataclasses
import functools
from typing import ClassVar

from aw_jax.splat.rasterize import RenderSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearningRates:
    """Step sizes of Adam, one per group of parameters."""

    means: float = 1.6e-4
    """In units of the scene's scale, for a fit of the schedule's length."""
    means_decay: float = 0.01
    """What is left of it at the last step, after exponential decay."""
    log_scales: float = 5e-3
    quats: float = 1e-3
    logit_opacities: float = 5e-2
    sh_constant: float = 2.5e-3
    """For the constant harmonic, the mean color."""
    sh_rest: float = 2.5e-3 / 20
    """For the harmonics that depend on direction."""
    exposures: float = 1e-2
    """For the colors of a photo, where `FitConfig.correct_exposures`."""
    exposures_decay: float = 0.1
    """What is left of it at the last step."""
    poses: float = 1e-5
    """Radians, and shares of the scene's scale, where `FitConfig.correct_poses`."""
    poses_decay: float = 0.01
    """What is left of it at the last step."""
    poses_weight_decay: float = 1e-6
    """Times the motion, added to its gradient: pulls back what photos do not ask."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """L = l1 |x - y| + ssim (1 - SSIM(x, y)), of a render and of a restored frame."""

    l1: float = 0.8
    ssim: float = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class DensifyConfig:
    """Adaptive density control: where Gaussians are added, and which are removed."""

    word: ClassVar[str] = "adc"
    """Chooses it on a command line, as in `--config.fit.densify=adc`."""
    gradient: float = 2e-4
    """Grow where the mean |dL/dmean| on screen exceeds this (an image is 2 wide)."""
    split_scale: float = 0.01
    """Split what is longer than this, clone the rest (of the scene's scale)."""
    split_shrink: float = 1.6
    """The two halves of a split are this much smaller."""
    prune_opacity: float = 0.005
    """Remove what is more transparent."""
    prune_scale: float = 0.1
    """Remove what is longer (of the scene's scale), once opacities were reset."""
    reset_opacity: float = 0.01
    """A reset lowers every opacity to at most this."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class McmcConfig:
    """Markov chain Monte Carlo: Gaussians move house, walk at random, and are taxed."""

    word: ClassVar[str] = "mcmc"
    """Chooses it on a command line, as in `--config.fit.densify=mcmc`."""
    cap: int | None = None
    """Living Gaussians at most, and never more than `FitConfig.capacity`; None: that
    many."""
    growth: float = 1.05
    """What a refinement multiplies their number by, until the cap."""
    min_opacity: float = 0.005
    """What is not above it moves onto another Gaussian."""
    noise: float = 5e5
    """Of every step's random walk, times the means' learning rate; scene units."""
    opacity_weight: float = 0.01
    """Of the mean opacity, in the loss."""
    scale_weight: float = 0.01
    """Of the mean standard deviation (of the scene's scale), in the loss."""
    stop: int = 25_000
    """Replaces `Schedule.densify_stop`, and is shrunk with it."""

    def __post_init__(self) -> None:
        if self.cap is not None and self.cap < 1:
            raise ValueError(f"McmcConfig.cap must be positive, got {self.cap}.")
        if self.growth < 1:
            raise ValueError(f"McmcConfig.growth must be 1 or more, got {self.growth}.")
        if not 0 < self.min_opacity < 1:
            raise ValueError(
                "McmcConfig.min_opacity must lie between 0 and 1, "
                f"got {self.min_opacity}."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """When what happens, counted in finished steps."""

    length: int = 30_000
    """The fit that the numbers below are meant for."""
    sh_every: int = 1000
    """Steps until the next degree of harmonics is opened."""
    densify_start: int = 500
    densify_stop: int = 15_000
    densify_every: int = 100
    reset_every: int = 3000
    """Steps between two resets of the opacities."""
    reopen: int = 3000
    """Densification is open for so long after every injection of views."""
    quiet: int = 500
    """After an injection opacities are not reset for so long, and nothing grows so
    close to the end."""

    def __post_init__(self) -> None:
        for name in ("length", "sh_every", "densify_every", "reset_every"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"Schedule.{name} must be positive, got {getattr(self, name)}."
                )

    def scaled_to(self, steps: int) -> "Schedule":
        """The schedule of a fit of `steps` steps.

        All times shrink in proportion but three. Before Gaussians are added, colors
        must be about right and several views have been seen: the start and the interval
        of densification shrink by the square root. Opacities take some 200 steps to
        come back from a reset: resets stay `RESET_FLOOR` apart.
        """
        ratio = steps / self.length
        scaled = {
            field.name: max(1, round(ratio * getattr(self, field.name)))
            for field in dataclasses.fields(self)
        }
        scaled["length"] = steps
        gentle = min(ratio, 1.0) ** 0.5
        for name in ("densify_start", "densify_every"):
            scaled[name] = max(1, round(gentle * getattr(self, name)))
        floor = min(RESET_FLOOR, self.reset_every)
        scaled["reset_every"] = max(floor, scaled["reset_every"])
        return Schedule(**scaled)

    def degree(self, step: int) -> int:
        """The highest degree of harmonics that `step` may use."""
        return step // self.sh_every

    def refines(self, done: int, injections: tuple[int, ...] = ()) -> bool:
        """Whether Gaussians are added and removed after `done` steps."""
        first = self.densify_start < done < self.densify_stop
        again = any(0 < done - start <= self.reopen for start in injections)
        early = done <= self.length - self.quiet
        return done % self.densify_every == 0 and early and (first or again)

    def resets(self, done: int, injections: tuple[int, ...] = ()) -> bool:
        """Whether opacities are reset after `done` steps; never in a reopened time."""
        quiet = any(0 <= done - start <= self.quiet for start in injections)
        due = done % self.reset_every == 0 and 0 < done < self.densify_stop
        return due and not quiet


RESET_FLOOR = 600


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitConfig:
    """One fit of a splat to images."""

    steps: int = 30_000
    """Length of the whole fit; the schedule is shrunk to it."""
    capacity: int = 100_000
    """Rows for Gaussians, dead or alive: memory and time are those of this many."""
    first_capacity: int | None = None
    """Rows to begin with; doubled, at the price of a new compile, whenever a refinement
    asks for more, up to `capacity`. None: all at once."""
    sh_degree: int = 3
    """Degree of the spherical harmonics, 0 to 3."""
    init_opacity: float = 0.1
    """Opacity of the first Gaussians."""
    init_scale: float = 1.0
    """Their standard deviation, in distances to their neighbours."""
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Color behind the splat, in [0, 1]."""
    random_background: bool = False
    """Another color every step instead: keeps a splat opaque."""
    rates: LearningRates = LearningRates()
    loss: LossConfig = LossConfig()
    schedule: Schedule = Schedule()
    densify: DensifyConfig | McmcConfig | None = DensifyConfig()
    """None: the number of Gaussians stays what it is."""
    correct_exposures: bool = False
    """Gives every photo an affine map of colors, learned with the splat. Views that are
    measured get none: where exposures differ much, that costs their figures."""
    correct_poses: bool = False
    """Lets the camera of every photo move a little, learned with the splat."""
    render: RenderSettings = RenderSettings()

    @functools.cached_property
    def timetable(self) -> Schedule:
        """The schedule shrunk to `steps`."""
        schedule = self.schedule
        if self.mcmc:
            schedule = dataclasses.replace(schedule, densify_stop=self.mcmc.stop)
        return schedule.scaled_to(self.steps)

    @property
    def mcmc(self) -> McmcConfig | None:
        """What densifies, if it is a Markov chain."""
        return self.densify if isinstance(self.densify, McmcConfig) else None

    @property
    def corrects(self) -> bool:
        """Whether anything is learned of the photos."""
        return self.correct_exposures or self.correct_poses

    def rows(self, count: int) -> int:
        """Rows for `count` Gaussians: `first_capacity` doubled until they fit."""
        rows = self.first_capacity or self.capacity
        while rows < count:
            rows *= 2
        return min(rows, self.capacity)

    def means_factor(self, step: int) -> float:
        """Factor of the means' learning rate: exponential decay over the fit.

        A short fit takes fewer steps, so its steps are longer, by the square root.
        """
        longer = max(self.schedule.length / self.steps, 1) ** 0.5
        return longer * self._left(self.rates.means_decay, step)

    def exposures_rate(self, step: int) -> float:
        """Learning rate of the exposures: exponential decay over the fit."""
        return self.rates.exposures * self._left(self.rates.exposures_decay, step)

    def poses_rate(self, step: int) -> float:
        """Learning rate of the poses, likewise."""
        return self.rates.poses * self._left(self.rates.poses_decay, step)

    def _left(self, decay: float, step: int) -> float:
        return decay ** min(step / self.steps, 1)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"FitConfig.steps must be positive, got {self.steps}.")
        if self.capacity < 1:
            raise ValueError(
                f"FitConfig.capacity must be positive, got {self.capacity}."
            )
        if self.first_capacity is not None and self.first_capacity < 1:
            raise ValueError(
                f"FitConfig.first_capacity must be positive, got {self.first_capacity}."
            )
        if self.init_scale <= 0:
            raise ValueError(
                f"FitConfig.init_scale must be positive, got {self.init_scale}."
            )
        if self.sh_degree not in range(4):
            raise ValueError(f"FitConfig.sh_degree must be 0-3, got {self.sh_degree}.")
        if not 0 < self.init_opacity < 1:
            raise ValueError(
                "FitConfig.init_opacity must lie between 0 and 1, "
                f"got {self.init_opacity}."
            )
