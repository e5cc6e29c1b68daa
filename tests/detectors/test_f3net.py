"""F3Net against SciPy's DCT and plain loops: the bands of FAD, the windows of LFS, the mixing of two branches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.fft import dct, dctn

from tests.detectors.conftest import small_detector
from tristream.detectors import build_detector
from tristream.detectors.backbones import create_backbone
from tristream.detectors.f3net import (
    LOCAL_BANDS,
    STRIDE_PX,
    WINDOW_PX,
    F3NetConfig,
    FrequencyDecomposition,
    LocalStatistics,
    MixBlock,
    dct_matrix,
)

EDGES = F3NetConfig().band_edges


@pytest.mark.parametrize("size", [1, 8, 10, 33, 299])
def test_dct_is_scipys(size: int) -> None:
    matrix = dct_matrix(size).double().numpy()
    np.testing.assert_allclose(matrix, dct(np.eye(size), axis=0, norm="ortho"), atol=1e-6)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(size), atol=1e-5)


@pytest.mark.parametrize("size", [(48, 48), (40, 56), (33, 64)])
def test_bands_partition_the_spectrum_and_sum_to_the_picture(size: tuple[int, int]) -> None:
    image = torch.randn(2, 3, *size)
    head = FrequencyDecomposition(48, EDGES)
    low, middle, high, whole = head(image).split(3, dim=1)
    torch.testing.assert_close(low + middle + high, image, atol=1e-5, rtol=0)
    torch.testing.assert_close(whole, image, atol=1e-5, rtol=0)
    filters = head.filters(*size)
    assert set(filters.unique().tolist()) == {0.0, 1.0}
    assert (filters[:3].sum(0) == 1).all()


def test_bands_hold_the_shares_of_the_spectrum_that_the_paper_names() -> None:
    shares = FrequencyDecomposition(299, EDGES).filters(299, 299).mean((1, 2)).tolist()
    np.testing.assert_allclose(shares, [1 / 16, 1 / 16, 7 / 8, 1], atol=3e-3)
    by_side = FrequencyDecomposition(96, (1 / 16, 1 / 8)).filters(96, 96)
    assert (by_side[:3].sum(0) == 1).all()
    assert by_side[0, 6, 0] == by_side[0, 0, 6] == 1, "i + j = S / 16 is the last of the low band"
    assert by_side[1, 6, 1] == by_side[2, 12, 1] == 1


def test_decomposition_is_scipys_filtered_dct() -> None:
    image = torch.randn(1, 3, 24, 32)
    head = FrequencyDecomposition(24, EDGES)
    with torch.no_grad():
        head.learnable.normal_()
        filters, bands = head.filters(24, 32).numpy(), head(image).numpy()
    spectrum = dctn(image.numpy(), axes=(2, 3), norm="ortho")
    found = dctn(bands.reshape(4, 3, 24, 32), axes=(2, 3), norm="ortho")
    np.testing.assert_allclose(found, filters[:, None] * spectrum, atol=1e-4)


def test_a_learnt_filter_means_the_same_frequency_at_another_size() -> None:
    head = FrequencyDecomposition(64, EDGES)
    with torch.no_grad():
        head.learnable[3, :, 31:34] = -100  # near i / n = 0.5; the base is 1 there
    filters = head.filters(64, 128)[3]
    assert filters[0, 64] < 1e-3
    assert filters[0, 60] == filters[0, 68] == 1
    assert filters[0, 32] > 0.99


def test_statistics_of_windows_are_those_of_a_plain_loop() -> None:
    pixels = torch.rand(2, 3, 21, 26)
    head = LocalStatistics()
    with torch.no_grad():
        head.learnable.normal_()
        found = head(pixels).numpy()
        filters = head.filters().numpy()
    grey = 255 * np.einsum("bchw,c->bhw", pixels.numpy(), [0.299, 0.587, 0.114])
    padded = np.pad(grey, ((0, 0), (4, 3), (4, 3)))
    expected = np.zeros_like(found)
    for picture, band, row, column in np.ndindex(expected.shape):
        top, left = row * STRIDE_PX, column * STRIDE_PX
        spectrum = dctn(padded[picture, top : top + WINDOW_PX, left : left + WINDOW_PX], norm="ortho")
        expected[picture, band, row, column] = math.log10(1 + np.abs(spectrum * filters[band]).sum())
    assert expected.shape == (2, LOCAL_BANDS, 10, 12)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_local_bands_partition_a_window_and_the_method_s_size_gives_its_149() -> None:
    head = LocalStatistics()
    assert (head.filters().sum(0) == 1).all()
    assert head.base[0, 0, 0] == head.base[5, 9, 9] == 1
    assert head(torch.rand(1, 3, 299, 299)).shape == (1, 6, 149, 149)


@pytest.mark.parametrize("size", [(38, 70), (39, 71), (65, 66)])
def test_branches_agree_in_size_at_any_picture_size(size: tuple[int, int]) -> None:
    detector = small_detector("f3net")
    with torch.no_grad():
        detector.mix.get_parameter("block7.gates").fill_(1)
    assert torch.isfinite(detector(torch.rand(1, 3, *size)).logits).all()


def test_a_mix_block_starts_as_the_identity_and_then_carries_the_other_branch() -> None:
    fad, lfs = torch.randn(2, 8, 5, 7), torch.randn(2, 8, 5, 7)
    block = MixBlock(8).eval()
    assert torch.equal(block(fad, lfs)[0], fad)
    assert torch.equal(block(fad, lfs)[1], lfs)
    with torch.no_grad():
        block.gates.fill_(1)
    mixed = block(fad, lfs)[0]
    assert not torch.allclose(mixed, fad)
    query, key = (
        torch.cat([conv(x) for conv, x in zip(convs, (fad, lfs), strict=True)], -1)
        for convs in (block.queries, block.keys)
    )
    for picture, channel in ((0, 0), (1, 5)):  # attention over rows, channel by channel
        energy = query[picture, channel] @ key[picture, channel].T
        seen = energy.softmax(-1) @ lfs[picture, channel]
        scale = block.values[0][0].weight[channel, 0, 0, 0] / math.sqrt(1 + 1e-5)
        torch.testing.assert_close(
            mixed[picture, channel], fad[picture, channel] + math.tanh(0.5) * scale * seen, atol=1e-5, rtol=1e-4
        )


def test_each_branch_alone_and_the_pair_can_be_built() -> None:
    alone = small_detector("f3net", branches=["fad"])
    assert alone.feature_sizes == {"fad": 2048}
    assert alone.deviations[0].startswith("FAD alone")
    assert not len(alone.mix)
    bands = "FAD's bands end at 0.354 and 0.5 of i/H + j/W, as the code in circulation has it; the paper: 1/16, 1/8"
    assert alone.deviations[-1] == bands
    assert not any("bands" in line for line in small_detector("f3net", band_edges=[1 / 16, 1 / 8]).deviations)
    other = small_detector("f3net", band_edges=[0.5, 1.0]).deviations[-1]
    assert other == "FAD's bands end at 0.5 and 1 of i/H + j/W; the paper: 1/16, 1/8"
    assert "lfs" in small_detector("f3net", branches=["lfs"])(torch.rand(1, 3, 64, 64)).features
    assert build_detector("f3net", {"weights": "none"}).classifier.in_features == 4096


def test_a_pretrained_first_layer_answers_a_grey_input_as_before(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Weights repeated over 12 channels and divided by 4: twelve equal channels give what three gave."""
    from safetensors.torch import save_file

    trunk = create_backbone("legacy_xception", "none")
    save_file(trunk.state_dict(), tmp_path / "xception.safetensors")
    options = {"weights": str(tmp_path / "xception.safetensors"), "image_size": 64, "initialisation": "ImageNet"}
    detector = build_detector("f3net", options)
    grey = torch.rand(1, 1, 32, 32)
    for name, channels in (("fad", 12), ("lfs", 6)):
        weight = detector.trunks[name].conv1.weight
        answer = torch.nn.functional.conv2d(grey.expand(-1, channels, -1, -1), weight)
        expected = torch.nn.functional.conv2d(grey.expand(-1, 3, -1, -1), trunk.conv1.weight)
        torch.testing.assert_close(answer, expected, atol=1e-5, rtol=1e-4)
        assert torch.equal(detector.trunks[name].block5.rep[1].conv1.weight, trunk.block5.rep[1].conv1.weight)
    assert detector.initialisation == "ImageNet"
