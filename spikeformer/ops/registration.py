"""Makes operators of torch, so that autograd, `torch.compile` and `torch.export` know an op.

Ops with LIF neurons inside agree on their schemas: tensors of their own come first, then `STATE`,
then `NEURON`, then options of their own. They return spikes, final membrane and final adaptation,
which is empty if there is none, and then what else there is. Their backward takes such arguments
again, and `GRADIENTS` after them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._library.custom_ops import CustomOpDef

from spikeformer.ops.memory import empty_like

STATE = "Tensor? membrane, Tensor? adaptation"
NEURON = (
    "Tensor? parameters, float[] numbers, str reset, bool detach_reset, str surrogate, "
    "float slope, int max_spikes, str backend"
)
GRADIENTS = "Tensor grad_spikes, Tensor? grad_membrane, Tensor? grad_adaptation"

Arguments = tuple[Any, ...]


def define(
    name: str, schema: str, compute: Callable[..., Any], fake: Callable[..., Any]
) -> CustomOpDef:
    """Define the operator `spikeformer::name`.

    Args:
        name: Name of the operator.
        schema: Its arguments and results, as in "(Tensor x, int n) -> Tensor".
        compute: What it does.
        fake: Returns results of the same shapes, dtypes and strides, without values.
    """
    operator = torch.library.custom_op(
        f"spikeformer::{name}", compute, mutates_args=(), schema=schema
    )
    operator.register_fake(fake)
    return operator


def differentiate(
    operator: CustomOpDef,
    backward: CustomOpDef,
    *,
    keep: Callable[[Arguments, Arguments], Arguments],
    tensors: int,
    learned: Sequence[int],
) -> Callable[..., Any]:
    """Let `backward` compute the gradients of an operator with LIF neurons.

    The way through torch's dispatcher to a function in Python takes longer than the smallest
    kernels, so what both compute is called straight where nobody would see the difference.

    Args:
        operator: The operator.
        backward: Takes what was kept, then `GRADIENTS`; returns a gradient for each of `learned`.
        keep: Picks what backward needs from the inputs and outputs of `operator`.
        tensors: How much of it is tensors; the last three are the state and the parameters.
        learned: Positions of the inputs with a gradient, the same among the tensors that are kept,
            where None says that this call has none.

    Returns:
        The operator as the op calls it.
    """
    straight, straight_back = operator._init_fn, backward._init_fn

    def setup_context(ctx: Any, inputs: Arguments, output: Arguments) -> None:
        kept = keep(inputs, output)
        ctx.save_for_backward(*kept[:tensors])
        ctx.options, ctx.num_inputs = kept[tensors:], len(inputs)
        ctx.spikes_like = output[0].new_empty(0), output[0].shape
        ctx.set_materialize_grads(False)

    def run_backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        kept = ctx.saved_tensors
        grad_spikes, grad_membrane, grad_adaptation = grads[:3]
        if grad_spikes is None:
            empty, shape = ctx.spikes_like
            grad_spikes = empty.new_zeros(()).expand(shape)
        if kept[tensors - 2] is None:
            grad_adaptation = None
        arguments = (*kept, *ctx.options, grad_spikes, grad_membrane, grad_adaptation)
        # With gradients on, autograd is to hear that this has no derivative of its own.
        seen = torch.is_grad_enabled() or _seen(arguments)
        results = backward(*arguments) if seen else straight_back(*arguments)
        gradients: list[Tensor | None] = [None] * ctx.num_inputs
        for position, result in zip(learned, results, strict=True):
            gradients[position] = None if kept[position] is None else result
        return tuple(gradients)

    operator.register_autograd(run_backward, setup_context=setup_context)

    class Straight(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            output = straight(*inputs)
            setup_context(ctx, inputs, output)
            return output

        backward = staticmethod(run_backward)

    def run(*inputs: Any) -> Any:
        if _seen(inputs):
            return operator(*inputs)
        trained = torch.is_grad_enabled() and torch._C._any_requires_grad(*inputs)
        if not trained:
            return straight(*inputs)
        return Straight.apply(*inputs)  # type: ignore[no-untyped-call]

    return run


def _seen(arguments: Arguments) -> bool:
    """Whether a profiler, or anybody of `watched`, wants the operator."""
    # `watched` first: it ends at once where a compiler is at work, which knows no profiler.
    return watched(arguments) or torch._C._autograd._profiler_enabled()


def watched(arguments: Arguments) -> bool:
    """Whether a compiler, transform or mode, or a kind of tensor, follows every operation."""
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._len_torch_function_stack() > 0
        or any(
            isinstance(x, Tensor) and type(x) not in (Tensor, torch.nn.Parameter) for x in arguments
        )
    )


def float32_like(near: Tensor, *tensors: Tensor | None) -> tuple[Tensor, ...]:
    """Uninitialised float32 in the shape of each tensor, empty where it is None."""
    shapes = ((0,) if tensor is None else tensor.shape for tensor in tensors)
    return tuple(empty_like(near, shape, torch.float32) for shape in shapes)


def autocast(*tensors: Tensor | None) -> tuple[Any, ...]:
    """Cast tensors as autocast does, where it is on for the device of the first."""
    first = tensors[0]
    assert first is not None
    device = first.device.type
    if not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(None if tensor is None else tensor.to(dtype) for tensor in tensors)
