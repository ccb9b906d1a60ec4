"""Clips per second of a full training step: ours against a plain fp32 eager step with K = 1024 gathered negatives (the
peers' way).

8 frames of 112 x 112 and 2 s of sound at 24 kHz (257 bins), R(2+1)D-18 and the 9-layer audio net, a bank of 240,000
clips. Ours is `avnb.training` itself: views on the device from uint8 frames and waveforms, both networks, the exact
loss over the whole bank, clipping, AdamW, the bank's update. The peers' step gets pictures and spectrograms that are
ready: both networks in float32, a softmax over 1,024 gathered rows of each bank, Adam, the bank's update, and
`.item()` for the log. `step` uses one batch again and again; `packed` and `shards` are `fit` reading a packed set
(arrays of noise; H.264 of a texture that drifts), with the share of time spent waiting for it, over the later half of
the log lines. The rows of the manifest share a few stored clips, so the set lies in the system's cache after the first
pass. Flops are those of the networks, counted by torch, forward and backward, the same for all. Peak: the data sheet's
of a GPU that is known here; else the highest rate that any of several large matrix products and convolutions of the
same kind of number reaches with the same threads, measured before and after the steps. Claims, on an H200: at least 4
times the peers' clips per second, at least 2,000 clips/s from the packed set; everywhere: waiting below 5 %.

    python benchmarks/step.py                   # this machine's GPU if it has one (about five minutes), else its CPU,
    in small batches (about five) python benchmarks/step.py --device cuda --batch 512
"""

import argparse
import csv
import faulthandler
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

COLUMNS = ['device', 'mode', 'method', 'dtype', 'batch', 'bank', 'seed', 'metric', 'value', 'n']
PEAK = {
    'H200': (989, 494, 67),
    'H100': (989, 494, 67),
    'A100': (312, 156, 19.5),
    'L40S': (362, 183, 91.6),
    '4090': (165, 82.6, 82.6),
}  # TFLOP/s, dense: bf16, TF32, float32
OURS = dict(
    cuda={'ours': ['run.amp=true', 'run.compile=true'], 'ours_eager': ['run.amp=true'], 'ours_float32': []},
    cpu={'ours': ['run.amp=true'], 'ours_float32': []},
)


def make_set(folder, rows, stored, seconds=2.0, fps=16.0, size=128, rate=24000, seed=0):
    "A manifest of `rows` clips and arrays of `stored` of them: noise, for nothing here looks at what is learned."
    import pandas as pd

    from avnb.manifest import Manifest
    from avnb.packed import adopt

    g = np.random.default_rng(seed)
    t, n = round(seconds * fps), round(seconds * rate)
    table = pd.DataFrame(
        dict(
            id=[f'{k:07}' for k in range(rows)],
            path=[f'{k:07}.mp4' for k in range(rows)],
            start_s=0.0,
            seconds=seconds,
            split='train',
            content_hash=[f'{k:x}' for k in range(rows)],
            audio_codec='none',
        )
    )
    Manifest(folder, table).save(folder / 'manifest.csv')
    packed = folder / 'packed'
    packed.mkdir()
    block = g.integers(0, 256, (min(stored, 16), t, size, size, 3), np.uint8)
    with open(packed / 'frames.u8', 'wb') as f:
        for k in range(0, stored, len(block)):
            f.write(np.roll(block, k, 3)[: stored - k].tobytes())
    with open(packed / 'audio.i16', 'wb') as f:
        for k in range(stored):
            f.write(g.integers(-9000, 9000, n, np.int16).tobytes())
    adopt(packed, Manifest(folder, table[:stored]), seconds, fps, size, rate)
    return folder / 'manifest.csv', packed


def make_shards(folder, manifest, stored, seconds=2.0, fps=16.0, size=128, rate=24000, seed=0):
    "The first `stored` clips as files and packed as shards: a soft texture that drifts, and noise."
    from avnb.manifest import Manifest
    from avnb.media import write_clip
    from avnb.packed import pack

    g = np.random.default_rng(seed)
    m = Manifest.load(manifest)
    m = Manifest(folder, m.table[:stored])
    for path in m.table.path:
        big = np.kron(g.integers(0, 230, (40, 40, 3)), np.ones((6, 6, 1), int)) + g.integers(0, 25, (240, 240, 3))
        frames = np.stack([big[2 * k : 2 * k + size, k : k + size] for k in range(round(seconds * fps))]).astype(
            np.uint8
        )
        write_clip(
            folder / path,
            frames,
            (0.1 * g.standard_normal(round(seconds * rate))).clip(-1, 1).astype(np.float32),
            fps,
            rate,
        )
    return pack(m, folder / 'shards', seconds, fps, size, rate, layout='shards', workers=os.cpu_count()).folder


def settings(a, manifest, packed, folder, options=()):
    "The config of a run of ours."
    from avnb.core import TrainConfig, set_options

    return set_options(
        TrainConfig(),
        [
            f'data.manifest="{manifest}"',
            f'data.packed="{packed}"',
            'data.size=128',
            'data.rate=24000',
            f'data.batch={a.batch}',
            'view.frames=8',
            'view.stride=2',
            'view.audio_seconds=2.0',
            f'view.size={a.size}',
            'view.front=linear',
            'view.n_fft=1024',
            'view.hop=240',
            f'model.net={a.net}',
            f'model.width={a.width}',
            'xid.candidates=full',
            'xid.warm_epochs=0.0',
            'optim.epochs=1',
            'optim.clip=1.0',
            f'run.device={a.device}',
            f'run.folder="{folder}"',
            f'run.seed={a.seed}',
            'run.log_every=5',
            'run.checkpoint_every=1000000',
            'run.save_maps=0',
            *options,
        ],
    )


def as_later(T, PackedSet):
    "Runs begin as they go on: with a bank that has been written. And the manifest's rows share the stored clips."
    begin = T.State.__init__

    def later(self, *a):
        begin(self, *a)
        self.bank.written.fill_(True)
        self.objective.begin_epoch()

    T.State.__init__ = later
    PackedSet.slots = lambda self, manifest, data=None: np.arange(len(manifest)) % len(self)


def clock(step, n, cuda):
    """Seconds per step over `n` steps, after three that warm up; on a CPU, where other programs run too, the fastest of
    `n`, after one."""
    for _ in range(3 if cuda else 1):
        step()
    if not cuda:
        return min(timed(step) for _ in range(n))
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    t = time.perf_counter()
    for _ in range(n):
        step()
    torch.cuda.synchronize()
    return (time.perf_counter() - t) / n


def timed(step):
    "Seconds of one step."
    t = time.perf_counter()
    step()
    return time.perf_counter() - t


def our_step(s, batch):
    "One step as `avnb.training.fit` takes it, on a batch that is on the device already."

    def step():
        index, video, spec = s.to_views(batch)
        out = s.forward(video, spec)
        loss, parts = s.objective(out, index, s.step)
        s.optimizer_step(loss, batch.index)
        s.bank.update(index, out.video.detach(), out.audio.detach(), validate=False)

    return step


def peers_step(cfg, index, video, spec, bank, negatives=1024, tau=0.07):
    "The peers' way in a few lines: float32, eager, gathered negatives, a look at the loss in every step."
    from avnb.runs import new_model

    model = new_model(cfg).to(video.device).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    v_bank, a_bank = bank.video.clone(), bank.audio.clone()

    def step():
        out = model(video, spec, local=False)
        rows = torch.cat([index[:, None], torch.randint(len(v_bank), (len(index), negatives), device=index.device)], 1)
        loss = sum(
            F.cross_entropy(torch.bmm(bar[rows], x[:, :, None])[:, :, 0] / tau, torch.zeros_like(index))
            for x, bar in ((out.video, a_bank), (out.audio, v_bank))
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for bar, x in ((v_bank, out.video), (a_bank, out.audio)):
                bar[index] = F.normalize(0.5 * bar[index] + 0.5 * x, dim=1)
        return loss.item()

    return step


def from_packed(cfg, steps):
    "Clips per second and percent of waiting of `fit` on a packed set, over the later half of its log lines."
    import pandas as pd

    from avnb.training import RunStopped, fit

    done = []

    def enough(state):
        if state.step >= steps:
            done.append(state.step)
            state.stop.set()

    try:
        fit(cfg, None, [enough])
    except RunStopped:
        if not done:
            sys.exit('step.py was stopped by a signal; nothing was written')
    log = pd.read_csv(Path(cfg.run.folder, 'log.csv')).iloc[1:]
    late = log.iloc[len(log) // 2 :]
    return dict(clips_per_s=float(late.clips_per_s.median()), wait_percent=float(late.wait_percent.mean())), len(late)


def flops(cfg, video, spec):
    "Floating-point operations of the networks per clip, forward and backward."
    from torch.utils.flop_counter import FlopCounterMode

    from avnb.runs import new_model

    model = new_model(cfg).train()
    with FlopCounterMode(display=False) as count:
        out = model(video[:2].cpu(), spec[:2].cpu(), local=False)
        (out.video.sum() + out.audio.sum()).backward()
    return count.get_total_flops() / 2


def peak(device, seconds=0.5):
    "{kind of number: TFLOP/s at most} and how that is known."
    if device.type == 'cuda':
        name = torch.cuda.get_device_name(device)
        for k, (half, tf32, full) in PEAK.items():
            if k in name:
                return dict(bf16=half, tf32=tf32, float32=full), f'data sheet, {name}'
    rates = {}
    for kind, dtype in (('bf16', torch.bfloat16), ('float32', torch.float32)):
        new = lambda *shape: torch.randn(shape, device=device).to(dtype)
        work = [(2 * n**3, lambda x=new(n, n), y=new(n, n): x @ y) for n in (1024, 2048)]
        for b, c, o, t, h, k in (
            (8, 128, 230, 4, 28, (1, 3, 3)),
            (8, 256, 460, 2, 14, (1, 3, 3)),
            (8, 256, 256, 2, 28, (1, 3, 3)),
            (8, 288, 128, 4, 28, (3, 1, 1)),
        ):
            for how in (torch.contiguous_format, torch.channels_last_3d):
                x, w = new(b, c, t, h, h).contiguous(memory_format=how), new(o, c, *k).contiguous(memory_format=how)
                work.append(
                    (
                        2 * x.numel() * w.numel() / c,
                        lambda x=x, w=w, k=k: F.conv3d(x, w, padding=tuple(p // 2 for p in k)),
                    )
                )
        with torch.no_grad():
            rates[kind] = max(n / fastest(f, seconds, device) for n, f in work) / 1e12
    return dict(rates, tf32=rates['float32']), f'measured, the best of {len(work)} products and convolutions'


def fastest(f, seconds, device):
    "Seconds of the fastest of many calls."
    end, best = time.perf_counter() + seconds, float('inf')
    while time.perf_counter() < end or best == float('inf'):
        best = min(best, clock(f, 3, device.type == 'cuda'))
    return best


def machine(cuda):
    "What it is measured on."
    if cuda:
        return torch.cuda.get_device_name()
    lines = Path('/proc/cpuinfo').read_text().splitlines() if Path('/proc/cpuinfo').exists() else []
    model = next((l.split(':')[1].strip() for l in lines if l.startswith('model name')), 'CPU')
    return f'{model}, {torch.get_num_threads()} threads'


class Table:
    "Rows as they are measured; what stands in the file for other machines stays."

    def __init__(self, a, name):
        self.a, self.name, self.rows = a, name, []

    def note(self, mode, method, dtype, n, **values):
        a = self.a
        for k, v in values.items():
            self.rows.append([self.name, mode, method, dtype, a.batch, a.bank, a.seed, k, f'{v:.5g}', n])
        print(f'{mode:7} {method:14} {dtype:8}', '  '.join(f'{k} {v:,.4g}' for k, v in values.items()), flush=True)

    def save(self):
        out = Path(self.a.out)
        out.parent.mkdir(parents=True, exist_ok=True)
        kept = [r for r in csv.reader(open(out))][1:] if out.exists() else []
        with open(out, 'w', newline='') as f:
            w = csv.writer(f, lineterminator='\n')
            w.writerow(COLUMNS)
            w.writerows([r for r in kept if r[0] != self.name] + self.rows)
        print(
            f'{out.name}: {len(self.rows)} rows for {self.name}; at most '
            f'{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB of memory'
        )


def never_silent():
    "A crash leaves a traceback, a signal a line."
    faulthandler.enable()
    for s in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(
            s, lambda number, _: sys.exit(f'step.py was stopped by {signal.Signals(number).name}; nothing was written')
        )


def options(argv=None):
    "The command line, with this machine's defaults."
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu', choices=['cpu', 'cuda'])
    p.add_argument('--batch', type=int, help='default 256 on a GPU, 8 on a CPU')
    p.add_argument('--steps', type=int, help='default 30 and 8')
    p.add_argument('--bank', type=int, default=240_000)
    p.add_argument('--size', type=int, default=112)
    p.add_argument('--net', default='avid')
    p.add_argument('--width', type=int, default=64)
    p.add_argument('--seed', type=int, default=0)
    p.add_argument(
        '--packed-steps', type=int, help='of the runs that read packed sets; default 120 and 60; 0 leaves them out'
    )
    p.add_argument('--out', default=str(Path(__file__).parent / 'results' / 'step.csv'))
    a = p.parse_args(argv)
    cuda = a.device == 'cuda'
    if cuda and not torch.cuda.is_available():
        p.error('torch sees no GPU here')
    a.batch, a.steps = a.batch or (256 if cuda else 8), a.steps or (30 if cuda else 8)
    a.packed_steps = (120 if cuda else 60) if a.packed_steps is None else a.packed_steps
    return a


def steps(a, T, manifest, packed, work, table):
    "Rows of single steps; returns {(method, kind of number): clips per second} and GFLOP per clip."
    cuda, device, speed, each = a.device == 'cuda', torch.device(a.device), {}, None
    plain = settings(a, manifest, packed, work / 'plain')
    loaded = T.Manifest.load(manifest)
    for method, options in OURS[a.device].items():
        s = T.State(settings(a, manifest, packed, work / method, options), loaded)
        s.model.train()
        batch = s.data.fetch(np.arange(a.batch), 0).to(device)
        index, video, spec = s.to_views(T.ClipDataset.fetch(s.data, np.arange(a.batch), 0))
        each = each or flops(plain, video, spec)
        b = type(batch)(batch.index.cpu(), batch.frames, batch.waveform)
        kind = 'bf16' if 'run.amp=true' in options else 'tf32' if cuda else 'float32'
        speed[method, kind] = v = a.batch / clock(our_step(s, b), a.steps, cuda)
        table.note(
            'step',
            method,
            kind,
            a.steps,
            clips_per_s=v,
            **(dict(gb=torch.cuda.max_memory_allocated() / 1e9) if cuda else {}),
        )
        bank = s.bank
        del s
    index, video, spec = (x.to(device) for x in (index, video, spec))
    for method, exact in (('peers', False), ('peers_ieee', True)) if cuda else (('peers', True),):
        torch.backends.cudnn.allow_tf32 = not exact  # torch's default lets convolutions round to TF32
        kind = 'float32' if exact else 'tf32'
        speed[method, kind] = v = a.batch / clock(peers_step(plain, index, video, spec, bank), a.steps, cuda)
        torch.backends.cudnn.allow_tf32 = True
        table.note('step', method, kind, a.steps, clips_per_s=v)
    return speed, each / 1e9


def main():
    a = options()
    cuda, device = a.device == 'cuda', torch.device(a.device)
    never_silent()
    os.environ.setdefault('AVNB_PROGRESS', '0')
    import avnb.training as T
    from avnb.packed import PackedSet

    as_later(T, PackedSet)
    table = Table(a, machine(cuda))
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        manifest, packed = make_set(work, a.bank, 1024 if cuda else max(16, a.batch), seed=a.seed)
        first, known = peak(device)
        print(f'{table.name}, torch {torch.__version__}', flush=True)
        speed, each = steps(a, T, manifest, packed, work, table)
        top = {k: max(v, first[k]) for k, v in peak(device)[0].items()}
        print(
            f'networks: {each:,.1f} GFLOP per clip, forward and backward; peak ({known}): '
            + ', '.join(f'{k} {v:,.3g} TFLOP/s' for k, v in top.items() if cuda or k != 'tf32')
        )
        for (method, kind), v in speed.items():
            table.note(
                'step',
                method,
                kind,
                a.steps,
                tflops=v * each / 1e3,
                peak_tflops=top[kind],
                share_of_peak=v * each / 1e3 / top[kind],
            )
        by, ours = {m: v for (m, _), v in speed.items()}, OURS[a.device]['ours']
        table.note(
            'step', 'ours', 'bf16', a.steps, **{f'over_{m}': by['ours'] / v for m, v in by.items() if m != 'ours'}
        )
        for mode in ('packed', 'shards') if a.packed_steps else ():
            try:
                stored = packed if mode == 'packed' else make_shards(work, manifest, 64, seed=a.seed)
            except ImportError as e:
                print(f'{mode}: absent: {e}')
                continue  # a machine without a decoder
            row, n = from_packed(
                settings(a, manifest, stored, work / mode, [*ours, f'data.workers={min(12, os.cpu_count() - 1) or 1}']),
                a.packed_steps,
            )
            table.note(mode, 'ours', 'bf16', n, **row, over_peers=row['clips_per_s'] / by['peers'])
        table.save()


if __name__ == '__main__':
    main()
