"""Tensors that backward computes again, from the bits of spikes.

Autograd keeps what backward needs: of a network's currents, a float of every neuron and timestep.
The bits of the spikes that made them are kept too, for the gradients of weights, and bring them
back. So a layer may leave a *recipe* with the tensor that it returns, a function that computes it
again, and whatever autograd is about to keep of that tensor is replaced by the recipe:

    current = with_recipe(product(spikes), Recipe(lambda: product(unpacked(bits))))
    with keeping_recipe(current):
        fired, _ = lif(current, ...)          # which keeps its input

Recipes run without gradients, under the autocast that there was. They have to compute the same
values in the same layout, and hold on to nothing that is as large as what they bring back.

Source: Chen et al. 2016, arXiv:1604.06174; what to remember of a chain: Griewank & Walther 2000,
doi:10.1145/347837.347846.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from spikeformer.ops.registration import watched


class Recipe:
    """How to compute a tensor again.

    Args:
        compute: Returns the tensor.
        source: Recipe of what backward asks for after this one, if it is computed on the way: of
            the input of the norm that made this.
    """

    def __init__(self, compute: Callable[[], Tensor], source: Recipe | None = None) -> None:
        self._compute = compute
        self.source = source
        self.value: Tensor | None = None
        """The tensor, if it was computed on the way to another one."""

    def __call__(self) -> Tensor:
        """Return the tensor, and forget it."""
        value, self.value = self.value, None
        return self.compute() if value is None else value

    def compute(self) -> Tensor:
        """Compute the tensor."""
        return self._compute()

    def before_source(self) -> Tensor:
        """Return the tensor, and remember the source if that was computed."""
        if self.source is None or self.value is not None:
            return self()
        source = self.source.value = self.source()
        x = self()
        self.source.value = source
        return x


class _Sum(Recipe):
    """The recipe of a view of a sum, in a chain of them: a residual stream.

    Backward asks for the last one first. On the way there up to three are remembered until they are
    asked for themselves, so that in a chain of up to 16 none is computed more than twice.
    """

    def __init__(self, before: Recipe, branch: Recipe, view: Callable[[Tensor], Tensor]) -> None:
        super().__init__(branch, branch.source)
        self.before, self.branch, self.view = before, branch, view

    def compute(self) -> Tensor:
        """Compute the sum, from the last one that is remembered."""
        steps, start = [self], self.before
        while isinstance(start, _Sum) and start.value is None:
            steps.append(start)
            start = start.before
        x = start() if start.value is None else start.value
        spacing = -(-len(steps) // (_REMEMBERED + 1))
        for left in reversed(range(len(steps))):
            x = steps[left].view(x + steps[left].branch())
            if left and left % spacing == 0:
                steps[left].value = x
        return x


_REMEMBERED = 3
_Left = tuple[Recipe, int]
"""A recipe, and the version of the tensor with which it was left."""


def may_recompute(*tensors: Tensor) -> bool:
    """Whether there will be a backward, and nobody follows what is computed."""
    return torch.is_grad_enabled() and not watched(tensors)


def with_recipe(x: Tensor, recipe: Recipe) -> Tensor:
    """Return `x`, leaving a recipe with it."""
    vars(x)["recipe"] = recipe, x._version
    return x


def recipe_of(x: Tensor) -> Recipe | None:
    """Return the recipe left with `x`; None if there is none, or `x` was changed in place."""
    if torch.compiler.is_compiling():
        return None
    left: _Left | None = vars(x).get("recipe")
    return None if left is None or left[1] != x._version else left[0]


def without_recipe(x: Tensor) -> Tensor:
    """Return `x`, of which autograd is to keep the values."""
    if not torch.compiler.is_compiling():
        vars(x).pop("recipe", None)
    return x


def viewed(x: Tensor, view: Callable[[Tensor], Tensor]) -> Tensor:
    """Return `view(x)`, with a recipe where `x` has one."""
    y, recipe = view(x), recipe_of(x)
    if recipe is None:
        return y
    if isinstance(recipe, _Sum):
        before, branch, inner = recipe.before, recipe.branch, recipe.view
        return with_recipe(y, _Sum(before, branch, lambda total: view(inner(total))))
    return with_recipe(y, Recipe(lambda: view(recipe()), recipe.source))


def added(x: Tensor, branch: Tensor) -> Tensor:
    """Return `x + branch`, with a recipe where `branch` has one."""
    total, recipe = x + branch, recipe_of(branch)
    if recipe is None or total.shape != x.shape:
        return total
    before = recipe_of(x)
    if before is None:
        before = Recipe(kept(x.detach()))
    return with_recipe(total, _Sum(before, recipe, lambda x: x))


def keeping_recipe(x: Tensor) -> AbstractContextManager[None]:
    """Let autograd keep, within, the recipe of `x` in the place of `x` and its views."""
    recipe = recipe_of(x)
    if recipe is None or not x.numel() or x.storage_offset() or not may_recompute(x):
        return nullcontext()
    place, shape, stride = x.untyped_storage().data_ptr(), x.shape, x.stride()
    device = x.device.type
    autocast = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)

    def again(*view: Any) -> Tensor:
        enabled, dtype = autocast
        with torch.no_grad(), torch.autocast(device, dtype, enabled):
            found = recipe.before_source()
            if found.stride() != stride or found.storage_offset():
                found = found.new_empty_strided(shape, stride).copy_(found)
        return found.as_strided(*view)

    def find(saved: Tensor) -> Callable[[], Tensor] | None:
        if saved.untyped_storage().data_ptr() != place:
            return None
        view = saved.shape, saved.stride(), saved.storage_offset()
        return lambda: again(*view)

    return keeping_recipes(find)


def keeping_recipes(
    find: Callable[[Tensor], Callable[[], Tensor] | None],
) -> AbstractContextManager[None]:
    """Let autograd keep, within, the recipes that `find` returns in the place of tensors.

    What has none goes to the hooks that there were before, as that of a counter of memory. Autograd
    holds on to `find` as well.
    """
    before: Any = torch._C._autograd._top_saved_tensors_default_hooks(False)

    def pack(x: Tensor) -> Any:
        recipe = find(x)
        if recipe is not None:
            return True, recipe
        return False, x if before is None else before[0](x)

    def unpack(kept: tuple[bool, Any]) -> Tensor:
        is_recipe, what = kept
        x: Tensor = what() if is_recipe else what if before is None else before[1](what)
        return x

    return saved_tensors_hooks(pack, unpack)


def kept(x: Tensor) -> Callable[[], Tensor]:
    """Return what brings back a tensor that a recipe needs, kept as autograd would keep it."""
    hooks: Any = torch._C._autograd._top_saved_tensors_default_hooks(False)
    if hooks is None:
        return lambda: x
    pack, unpack = hooks
    packed = pack(x)
    return lambda: unpack(packed)
