"""What a teacher says about a batch, and how far a student is from it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError, check_interval, check_positive
from spikeformer.instrument import ModuleWatch, Observe


class Teacher:
    """A trained network that watches a student learn; it is never trained itself.

    Args:
        network: Maps the student's inputs to logits; of a model of `transformers` the
            `logits` are read; it gets the padding mask as `attention_mask`.
        weight: Weight of the outputs.
        temperature: By which outputs are divided before the softmax.
        feature_weight: Weight of the features.
        layer: Name of the layer whose output are its features.

    Raises:
        ArgumentError: An argument is outside its range, or there is no such layer.
    """

    def __init__(
        self,
        network: nn.Module,
        weight: float = 0.5,
        *,
        temperature: float = 2.0,
        feature_weight: float = 0.0,
        layer: str | None = None,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.weight = weight
        self.temperature = check_positive("temperature", temperature)
        self.feature_weight = check_interval("feature_weight", feature_weight, 0.0, float("inf"))
        if feature_weight and layer is None:
            raise ArgumentError("teacher_layer", None, "a layer's name where feature_weight is set")
        self.layer = layer
        self._parameters = inspect.signature(network.forward).parameters
        self._watches: list[ModuleWatch] = []
        self._features: dict[str, Tensor] = {}
        self._pair: tuple[Tensor, Tensor] | None = None

    def watch(self, students: Sequence[nn.Module], layer: str, device: torch.device) -> None:
        """Run every batch that one of the `students` trains on.

        Args:
            students: Networks whose inputs and outputs to watch.
            layer: Name of the layer whose output are their features.
            device: Where they are.
        """
        self.network.to(device)
        for student in students:
            self._watch(student, "", self._compare)
            if self.feature_weight:
                self._keep_features("student", student, layer, "student_layer")
        if self.feature_weight:
            assert self.layer is not None
            self._keep_features("teacher", self.network, self.layer, "teacher_layer")

    def stop(self) -> None:
        """Leave no hooks behind."""
        while self._watches:
            self._watches.pop().close()
        self._features.clear()
        self._pair = None

    def logits_loss(self) -> Tensor | None:
        """Return `weight * tau^2 KL(teacher || student)` of the last batch, averaged over rows."""
        if self._pair is None or not self.weight:
            return None
        student, teacher = (x.flatten(0, -2) / self.temperature for x in self._pair)
        distance = F.kl_div(
            student.log_softmax(-1), teacher.log_softmax(-1), reduction="batchmean", log_target=True
        )
        return self.weight * self.temperature**2 * distance

    def features_loss(self) -> Tensor | None:
        """Return `feature_weight * mean (G_student - G_teacher)^2` of the last batch.

        G holds the similarity of each sample to each other, rows of unit length: features of any
        two widths can be compared, and nothing has to be learned for it.
        """
        if len(self._features) < 2:
            return None
        student, teacher = (_similarities(self._features[who]) for who in ("student", "teacher"))
        return self.feature_weight * (student - teacher).square().mean()

    def _watch(self, network: nn.Module, path: str, observe: Observe) -> None:
        self._watches.append(ModuleWatch(network, observe, paths=(path,), uncompiled=False))

    def _compare(
        self,
        path: str,
        module: nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        outputs: Tensor,
    ) -> None:
        if not (module.training and torch.is_grad_enabled()):
            return
        if "mask" in kwargs and "mask" not in self._parameters:
            kwargs = {**kwargs, "attention_mask": kwargs["mask"]}
            del kwargs["mask"]
        with torch.no_grad():
            found = self.network(*args, **kwargs)
        logits: Tensor = getattr(found, "logits", found)
        student = outputs.mean(dim=1)
        teacher = logits.mean(dim=1) if logits.ndim == outputs.ndim else logits
        if teacher.shape != student.shape:
            received = f"outputs of shape {tuple(teacher.shape)}"
            expected = (
                f"a network with outputs of shape {tuple(student.shape)}, as the student has them"
            )
            raise ArgumentError("teacher", received, expected)
        self._pair = student.float(), teacher.float()

    def _keep_features(self, who: str, network: nn.Module, layer: str, argument: str) -> None:
        modules = dict(network.named_modules())
        if layer not in modules:
            known = ", ".join(repr(name) for name in list(modules)[1:9])
            raise ArgumentError(argument, layer, f"the name of a layer, such as {known}")

        def keep(path: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if torch.is_grad_enabled() or who == "teacher":
                self._features[who] = _tensor(output).flatten(1).float()

        self._watch(network, layer, keep)


def _tensor(output: Any) -> Tensor:
    """Return the features of a layer that gives a tensor, a tuple, or an output of transformers."""
    features: Any = getattr(output, "last_hidden_state", output)
    return cast(Tensor, features[0] if isinstance(features, tuple) else features)


def _similarities(features: Tensor) -> Tensor:
    return F.normalize(features @ features.mT, dim=1)
