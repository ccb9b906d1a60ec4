"""Views made for a whole batch at once against one clip at a time, in float64 and without torch's batched operations;
on a GPU against the CPU."""

import numpy as np
import pytest
import torch

import avnb.views as room
from avnb.clips import Batch
from avnb.core import uniforms
from avnb.views import NORMS, AudioView, VideoView

cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason='no GPU: pinned copies and views on the device are not compared with the CPU'
)


def one_picture(frames, p, size, mean, std):
    """One clip uint8 [3,T,H,W] with the nine parameters of its view, pixel by pixel in float64: the triangle filter,
    then each colour operation in turn."""
    x, (_, _, H, W) = frames.astype(float), frames.shape
    for axis, n, lo, hi in ((3, W, p[0], p[2]), (2, H, p[1], p[3])):
        lo, hi = lo * n, hi * n
        step = (hi - lo) / size
        m = np.zeros((size, n))
        for i in range(size):
            for j in range(n):
                if j + 1 > lo + 1e-4 and j < hi - 1e-4:
                    m[i, j] = max(0, 1 - abs(j + 0.5 - lo - step * (i + 0.5)) / max(step, 1))
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ (m / m.sum(1, keepdims=True)).T, -1, axis)
    if p[4] > 0.5:
        x = x[..., ::-1]
    luma = lambda x: 0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2]
    x = x * p[5]
    x = p[6] * x + (1 - p[6]) * luma(x).mean()
    x = p[7] * x + (1 - p[7]) * luma(x)
    yiq = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    a = -2 * np.pi * p[8]
    turn = np.linalg.inv(yiq) @ np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]) @ yiq
    x = np.tensordot(turn, x, 1).clip(0, 255) / 255
    return (x - np.reshape(mean, (3, 1, 1, 1))) / np.reshape(std, (3, 1, 1, 1))


def one_sound(wave, rate, n_fft, hop, mels, factor):
    "One waveform as a normalised log-mel spectrogram, frame by frame in float64."
    x = np.pad(wave.astype(float) * factor, n_fft // 2, mode='reflect')
    window = np.hanning(n_fft + 1)[:-1]
    power = np.stack([np.abs(np.fft.rfft(x[k * hop : k * hop + n_fft] * window)) ** 2 for k in range(len(wave) // hop)])
    mel = lambda f: 2595 * np.log10(1 + f / 700)
    edges = 700 * (10 ** (np.linspace(0, mel(rate / 2), mels + 2) / 2595) - 1)
    f = np.linspace(0, rate / 2, n_fft // 2 + 1)
    bank = np.stack(
        [
            np.clip(np.minimum((f - a) / (b - a), (c - f) / (c - b)), 0, None)
            for a, b, c in zip(edges, edges[1:], edges[2:])
        ],
        1,
    )
    db = 10 * np.log10(np.maximum(power @ bank, 1e-10))
    return (np.maximum(db, db.max() - 80) - NORMS['logmel'][0]) / NORMS['logmel'][1]


def pictures(g, B=5):
    H, W = (int(g.integers(20, 60)) for _ in range(2))
    return torch.from_numpy(g.integers(0, 256, (B, 3, int(g.integers(1, 5)), H, W), np.uint8)), g.integers(0, 10**6, B)


@pytest.fixture(params=['as on a CPU', 'as on a GPU'])
def path(request, monkeypatch):
    "A CPU takes the clips of a batch one after the other; a GPU all at once. Both ways are tried here."
    if 'GPU' in request.param:
        monkeypatch.setattr(room, '_chunks', lambda x: [slice(None)])


@pytest.mark.parametrize('seed', range(4))
def test_pictures_of_a_batch_are_those_of_each_clip(seed, path):
    g = np.random.default_rng(seed)
    frames, index = pictures(g)
    run, epoch = int(g.integers(99)), int(g.integers(99))
    view = VideoView(size=int(g.integers(8, 40)), area_min=0.2, hue=0.2)
    out, p = view(frames, run, epoch, index)
    for b in range(len(frames)):
        assert (
            np.abs(
                out[b].numpy() - one_picture(frames[b].numpy(), p[b].double().numpy(), view.size, view.mean, view.std)
            ).max()
            < 1e-5
        )
        alone, q = view(frames[b : b + 1], run, epoch, index[b : b + 1])
        assert (
            torch.equal(q[0], p[b]) and (alone[0] - out[b]).abs().max() < 1e-5
        )  # parameters are (seed, epoch, index, view)'s alone
    assert len(p.unique(dim=0)) == len(frames) and not torch.equal(
        view.params(run, epoch + 1, index, 32, 32), view.params(run, epoch, index, 32, 32)
    )
    whole = VideoView(size=view.size, train=False)
    one = one_picture(frames[0].numpy(), [0, 0, 1, 1, 0, 1, 1, 1, 0], view.size, view.mean, view.std)
    assert np.abs(whole(frames, run, epoch, index)[0][0].numpy() - one).max() < 1e-5


@pytest.mark.parametrize('kind', ['noise', 'tone', 'quiet', 'silence'])
def test_sounds_of_a_batch_are_those_of_each_clip(kind):
    g, rate, n = np.random.default_rng(3), 16000, 8000
    t = np.arange(n) / rate
    x = dict(
        noise=0.3 * g.standard_normal((4, n)),
        tone=0.9 * np.sin(2 * np.pi * g.uniform(100, 7000, (4, 1)) * t),
        quiet=1e-4 * g.standard_normal((4, n)),
        silence=np.zeros((4, n)),
    )[kind].astype(np.float32)
    index, view = g.integers(0, 10**6, 4), AudioView(rate, 0.5)
    out = view(torch.from_numpy(x), 7, 3, index)
    factor = 1 + view.volume * (2 * uniforms(7, 3, index, 'audio', 1) - 1)
    for b in range(4):
        want = one_sound((x[b] * factor[b]).astype(np.float32), rate, 512, 250, 64, 1.0)
        assert (
            np.abs(out[b, 0].numpy() - want).max() < 2e-5
            and (view(torch.from_numpy(x[b : b + 1]), 7, 3, index[b : b + 1])[0] - out[b]).abs().max() < 1e-5
        )


def test_frames_cross_as_bytes_and_in_the_files_own_order():
    "A batch is a permuted look at [B,T,H,W,3]: what crosses to a device is one stretch of uint8."
    x = torch.randint(0, 255, (3, 4, 6, 6, 3), dtype=torch.uint8).permute(0, 4, 1, 2, 3)
    b = Batch(torch.arange(3), x, torch.randn(3, 99))
    there = b.to('cpu')
    assert (
        there.frames.dtype == torch.uint8
        and there.frames.stride() == x.stride()
        and torch.equal(there.waveform, b.waveform)
    )


@cuda
def test_a_pinned_batch_crosses_once_and_does_not_wait():
    x = torch.randint(0, 255, (64, 8, 112, 112, 3), dtype=torch.uint8).permute(0, 4, 1, 2, 3)
    b = Batch(torch.arange(64), x, torch.randn(64, 32000), [dict(id='a')])
    p = b.pin_memory()
    assert (
        p.frames.is_pinned()
        and p.waveform.is_pinned()
        and p.index.is_pinned()
        and p.frames.stride() == x.stride()
        and p.bad == b.bad
    )
    video, audio = VideoView(64), AudioView(16000, 2.0)
    video(p.to('cuda').frames, 0, 0, b.index)
    audio(p.to('cuda').waveform, 0, 0, b.index)  # makes the constants
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        on = p.to('cuda')
        v, q = video(on.frames, 0, 1, b.index)
        a = audio(on.waveform, 0, 1, b.index)
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert (
        torch.equal(on.frames.cpu(), x)
        and (v.cpu() - video(x, 0, 1, b.index)[0]).abs().max() < 1e-5
        and (a.cpu() - audio(b.waveform, 0, 1, b.index)).abs().max() < 1e-5
    )


@cuda
@pytest.mark.parametrize('seed', range(3))
def test_views_on_a_gpu_are_those_of_the_cpu(seed):
    g = np.random.default_rng(seed)
    frames, index = pictures(g, 32)
    view = VideoView(size=int(g.integers(8, 112)), area_min=0.1, hue=0.2)
    (x, p), (y, q) = view(frames, 1, 2, index), view(frames.cuda(), 1, 2, index)
    assert (x - y.cpu()).abs().max() < 1e-5 and torch.equal(p, q.cpu())
    t = np.arange(16000) / 16000
    wave = torch.from_numpy(
        np.concatenate(
            [0.9 * np.sin(2 * np.pi * g.uniform(100, 7000, (8, 1)) * t), 0.2 * g.standard_normal((8, 16000))]
        ).astype(np.float32)
    )
    for front in NORMS:
        audio = AudioView(16000, 1.0, front)
        assert (audio(wave, 1, 2, range(16)) - audio(wave.cuda(), 1, 2, range(16)).cpu()).abs().max() < 1e-5
