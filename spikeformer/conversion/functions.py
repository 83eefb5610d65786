"""What torch functions are to a stream of rates.

A function that is linear in its stream, or a step in moving it about, works on rates as it is. One
that is not is applied to the rate so far, which is what expectation-compensated neurons compute
(ECMT, MM 2024): `y_t = f(r_t)`. Products have neurons in front of them; `interception` does those.
"""

from __future__ import annotations

LINEAR = frozenset(
    """
    add __add__ __radd__ __iadd__ add_ sub __sub__ __rsub__ __isub__ sub_ rsub neg __neg__ negative
    subtract mul __mul__ __rmul__ __imul__ mul_ multiply div __truediv__ __itruediv__ div_
    divide true_divide mean sum cumsum nanmean
    view reshape view_as reshape_as flatten unflatten permute transpose transpose_ swapaxes
    swapdims moveaxis movedim t mT squeeze unsqueeze expand expand_as repeat repeat_interleave
    tile broadcast_to broadcast_tensors contiguous clone detach detach_ alias to type_as type float
    double half bfloat16 cpu cuda requires_grad_ narrow select __getitem__ index_select gather take
    take_along_dim split split_with_sizes chunk tensor_split unbind cat concat concatenate stack
    hstack vstack dstack roll flip rot90 as_strided unfold fold diagonal tril triu pad dropout
    dropout1d dropout2d dropout3d feature_dropout alpha_dropout feature_alpha_dropout
    avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
    interpolate upsample pixel_shuffle pixel_unshuffle grid_sample embedding embedding_bag zeros_like
    ones_like empty_like full_like new_zeros new_ones new_empty new_full new_tensor rand_like
    randn_like masked_fill masked_fill_ where masked_select lerp einops rearrange identity
    scatter scatter_add index_add index_put index_copy copy_ __setitem__ fill_ zero_
    """.split()
)
"""Names of functions that are linear in an activation, or only move it."""

NONLINEAR = frozenset(
    """
    layer_norm native_layer_norm batch_norm group_norm instance_norm rms_norm local_response_norm
    normalize softmax log_softmax softmin gumbel_softmax logsumexp
    gelu relu relu_ relu6 leaky_relu leaky_relu_ elu elu_ selu celu silu mish hardswish hardsigmoid
    hardtanh sigmoid sigmoid_ logsigmoid tanh tanh_ softplus softsign tanhshrink softshrink
    hardshrink prelu rrelu threshold glu erf erfc exp exp_ expm1 log log1p log2 sqrt rsqrt square
    pow __pow__ __rpow__ pow_ reciprocal abs __abs__ absolute sign sin cos tan atan atan2 asinh
    clamp clamp_ clip clip_ minimum maximum fmin fmax amax amin max min argmax argmin topk sort
    argsort median quantile cummax cummin norm vector_norm std var std_mean var_mean prod cumprod
    logcumsumexp round floor ceil trunc fmod remainder max_pool1d max_pool2d max_pool3d
    max_pool1d_with_indices max_pool2d_with_indices adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool1d_with_indices adaptive_max_pool2d_with_indices lp_pool1d lp_pool2d
    boolean_dispatch fn nan_to_num one_hot cross_entropy nll_loss mse_loss l1_loss smooth_l1_loss
    binary_cross_entropy binary_cross_entropy_with_logits cosine_similarity pairwise_distance
    addcmul addcdiv
    """.split()
)
"""Names of functions that stay in floating point, on the rate so far."""

QUESTIONS = frozenset(
    """
    __get__ __set__ __len__ __bool__ __hash__ __repr__ __format__ dim ndimension size numel nelement
    stride is_contiguous is_floating_point is_complex is_tensor element_size get_device data_ptr
    storage_offset device dtype shape untyped_storage is_nonzero item tolist numpy
    eq ne lt le gt ge __eq__ __ne__ __lt__ __le__ __gt__ __ge__ isnan isinf isfinite all any equal
    allclose isclose logical_not logical_and logical_or logical_xor __and__ __or__ __invert__ long
    int bool unique nonzero count_nonzero __contains__ is_same_size has_names register_hook
    """.split()
)
"""Names of functions that ask something of a tensor; their answers carry no activation."""

REMEDIES = {
    "lstm": "Recurrent layers keep a state between tokens: use attention instead",
    "gru": "Recurrent layers keep a state between tokens: use attention instead",
    "rnn_tanh": "Recurrent layers keep a state between tokens: use attention instead",
    "rnn_relu": "Recurrent layers keep a state between tokens: use attention instead",
    "bilinear": "Write it as two nn.Linear layers and their product",
}
"""What to use instead of some functions without a spiking form."""
