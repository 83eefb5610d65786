"""Converted language models scored by `lm_eval` on a task of local files."""

from __future__ import annotations

import json
import sys

import pytest
import tokenizers
from transformers import PreTrainedTokenizerFast

from spikeformer.conversion import SpikeformerConverter, harness_model, save_converted
from spikeformer.error_handling import ArgumentError, ConversionError, MissingDependencyError
from tests.conversion.networks import bert
from tests.conversion.test_generation import make


@pytest.fixture
def tokenizer():
    letters = {letter: i for i, letter in enumerate("<>abcdefghijklmnopqrstuvwxyz ")}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(letters, unk_token="<"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<", eos_token=">", pad_token=">"
    )


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval.models.huggingface", None)
    with pytest.raises(MissingDependencyError, match=r"spikeformer\[lm-eval\]"):
        harness_model("folder")


@pytest.mark.filterwarnings("ignore")
def test_a_task_of_local_files_is_scored_by_spikes(tmp_path, tokenizer):
    lm_eval = pytest.importorskip("lm_eval")
    from lm_eval.tasks import TaskManager

    rows = [{"question": "abc", "choices": ["def", "xyz"], "answer": i % 2} for i in range(6)]
    (tmp_path / "rows.json").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "letters.yaml").write_text(
        f"""
task: letters
dataset_path: json
dataset_kwargs: {{data_files: {{test: {tmp_path / "rows.json"}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: choices
doc_to_target: answer
"""
    )
    network = make("llama")
    snn = SpikeformerConverter(timesteps=8).convert(network)
    passes = []
    run = type(snn)._run
    snn._run = lambda *args: passes.append(1) or run(snn, *args)
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    results = lm_eval.simple_evaluate(
        model=harness_model(snn, tokenizer, batch_size=2),
        tasks=["letters"],
        task_manager=manager,
        bootstrap_iters=0,
    )
    assert passes
    # The same answer to the same question is right in three of six.
    assert results["results"]["letters"]["acc,none"] == pytest.approx(0.5)


def test_folders_and_mistakes(tmp_path, tokenizer):
    pytest.importorskip("lm_eval")
    snn = SpikeformerConverter(timesteps=4).convert(make("llama"))
    with pytest.raises(ArgumentError, match="tokenizer"):
        harness_model(snn)
    with pytest.raises(ConversionError, match="does not generate"):
        harness_model(SpikeformerConverter(timesteps=2).convert(bert()), tokenizer)
    save_converted(snn, tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = harness_model(tmp_path, timesteps=2)
    assert model.tokenizer.get_vocab() == tokenizer.get_vocab()
