from __future__ import annotations

import torch
import torch.nn.functional as F

from spikeformer.instrument import FunctionStream, OperationStream

aten = torch.ops.aten


def test_function_stream_sees_functions_as_they_are_called():
    seen = []

    def handle(function, args, kwargs):
        seen.append((function, kwargs))
        return function(*args, **kwargs)

    x, weight = torch.rand(2, 3), torch.rand(4, 3)
    with FunctionStream(handle):
        y = F.linear(x, weight).softmax(dim=-1)
    assert [function for function, _ in seen] == [F.linear, torch.Tensor.softmax]
    assert seen[1][1] == {"dim": -1}
    torch.testing.assert_close(y, (x @ weight.T).softmax(-1))


def test_function_stream_may_put_something_else_in_place():
    x = torch.rand(2)
    with FunctionStream(lambda function, args, kwargs: "instead"):
        assert x.sum() == "instead"


def test_operation_stream_tells_of_wanted_operations_alone():
    seen = []
    a, b = torch.rand(2, 3), torch.rand(3, 2)
    with OperationStream({aten.mm}, lambda *call: seen.append(call)):
        out = (a @ b).relu()
    ((operation, args, result),) = seen
    assert operation is aten.mm
    assert torch.equal(args[0], a)
    assert torch.equal(result.relu(), out)


def test_operation_stream_tells_of_others_and_of_what_is_written():
    others, writes = [], []
    x = torch.rand(2, 3)
    stream = OperationStream(
        {aten.mm},
        lambda *call: None,
        lambda operation, seconds: others.append((operation, seconds >= 0)),
        ignored=lambda operation: operation is aten.relu.default,
        written=lambda: writes.append(len(others)),
    )
    for _ in range(2):
        with stream:
            (x @ x.t()).relu().sum()
            x.add_(1)
            torch.mul(x, 2, out=x)
    said = [aten.t.default, aten.sum.default, aten.add_.Tensor, aten.mul.out]
    assert others == [(operation, True) for operation in said] * 2
    assert writes == [3, 4, 7, 8]


def test_operation_stream_sees_inside_composites_in_inference_mode():
    seen = []
    x, weight, bias = torch.rand(2, 3), torch.rand(4, 3), torch.rand(4)
    with torch.inference_mode(), OperationStream({aten.addmm}, lambda *call: seen.append(call[0])):
        F.linear(x, weight, bias)
    assert seen == [aten.addmm]


def test_operation_stream_hides_what_the_observer_does_from_autograd():
    x = torch.rand(2, 2, requires_grad=True)
    sums = []
    with OperationStream({aten.mm}, lambda operation, args, out: sums.append(out.sum())):
        y = x @ x
    assert y.requires_grad
    assert not sums[0].requires_grad
