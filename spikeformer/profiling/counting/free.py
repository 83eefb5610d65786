"""Operations that are not counted because they multiply nothing by a weight or by each other.

They move, compare, choose and reduce values, or treat each by itself; by convention no energy model
prices them. Whatever is neither here nor counted is named as left out.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

_MOVE = """
    alias cat clone col2im constant_pad_nd copy_ detach dequantize embedding_renorm_ expand flip
    gather im2col index index_add index_add_ index_copy index_copy_ index_fill index_fill_
    index_put index_put_ index_select lift lift_fresh masked_scatter masked_scatter_ masked_select
    narrow_copy one_hot permute_copy pixel_shuffle pixel_unshuffle put put_ quantize_per_channel
    quantize_per_tensor quantize_per_tensor_dynamic reflection_pad1d reflection_pad2d
    reflection_pad3d repeat repeat_interleave replication_pad1d replication_pad2d
    replication_pad3d resize_ roll rot90 scatter scatter_ scatter_add scatter_add_ scatter_reduce
    scatter_reduce_ select_scatter set_ slice_scatter split_copy split_with_sizes_copy squeeze_
    stack t_ take to_sparse transpose_ tril tril_ triu triu_ unsafe_split
    unsafe_split_with_sizes unsqueeze_ upsample_nearest1d upsample_nearest2d upsample_nearest3d
    view_copy _local_scalar_dense _reshape_alias _reshape_copy _to_copy _to_sparse _unsafe_index
    _unsafe_index_put _unsafe_view channel_shuffle
"""
_MAKE = """
    arange bernoulli bernoulli_ empty empty_like empty_permuted empty_strided exponential_ eye
    fill fill_ full full_like geometric_ linspace log_normal_ logspace multinomial new_empty
    new_empty_strided new_full new_ones new_zeros normal normal_ ones ones_like rand rand_like
    randint randint_like randn randn_like random random_ randperm scalar_tensor uniform uniform_
    zero zero_ zeros zeros_like native_dropout _efficientzerotensor
"""
_REDUCE = """
    all amax amin aminmax any argmax argmin argsort bincount count_nonzero cummax cummin cumprod
    cumsum cumsum_ equal histc kthvalue linalg_vector_norm logcumsumexp logsumexp max mean median
    min mode nanmedian nansum nonzero norm prod searchsorted sort std std_mean sum topk unique_dim
    var var_mean _unique2
    adaptive_avg_pool2d adaptive_max_pool2d adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d
    fractional_max_pool2d max_pool1d max_pool2d_with_indices max_pool3d_with_indices
    max_unpool2d mkldnn_max_pool2d _adaptive_avg_pool2d _adaptive_avg_pool3d
    binary_cross_entropy huber_loss mse_loss multi_margin_loss multilabel_margin_loss_forward
    nll_loss2d_forward nll_loss_forward smooth_l1_loss soft_margin_loss
"""
_EACH_BY_ITSELF = """
    elu glu hardshrink hardsigmoid hardsigmoid_ hardswish hardswish_ hardtanh hardtanh_ leaky_relu
    log_sigmoid_forward rrelu_with_noise softplus softshrink threshold _prelu_kernel
    _thnn_fused_gru_cell _thnn_fused_lstm_cell
"""
_NAMES = frozenset(" ".join((_MOVE, _MAKE, _REDUCE, _EACH_BY_ITSELF)).split())
_OURS = frozenset(["spike_encode", "spike_pack", "spike_unpack"])


@cache
def is_free(operation: Any) -> bool:
    """Return whether an operation, such as `torch.ops.aten.add.Tensor`, is none of the counted.

    Example:
        >>> is_free(torch.ops.aten.add.Tensor), is_free(torch.ops.aten.mm.default)
        (True, False)
    """
    if torch.Tag.pointwise in operation.tags or getattr(operation, "is_view", False):
        return True
    namespace, _, name = operation.name().partition("::")
    name = name.partition(".")[0]
    return name in {"aten": _NAMES, "prim": {"device"}, "spikeformer": _OURS}.get(namespace, ())
