"""A trained network behind HTTP: images, sentences and arrays in, JSON out."""

from spikeformer.serving.app import make_app
from spikeformer.serving.predictor import Predictor, load_predictor
from spikeformer.serving.reading import BadRequestError, RequestReader

__all__ = ["BadRequestError", "Predictor", "RequestReader", "load_predictor", "make_app"]
