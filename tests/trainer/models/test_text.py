"""The text tower and its tokenizer: any name has a vector, and padding has no say."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer

from gallery import PROMPT_FORMS, Taxon, prompts
from trainer.bank import TextBank, drawn_similarity, trim
from trainer.models.text import END, PAD, TextConfig, TextTower, learn_tokenizer, tokenize
from trainer.models.vita import Tower

CONFIG = TextConfig(vocabulary=400, context=40, width=32, features=32)


@pytest.fixture(scope="module")
def tokenizer(taxa: list[Taxon]) -> Tokenizer:
    return learn_tokenizer([text for taxon in taxa for text in prompts(taxon).values()], CONFIG)


@pytest.fixture(scope="module")
def tower() -> TextTower:
    torch.manual_seed(0)
    return TextTower(CONFIG).eval()


def test_every_text_ends_with_end_and_is_padded(tokenizer: Tokenizer) -> None:
    tokens = tokenize(tokenizer, ["Parus major", "a much longer text about Parus major"])
    assert tokens.shape == (2, CONFIG.context) and tokens.dtype == torch.int64
    for row in tokens:
        kept = row[row != PAD]
        assert kept[-1] == END and (row[len(kept) :] == PAD).all()


def test_unknown_names_of_any_script_have_tokens_of_their_own(tokenizer: Tokenizer) -> None:
    names = ["Xylophaga zyx", "シジュウカラ", "Ħal Għaxaq 🦉", "?"]
    tokens = tokenize(tokenizer, names)
    assert len({tuple(row.tolist()) for row in tokens}) == len(names)
    assert tokens.max() < CONFIG.vocabulary and ((tokens != PAD).sum(dim=1) >= 2).all()


def test_case_does_not_matter_and_long_texts_keep_their_end(tokenizer: Tokenizer) -> None:
    assert torch.equal(*(tokenize(tokenizer, [text]) for text in ("PARUS Major", "parus major")))
    long = tokenize(tokenizer, ["Parus major " * 50])[0]
    assert len(long) == CONFIG.context and long[-1] == END


def test_learning_does_not_depend_on_the_order_of_the_texts() -> None:
    texts = ["Parus major", "Parus minor", "Bufo bufo"]
    one, other = (learn_tokenizer(order, CONFIG).to_str() for order in (texts, texts[::-1] + texts))
    assert one == other


@torch.no_grad()
def test_padding_does_not_change_a_vector(tower: TextTower, tokenizer: Tokenizer) -> None:
    tokens = tokenize(tokenizer, ["Bufo bufo", "Cuculus canorus with common name Common Cuckoo"])
    full = tower(tokens)
    assert torch.allclose(full, tower(trim(tokens)), atol=1e-5)
    alone = tower(trim(tokens[:1]))
    assert torch.allclose(full[:1], alone, atol=1e-5)


@torch.no_grad()
def test_vectors_depend_on_the_words_and_their_order(tower: TextTower, tokenizer: Tokenizer) -> None:
    one, two, three = tower(tokenize(tokenizer, ["Parus major", "major Parus", "Bufo bufo"]))
    assert (one - two).abs().max() > 1e-3 and (one - three).abs().max() > 1e-3


def test_the_bank_holds_every_form_of_every_taxon(taxa: list[Taxon], tokenizer: Tokenizer, tower: TextTower) -> None:
    bank = TextBank(taxa, tokenizer)
    assert bank.tokens.shape == (len(PROMPT_FORMS), len(taxa), CONFIG.context)
    text = Tower(tower, CONFIG.width, 8).eval()
    vectors = bank.embed_all(text, torch.device("cpu"))
    assert vectors.shape == (len(PROMPT_FORMS), len(taxa), 8)
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(vectors.shape[:2]), atol=1e-5)
    row, form = 2, PROMPT_FORMS.index("taxonomic")
    with torch.no_grad():
        alone = text(tokenize(tokenizer, [prompts(taxa[row])["taxonomic"]]))[0]
    assert torch.allclose(vectors[form, row], alone, atol=1e-5)


def test_embedding_the_bank_leaves_dropout_as_it_was(taxa: list[Taxon], tokenizer: Tokenizer) -> None:
    text = Tower(TextTower(CONFIG), CONFIG.width, 8).train()
    bank = TextBank(taxa, tokenizer)
    assert torch.equal(*(bank.embed_all(text, torch.device("cpu")) for _ in range(2)))
    assert text.training


def test_forms_are_drawn_anew_for_each_sample_and_by_the_generator() -> None:
    bank = torch.arange(5.0)[:, None, None].expand(5, 40, 1)  # a form's number is its vector
    one, same, other = (
        drawn_similarity(torch.ones((3, 1)), bank, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert one.shape == (3, 40) and torch.equal(one, same) and not torch.equal(one, other)
    assert set(one.flatten().tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}
    assert not torch.equal(one[0], one[1])


def test_prompts_of_a_step_are_drawn_with_gradient(taxa: list[Taxon], tokenizer: Tokenizer) -> None:
    text = Tower(TextTower(CONFIG), CONFIG.width, 8).eval()
    bank, targets = TextBank(taxa, tokenizer), torch.eye(len(taxa))
    drawn = [
        bank.draw(text, targets, torch.Generator().manual_seed(seed), torch.device("cpu")).texts for seed in (1, 1, 2)
    ]
    assert drawn[0].requires_grad and torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


@torch.no_grad()
def test_two_samples_of_one_taxon_see_prompts_of_their_own(taxa: list[Taxon], tokenizer: Tokenizer) -> None:
    text = Tower(TextTower(CONFIG), CONFIG.width, 8).eval()
    bank, samples = TextBank(taxa, tokenizer), 40
    targets = torch.zeros((samples + 1, len(taxa)))
    targets[:samples, 1] = 1.0
    targets[0, 0] = targets[0, 1] = 0.5  # two taxa sounding together
    targets[samples] = 1.0 / len(taxa)  # noise
    drawn = bank.draw(text, targets, torch.Generator().manual_seed(1), torch.device("cpu"))
    assert drawn.row.tolist() == [0, *range(samples)] and drawn.taxon.tolist() == [0, *[1] * samples]

    every = bank.embed_all(text, torch.device("cpu"))
    nearest = (drawn.own[1:] @ every[:, 1].t()).argmax(dim=1)
    assert set(nearest.tolist()) == set(range(len(PROMPT_FORMS)))

    vectors = torch.nn.functional.normalize(torch.randn((samples + 1, 8)), dim=1)
    similarity = drawn.similarity(vectors)
    assert torch.allclose(similarity[1:samples, 1], (vectors[1:samples] * drawn.own[2:]).sum(dim=1))
    assert torch.allclose(similarity[:, 2:], vectors @ drawn.texts[2:].t())
    assert torch.allclose(similarity[samples], drawn.texts @ vectors[samples])
