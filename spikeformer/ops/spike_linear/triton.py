"""The linear map of spikes in Triton: a matrix product that skips tiles without a spike.

A program computes one tile of the output. It tests each tile of spikes on the way and neither
loads nor multiplies the weights that none of them would add. Annotations are compiled too: Triton
accepts its own types alone.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from spikeformer.ops.triton_shared import INTERPRETED, autotune

_CONFIGS = [
    triton.Config({"rows_block": 32, "outputs_block": 64, "inputs_block": 32}, num_warps=4),
    triton.Config({"rows_block": 16, "outputs_block": 128, "inputs_block": 32}, num_warps=4),
    triton.Config({"rows_block": 64, "outputs_block": 128, "inputs_block": 32}, num_warps=8),
]


@autotune(_CONFIGS, key=["inputs", "outputs"])
@triton.jit
def _kernel(
    spikes: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    out: tl.tensor,
    rows: tl.tensor,
    inputs: tl.tensor,
    outputs: tl.tensor,
    interpreted: tl.constexpr,
    rows_block: tl.constexpr,
    outputs_block: tl.constexpr,
    inputs_block: tl.constexpr,
) -> None:
    r = tl.program_id(0).to(tl.int64) * rows_block + tl.arange(0, rows_block)[:, None]
    o = tl.program_id(1).to(tl.int64) * outputs_block + tl.arange(0, outputs_block)[None, :]
    sums = tl.zeros((rows_block, outputs_block), tl.float32)
    if bias is not None:
        sums += tl.load(bias + o, mask=o < outputs, other=0).to(tl.float32)
    for begin in range(0, inputs, inputs_block):
        i = begin + tl.arange(0, inputs_block)
        in_spikes = (r < rows) & (i[None, :] < inputs)
        x = tl.load(spikes + r * inputs + i[None, :], mask=in_spikes, other=0)
        if tl.max((x != 0).to(tl.int32)) > 0:
            in_weight = (i[:, None] < inputs) & (o < outputs)
            w = tl.load(weight + o * inputs + i[:, None], mask=in_weight, other=0)
            if interpreted:  # by NumPy, which has no product of bfloat16
                x, w = x.to(tl.float32), w.to(tl.float32)
            sums = tl.dot(x, w, sums, input_precision="ieee")
    in_out = (r < rows) & (o < outputs)
    tl.store(out + r * outputs + o, sums.to(out.dtype.element_ty), mask=in_out)


def forward(spikes: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Outputs, (rows, outputs), of spikes (rows, inputs) and weight (outputs, inputs)."""
    spikes, weight = spikes.contiguous(), weight.contiguous()
    (rows, inputs), outputs = spikes.shape, weight.shape[0]
    out = spikes.new_empty(rows, outputs)

    def grid(meta: dict[str, int]) -> tuple[int, int]:
        return triton.cdiv(rows, meta["rows_block"]), triton.cdiv(outputs, meta["outputs_block"])

    if out.numel():
        bias = None if bias is None else bias.contiguous()
        with torch.cuda.device_of(spikes):  # type: ignore[no-untyped-call]
            _kernel[grid](spikes, weight, bias, out, rows, inputs, outputs, INTERPRETED)
    return out
