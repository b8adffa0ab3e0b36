"""The text and image towers of the full size are open_clip's, and so is the tokenizer that a device takes along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from edgeapp.runtime.inputs import image_pixels
from gallery import prompts, starter_taxa
from tests.libraries import needs
from tests.trainer import published
from trainer.errors import CheckpointError
from trainer.models.bioclip import ClipImage, ClipText, build_clip, clip_tokenizer
from trainer.models.text import tokenize

pytestmark = needs("open_clip")

ODD = (
    "",
    "  ",
    "Steller's Jay",
    "Rüppell’s Vulture",
    "the “small” ‘ōʻū",
    "A\u030aland and Åland, naïve café, Straße, Đorđe, Łódź",
    "don't we'll I'm they've he'd you're it's",
    "ﬁnch of the ﬂats",
    "tit &amp; tat &quot;x&quot;",
    "ΣΊΣΥΦΟΣ ΟΔΟΣ",
    "İstanbul",
    "日本語 ウグイス 鶯",
    "Соловей восточный",
    "عندليب",
    "बुलबुल",
    "🐦 bird",
    "Parus × hybridus, n°5 (1/2) 100% ½ x²",
    "a\tb\n c  d\u00a0e\u2028f\ufeff",
    "<start_of_text> a <end_of_text> b",
    "x" * 300,
    "Parus major " * 60,
)


@pytest.fixture(scope="module")
def clip() -> Any:
    return published.small_clip()


@pytest.fixture(scope="module")
def towers(clip: Any) -> tuple[ClipText, ClipImage]:
    """The towers with the weights of open_clip's model."""
    text, image = build_clip(published.CLIP, published.MEAN, published.STD)
    state = clip.state_dict()
    text.tower.load_state_dict(
        {name: value for name, value in state.items() if not name.startswith(("visual", "logit"))}
    )
    image.tower.load_state_dict({name[7:]: value for name, value in state.items() if name.startswith("visual.")})
    return text.eval(), image.eval()


def open_clip_tokens(texts: list[str], context: int = 77) -> Tensor:
    import open_clip

    return open_clip.get_tokenizer("ViT-L-14", context_length=context)(texts)  # type: ignore[operator]


def test_every_prompt_of_the_starter_taxa_has_the_tokens_of_open_clip() -> None:
    texts = [text for taxon in starter_taxa() for text in prompts(taxon).values()]
    assert len(texts) >= 5 * 200
    ours, theirs = tokenize(clip_tokenizer(), texts), open_clip_tokens(texts)
    assert ours.dtype == torch.int64 and torch.equal(ours, theirs)


@pytest.mark.parametrize("text", ODD, ids=lambda text: text[:20].strip() or "blank")
def test_an_odd_name_has_the_tokens_of_open_clip(text: str) -> None:
    assert torch.equal(tokenize(clip_tokenizer(), [text]), open_clip_tokens([text]))


def test_the_tokenizer_is_the_same_from_its_file_and_at_another_length() -> None:
    texts = list(ODD)
    again = Tokenizer.from_str(clip_tokenizer().to_str())
    assert torch.equal(tokenize(again, texts), open_clip_tokens(texts))
    again.enable_truncation(16)  # as the device does
    again.enable_padding(length=16, pad_id=0)
    assert torch.equal(tokenize(again, texts), open_clip_tokens(texts, 16))
    assert torch.equal(tokenize(clip_tokenizer(16), texts), open_clip_tokens(texts, 16))


def test_names_become_the_vectors_of_open_clip(clip: Any, towers: tuple[ClipText, ClipImage]) -> None:
    texts = ["Parus major", "great tit", "Turdus merula with common name common blackbird"]
    tokens = tokenize(clip_tokenizer(), texts)
    with torch.no_grad():
        ours, theirs = towers[0](tokens), F.normalize(clip.encode_text(tokens), dim=-1)
    assert torch.allclose(ours, theirs, atol=1e-6)
    assert (ours @ ours.T).fill_diagonal_(0).max() < 0.9


def test_tokens_without_their_padding_give_the_same_vector(towers: tuple[ClipText, ClipImage]) -> None:
    texts = ["Parus major", "Turdus merula"]
    whole, short = (tokenize(clip_tokenizer(length), texts) for length in (77, 12))
    with torch.no_grad():
        assert torch.allclose(towers[0](whole), towers[0](short), atol=1e-6)


def preprocess_val(size: int) -> Any:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    seen = PreprocessCfg(size=size, mean=tuple(published.MEAN), std=tuple(published.STD))
    return image_transform_v2(seen, is_train=False)


def photo(width: int, height: int) -> Image.Image:
    """Colours that change across the picture."""
    y, x = np.mgrid[0:height, 0:width]
    bands = [np.sin(x / 9.0), np.sin(y / 7.0), np.sin((x + y) / 11.0)]
    return Image.fromarray(((np.stack(bands, axis=-1) + 1) * 127).astype(np.uint8))


@pytest.mark.parametrize("size", [(96, 96), (144, 96), (48, 48), (30, 60)])
def test_a_picture_becomes_the_vector_of_open_clip(
    size: tuple[int, int], clip: Any, towers: tuple[ClipText, ClipImage]
) -> None:
    picture = photo(*size)
    pixels = torch.from_numpy(image_pixels(picture, published.IMAGE_SIZE))[None]
    seen = preprocess_val(published.IMAGE_SIZE)(picture)[None]
    with torch.no_grad():
        ours, theirs = towers[1](pixels), F.normalize(clip.encode_image(seen), dim=-1)
    assert (ours * theirs).sum() > 0.99999


@torch.no_grad()
def test_padding_after_the_end_of_a_text_changes_nothing(towers: tuple[ClipText, ClipImage]) -> None:
    tokens = tokenize(clip_tokenizer(towers[0].context), ["Parus major", "Bufo bufo"])
    used = int((tokens != 0).any(dim=0).sum())
    assert used < towers[0].context
    whole, cut = towers[0](tokens), towers[0](tokens[:, :used])
    assert torch.allclose(whole, cut, atol=1e-6)
    assert torch.equal(whole, towers[0](tokens))  # and the tower is as it was


def test_real_photos_become_the_vectors_of_open_clip(
    clip: Any, towers: tuple[ClipText, ClipImage], shared: Path
) -> None:
    paths = sorted((shared / "starter" / "images").rglob("*.jpg"))[::25]
    transform = preprocess_val(published.IMAGE_SIZE)
    pixels = torch.from_numpy(np.stack([image_pixels(path, published.IMAGE_SIZE) for path in paths]))
    seen = torch.stack([transform(Image.open(path)) for path in paths])
    with torch.no_grad():
        ours, theirs = towers[1](pixels), F.normalize(clip.encode_image(seen), dim=-1)
    assert (ours * theirs).sum(dim=1).min() > 0.99999


@pytest.mark.parametrize(
    "wrong", [{"vision_cfg": {"layer": 2}}, {"multimodal_cfg": {}}], ids=lambda wrong: next(iter(wrong))
)
def test_a_model_that_open_clip_cannot_build_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="open_clip cannot build this model"):
        build_clip(published.CLIP | wrong, published.MEAN, published.STD)
