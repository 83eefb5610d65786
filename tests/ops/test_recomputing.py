"""Recipes in the place of what autograd keeps."""

from __future__ import annotations

import torch
from torch.autograd.graph import saved_tensors_hooks

from spikeformer.ops.recomputing import (
    Recipe,
    added,
    keeping_recipe,
    keeping_recipes,
    kept,
    recipe_of,
    viewed,
    with_recipe,
)


def test_autograd_keeps_the_recipe_of_a_tensor_and_its_views():
    x = torch.rand(3, 4, requires_grad=True)
    seen, asked = [], []

    def again():
        asked.append(1)
        return x.detach() * 2

    with saved_tensors_hooks(lambda t: seen.append(t) or t, lambda t: t):
        doubled = with_recipe(x * 2, Recipe(again))
        seen.clear()
        with keeping_recipe(doubled):
            total = (doubled.t()[1:].square() * 3).sum() + doubled.exp().sum()
    # Squares keep their input, which has a recipe, and `exp` its output, which has none.
    assert [tuple(t.shape) for t in seen] == [(3, 4)]
    total.backward()
    expected = (2 * x).exp() * 2
    expected[:, 1:] += (2 * x * 12)[:, 1:]
    torch.testing.assert_close(x.grad, expected)
    assert len(asked) == 1


def test_a_change_in_place_makes_a_recipe_void():
    x = with_recipe(torch.ones(2), Recipe(lambda: torch.ones(2)))
    assert recipe_of(viewed(x, lambda y: y.view(2, 1)))().shape == (2, 1)
    x.add_(1)
    assert recipe_of(x) is None


def test_what_recipes_keep_goes_through_the_hooks_there_are():
    with saved_tensors_hooks(lambda t: t.numpy(), torch.from_numpy):
        back = kept(torch.arange(3))
        with keeping_recipes(lambda t: None):
            y = torch.rand(2, requires_grad=True).exp()
    assert back().tolist() == [0, 1, 2]
    y.sum().backward()


def test_a_chain_computes_each_sum_at_most_twice_and_forgets_all():
    calls, totals = [0] * 16, [torch.zeros(1)]
    for i in range(16):

        def branch(i=i):
            calls[i] += 1
            return torch.full((1,), float(i))

        totals.append(added(totals[-1], with_recipe(branch(), Recipe(branch))))
    calls[:] = [0] * 16
    recipes = [recipe_of(total) for total in totals[1:]]
    most = 0
    for recipe, total in zip(reversed(recipes), reversed(totals), strict=False):
        assert torch.equal(recipe.before_source(), total)
        most = max(most, sum(one.value is not None for one in recipes))
    assert max(calls) <= 2
    assert most <= 6
    assert all(one.value is None for one in recipes)
