"""Convert a language model and write docs/benchmarks/language.{json,md}.

python scripts/bench/conversion/language.py MODEL --text BOOK.txt --other REVIEWS.txt

MODEL is a folder or a GGUF file. The second part of BOOK.txt is kept back: perplexity is measured
on it after calibration on its first part, on REVIEWS.txt, and on made-up tokens alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path[:1] = [str(REPOSITORY / "scripts"), str(REPOSITORY)]

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from bench.machine import describe  # noqa: E402
from spikeformer.conversion import (  # noqa: E402
    ConversionPipeline,
    PretrainedTransformer,
    SpikeformerConverter,
    SpikingModel,
    evaluate_conversion,
)
from spikeformer.data.tokenizer import Encoder, pretrained_encoder  # noqa: E402

STORED = REPOSITORY / "docs" / "benchmarks" / "language"
BLOCK, CALIBRATION, TIMESTEPS = 256, 2000, 8
CONFIDENCE = 0.9
PROMPTS = (
    "The capital of France is",
    "Once upon a time, there was a little",
    "To make a cup of tea, first",
    "The theory of evolution says that",
    "In the morning the children went to",
)
NEW_TOKENS = 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a folder that save_pretrained wrote, or a GGUF file")
    parser.add_argument("--text", required=True, help="plain text, calibrated and tested on")
    parser.add_argument("--other", required=True, help="plain text of another kind")
    parser.add_argument("--tokens", type=int, default=5120, help="tokens kept back")
    parser.add_argument("--fewer", type=int, default=1024, help="of them after other calibrations")
    parser.add_argument("--note", default="", help="what model and texts these are, for the page")
    parser.add_argument("--output", type=Path, default=STORED, help="where to, without suffix")
    arguments = parser.parse_args()
    model = PretrainedTransformer(arguments.model).model
    encoder = pretrained_encoder(arguments.model)
    book, other = (_blocks(encoder, path) for path in (arguments.text, arguments.other))
    calibration = -(-CALIBRATION // BLOCK)
    held = book[calibration : calibration + -(-arguments.tokens // BLOCK)]
    result: dict[str, Any] = {
        "command": "python scripts/bench/conversion/language.py MODEL --text BOOK.txt "
        f"--other REVIEWS.txt --tokens {arguments.tokens} --fewer {arguments.fewer}",
        **describe(),
        "threads": torch.get_num_threads(),
        "note": arguments.note,
        "model": type(model).__name__,
        "parameters": sum(p.numel() for p in model.parameters()),
        "block": BLOCK,
        "calibration": {},
    }
    for name, data in (("other text", other), ("made-up tokens", None), ("same text", book)):
        start, cpu = time.perf_counter(), time.process_time()
        spiking = _convert(model, None if data is None else data[:calibration])
        seconds = {
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - cpu,
        }
        if name == "other text":
            result["generation"] = _generation(spiking, model, encoder)
            _write(arguments.output, result)
        print(f"calibrated on {name}: {seconds}", flush=True)
        spiking.timesteps = TIMESTEPS
        spiking.confidence = CONFIDENCE
        tokens = arguments.tokens if name == "other text" else arguments.fewer
        measured = evaluate_conversion(
            spiking,
            held[: -(-tokens // BLOCK)],
            ("accuracy", "agreement", "perplexity", "events", "energy", "latency"),
            original=model,
            count_bytes=lambda ids: len(encoder.tokenizer.decode(ids.tolist()).encode()),
        )
        result["calibration"][name] = {
            **seconds,
            "levels": spiking.coding.levels,
            "mantissa": spiking.coding.mantissa,
            "bits_per_byte": measured.bits_per_byte(measured.last.perplexity),
            "original_bits_per_byte": measured.bits_per_byte(measured.original_perplexity),
            **{name: value for name, value in measured.to_dict().items() if name != "rates"},
        }
        _write(arguments.output, result)


def _blocks(encoder: Encoder, path: str) -> list[dict[str, Any]]:
    (ids,) = encoder.encode([Path(path).read_text("utf-8")])
    return [
        {"input_ids": torch.tensor([ids[i : i + BLOCK]]), "use_cache": False}
        for i in range(0, len(ids) - BLOCK + 1, BLOCK)
    ]


def _convert(model: Any, data: list[dict[str, Any]] | None) -> SpikingModel:
    converter = SpikeformerConverter(TIMESTEPS)
    if data is None:
        return converter.convert(model)
    pipeline = ConversionPipeline(
        data, converter=converter, evaluation_samples=BLOCK, progress=False
    )
    return pipeline.convert(model, CALIBRATION, 0)


@torch.no_grad()
def _generation(spiking: SpikingModel, model: Any, encoder: Encoder) -> dict[str, Any]:
    """Continue prompts with both networks by turns; compare the tokens and the time of each."""
    texts, seconds = [], {"original": 0.0, "spiking": 0.0}
    for prompt in PROMPTS:
        ids = torch.tensor(encoder.encode([prompt]))
        continued: dict[str, Tensor] = {}
        for name, network in (("original", model), ("spiking", spiking)):
            start = time.perf_counter()
            continued[name] = network.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=NEW_TOKENS,
                min_new_tokens=NEW_TOKENS,
                do_sample=False,
                pad_token_id=encoder.pad_id,
            )[0, ids.shape[1] :]
            seconds[name] += time.perf_counter() - start
        same = (continued["original"] == continued["spiking"]).tolist()
        texts.append(
            {
                "prompt": prompt,
                **{name: encoder.tokenizer.decode(tokens) for name, tokens in continued.items()},
                "same_tokens": same.index(False) if False in same else NEW_TOKENS,
            }
        )
        print(texts[-1], flush=True)
    tokens = NEW_TOKENS * len(PROMPTS)
    return {
        "texts": texts,
        "timesteps": spiking.timesteps,
        "seconds_per_token": {name: total / tokens for name, total in seconds.items()},
    }


def _write(path: Path, result: dict[str, Any]) -> None:
    path.with_suffix(".json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    path.with_suffix(".md").write_text(_page(result))


def _page(result: dict[str, Any]) -> str:
    """Return the page that the figures make."""
    lines = [
        "# A language model as spikes",
        "",
        f"`{result['command']}`",
        "",
        f"{result['model']} with {result['parameters'] / 1e6:.0f} million parameters,"
        f" {result['machine']['cpu']}, {result['threads']} thread, {result['date']}. The first"
        f" {CALIBRATION:,} tokens of a text calibrate; what is measured on was kept back."
        f" {result['note']}".rstrip(),
        "",
        "## Perplexity",
        "",
        "Change of perplexity against the original's, on the same tokens. Bits per byte are those"
        f" at T = {TIMESTEPS}.",
        "",
        "| calibrated on | tokens | original | T = 2 | T = 3 | T = 4 | T = 8 | bits per byte |"
        " same next token | KL (nats) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in result["calibration"].items():
        original, steps = row["original_perplexity"], row["steps"]
        changes = [f"{steps[t - 1]['perplexity'] / original - 1:+.2%}" for t in (2, 3, 4, 8)]
        bits = f"{row['original_bits_per_byte']:.4f} → {row['bits_per_byte']:.4f}"
        lines.append(
            f"| {name} | {row['num_samples']:,} | {original:.3f} | {' | '.join(changes)} | {bits} |"
            f" {steps[-1]['agreement']:.2%} | {steps[-1]['divergence']:.2g} |"
        )
    for row in list(result["calibration"].values())[:1]:
        lines += _costs(row)
    if "generation" in result:
        lines += _sentences(result["generation"])
    return "\n".join(lines) + "\n"


def _costs(row: dict[str, Any]) -> list[str]:
    last, early = row["steps"][-1], row["steps"][2]
    low, energy, high = last["energy_uj"]
    return [
        "",
        "## Cost",
        "",
        f"Calibration of {CALIBRATION:,} tokens with the choice of levels and timesteps took"
        f" {row['cpu_seconds']:.0f} s of processor time. A neuron emits"
        f" {last['events_per_neuron']:.2f} events for a token in {last['timesteps']} timesteps,"
        f" each a sign, one of {row['levels']} exponents and {row['mantissa']} bit of mantissa. The"
        f" energy estimate for digital logic in 45 nm with its memory traffic is"
        f" {energy / 1e3:.3g} mJ a token ({low / 1e3:.2g} to {high / 1e3:.2g}); the original's is"
        f" {row['original_energy_uj'][1] / 1e3:.3g} mJ. At T = {early['timesteps']} it is"
        f" {early['energy_uj'][1] / 1e3:.3g} mJ."
        " RMSNorm, softmax and SiLU stay in floating point and are in neither.",
        "",
        f"Measured side by side in one process, a token of a text took"
        f" {row['seconds'] / row['original_seconds']:.1f} times the original's time.",
        "",
        f"If a token were read as soon as its likeliest successor has a probability of"
        f" {CONFIDENCE:.0%}, the mean T would be {row['exit_timesteps']:.2f}, with"
        f" {row['exit_agreement']:.2%} the original's next token; this is computed from the"
        " readouts, not run.",
    ]


def _sentences(found: dict[str, Any]) -> list[str]:
    ratio = found["seconds_per_token"]["spiking"] / found["seconds_per_token"]["original"]
    same = sum(text["same_tokens"] == NEW_TOKENS for text in found["texts"])
    lines = [
        "",
        "## Generation",
        "",
        f"{NEW_TOKENS} tokens, greedy, T = {found['timesteps']}: {same} of {len(found['texts'])}"
        f" continuations are the original's. A token took {ratio:.1f} times the original's time,"
        " measured by turns in one process, the prompt's pass included.",
        "",
        "| prompt | spiking | tokens as the original's |",
        "|---|---|---|",
    ]
    for text in found["texts"]:
        shown = text["spiking"].strip().replace("\n", " ⏎ ").replace("|", "\\|")
        lines.append(f"| {text['prompt']} | {shown} | {text['same_tokens']} |")
    return lines


if __name__ == "__main__":
    main()
