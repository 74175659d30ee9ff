"""Dense layers with float32 or bfloat16 storage and a separate compute type."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from aw_jax.core.arrays import Array, Float


@dataclasses.dataclass(frozen=True)
class Types:
    """What parameters are stored as, and what products are computed in."""

    params: str = "float32"
    compute: str = "float32"


FLOAT32 = Types()


class Linear(nnx.Module):
    """`x @ kernel + bias`, the kernel stored as `[inputs, outputs]`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        rngs: nnx.Rngs,
        types: Types = FLOAT32,
        kernel_init: jax.nn.initializers.Initializer | None = None,
    ) -> None:
        """Xavier-uniform kernel unless `kernel_init` says otherwise; bias zero."""
        init = kernel_init or jax.nn.initializers.xavier_uniform()
        key = rngs.params()
        self.kernel = nnx.Param(init(key, (inputs, outputs), jnp.dtype(types.params)))
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.dtype(types.params)))
        self.dtype = types.compute

    def __call__(self, x: Float[Array, "*b i"]) -> Float[Array, "*b o"]:
        """The affine image of `x`, computed and returned in `dtype`."""
        dtype = jnp.dtype(self.dtype)
        kernel, bias = self.kernel[...].astype(dtype), self.bias[...].astype(dtype)
        return x.astype(dtype) @ kernel + bias
