"""Clips per second of a full training step: ours against a plain fp32 eager step with K = 1024 gathered negatives (the peers' way).

8 frames of 112 x 112 and 2 s of sound at 24 kHz (257 bins), R(2+1)D-18 and the 9-layer audio net, a bank of 240,000 clips. Ours is `avnb.training` itself: views on the
device from uint8 frames and waveforms, both networks, the exact loss over the whole bank, clipping, AdamW, the bank's update. The peers' step gets pictures and spectrograms
that are ready: both networks in float32, a softmax over 1,024 gathered rows of each bank, Adam, the bank's update, and `.item()` for the log. `step` uses one batch again and
again; `packed` is `fit` reading a packed set of arrays (generated here, no decoder needed), with the share of time spent waiting for it. The rows of the manifest share a few
stored clips, so the set lies in the system's cache after the first pass.
Flops are those of the networks, counted by torch, forward and backward, the same for all. Peak: the data sheet's of a GPU that is known here, else the rate of a large matrix product.
Claims, on an H200: at least 4 times the peers' clips per second, at least 2,000 clips/s from the packed set, waiting below 5 %.

    python benchmarks/step.py                   # this machine's GPU if it has one (about four minutes), else its CPU, in small (about three)
    python benchmarks/step.py --device cuda --batch 512
"""
import argparse, csv, json, os, tempfile, time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

COLUMNS = ['device', 'mode', 'method', 'batch', 'bank', 'seed', 'metric', 'value', 'n']
PEAK = {'H200': (989, 494, 67), 'H100': (989, 494, 67), 'A100': (312, 156, 19.5), 'L40S': (362, 183, 91.6), '4090': (165, 82.6, 82.6)}   # TFLOP/s, dense: bf16, TF32, float32
OURS = dict(cuda={'ours': ['run.amp=true', 'run.compile=true'], 'ours_eager': ['run.amp=true'], 'ours_float32': []}, cpu={'ours': ['run.amp=true'], 'ours_float32': []})


def make_set(folder, rows, stored, seconds=2.0, fps=16.0, size=128, rate=24000, seed=0):
    "A manifest of `rows` clips and arrays of `stored` of them: noise, for nothing here looks at what is learned."
    import pandas as pd
    from avnb.clips import row_keys
    from avnb.manifest import Manifest
    g = np.random.default_rng(seed); t, n = round(seconds * fps), round(seconds * rate)
    table = pd.DataFrame(dict(id=[f'{k:07}' for k in range(rows)], path=[f'{k:07}.mp4' for k in range(rows)], start_s=0.0, seconds=seconds, split='train',
                              content_hash=[f'{k:x}' for k in range(rows)], audio_codec='none'))
    m = Manifest(folder, table); m.save(folder / 'manifest.csv'); m = Manifest.load(folder / 'manifest.csv')
    packed = folder / 'packed'; packed.mkdir(); block = g.integers(0, 256, (min(stored, 16), t, size, size, 3), np.uint8)
    with open(packed / 'frames.u8', 'wb') as f:
        for k in range(0, stored, len(block)): f.write(np.roll(block, k, 3)[:stored - k].tobytes())
    with open(packed / 'audio.i16', 'wb') as f:
        for k in range(stored): f.write(g.integers(-9000, 9000, n, np.int16).tobytes())
    (packed / 'meta.json').write_text(json.dumps(dict(frames=[stored, t, size, size, 3], audio=[stored, n], seconds=seconds, fps=fps, size=size, rate=rate,
                                                      manifest_hash=m.hash, keys=row_keys(m)[:stored], bad={}, key='benchmark')))
    return folder / 'manifest.csv', packed


def settings(a, manifest, packed, folder, options=()):
    "The config of a run of ours."
    from avnb.core import TrainConfig, set_options
    return set_options(TrainConfig(), [
        f'data.manifest="{manifest}"', f'data.packed="{packed}"', 'data.size=128', 'data.rate=24000', f'data.batch={a.batch}', 'view.frames=8', 'view.stride=2', 'view.audio_seconds=2.0',
        f'view.size={a.size}', 'view.front=linear', 'view.n_fft=1024', 'view.hop=240', f'model.net={a.net}', f'model.width={a.width}', 'xid.candidates=full', 'xid.warm_epochs=0.0', 'optim.epochs=1',
        'optim.clip=1.0', f'run.device={a.device}', f'run.folder="{folder}"', f'run.seed={a.seed}', 'run.log_every=10', 'run.checkpoint_every=1000000', 'run.maps=0', *options])


def as_later(T, PackedSet):
    "Runs begin as they go on: with a bank that has been written. And the manifest's rows share the stored clips."
    begin = T.State.__init__
    def later(self, *a): begin(self, *a); self.bank.written.fill_(True); self.objective.begin_epoch()
    T.State.__init__ = later
    PackedSet.slots = lambda self, manifest, data=None: np.arange(len(manifest)) % len(self)


def clock(step, n, cuda):
    "Seconds per step over `n` steps, after three that warm up; on a CPU, where other programs run too, the fastest of `n`, after one."
    for _ in range(3 if cuda else 1): step()
    if cuda: torch.cuda.synchronize(); torch.cuda.reset_peak_memory_stats()
    if not cuda: return min(timed(step) for _ in range(n))
    t = time.perf_counter()
    for _ in range(n): step()
    torch.cuda.synchronize()
    return (time.perf_counter() - t) / n


def timed(step):
    "Seconds of one step."
    t = time.perf_counter(); step()
    return time.perf_counter() - t


def our_step(s, batch):
    "One step as `avnb.training.fit` takes it, on a batch that is on the device already."
    def step():
        index, video, spec = s.see(batch)
        out = s.forward(video, spec)
        loss, parts = s.objective(out, index, s.step)
        s.learn(loss)
        s.bank.update(index, out.video.detach(), out.audio.detach(), validate=False)
    return step


def peers_step(cfg, index, video, spec, bank, negatives=1024, tau=0.07):
    "The peers' way in a few lines: float32, eager, gathered negatives, a look at the loss in every step."
    from avnb.training import new_model
    model = new_model(cfg).to(video.device).train(); optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    v_bank, a_bank = bank.video.clone(), bank.audio.clone()

    def step():
        out = model(video, spec, local=False)
        rows = torch.cat([index[:, None], torch.randint(len(v_bank), (len(index), negatives), device=index.device)], 1)
        loss = sum(F.cross_entropy(torch.bmm(bar[rows], x[:, :, None])[:, :, 0] / tau, torch.zeros_like(index)) for x, bar in ((out.video, a_bank), (out.audio, v_bank)))
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        with torch.no_grad():
            for bar, x in ((v_bank, out.video), (a_bank, out.audio)): bar[index] = F.normalize(0.5 * bar[index] + 0.5 * x, dim=1)
        return loss.item()
    return step


def from_packed(cfg, steps):
    "Clips per second and percent of waiting of `fit` on the packed set, over the later half of its log lines."
    import pandas as pd
    from avnb.training import RunStopped, fit
    def enough(state):
        if state.step >= steps: state.stop.set()
    try: fit(cfg, None, [enough])
    except RunStopped: pass
    log = pd.read_csv(Path(cfg.run.folder, 'log.csv')).iloc[1:]; late = log.iloc[len(log) // 2:]
    return float(late.clips_per_s.median()), float(late.wait_percent.mean()), len(late)


def flops(cfg, video, spec):
    "Floating-point operations of the networks per clip, forward and backward."
    from torch.utils.flop_counter import FlopCounterMode
    from avnb.training import new_model
    model = new_model(cfg).train()
    with FlopCounterMode(display=False) as count: out = model(video[:2].cpu(), spec[:2].cpu(), local=False); (out.video.sum() + out.audio.sum()).backward()
    return count.get_total_flops() / 2


def peak(device):
    "{kind of arithmetic: TFLOP/s at most} and how that is known."
    if device.type == 'cuda':
        name = torch.cuda.get_device_name(device)
        for k, (half, tf32, full) in PEAK.items():
            if k in name: return dict(bf16=half, tf32=tf32, float32=full), f'data sheet, {name}'
    rates = {}
    for kind, dtype in (('bf16', torch.bfloat16), ('float32', torch.float32)):
        x = torch.randn(2048, 2048, device=device, dtype=dtype)
        rates[kind] = 2 * 2048 ** 3 / min(clock(lambda: x @ x, 3, device.type == 'cuda') for _ in range(3)) / 1e12
    return dict(rates, tf32=rates['float32']), 'measured product of 2048 x 2048'


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu', choices=['cpu', 'cuda'])
    p.add_argument('--batch', type=int, help='default 256 on a GPU, 4 on a CPU'); p.add_argument('--steps', type=int, help='default 30 and 4'); p.add_argument('--bank', type=int, default=240_000)
    p.add_argument('--size', type=int, default=112); p.add_argument('--net', default='avid'); p.add_argument('--width', type=int, default=64); p.add_argument('--seed', type=int, default=0)
    p.add_argument('--packed-steps', type=int, help='of the run that reads the packed set; default 120 and 0 (then it is left out)')
    p.add_argument('--out', default=str(Path(__file__).parent / 'results' / 'step.csv'))
    a = p.parse_args(); cuda = a.device == 'cuda'
    if cuda and not torch.cuda.is_available(): p.error('torch sees no GPU here')
    a.batch, a.steps = a.batch or (256 if cuda else 4), a.steps or (30 if cuda else 4)
    a.packed_steps = (120 if cuda else 0) if a.packed_steps is None else a.packed_steps
    device, rows = torch.device(a.device), []
    os.environ.setdefault('AVNB_PROGRESS', '0')
    import avnb.training as T
    from avnb.clips import PackedSet
    as_later(T, PackedSet)

    def note(mode, method, n, **values):
        for k, v in values.items(): rows.append([name, mode, method, a.batch, a.bank, a.seed, k, f'{v:.5g}', n])
        print(f'{mode:7} {method:14}', '  '.join(f'{k} {v:,.4g}' for k, v in values.items()), flush=True)

    with tempfile.TemporaryDirectory() as work:
        work = Path(work); manifest, packed = make_set(work, a.bank, 1024 if cuda else max(16, a.batch), seed=a.seed)
        name = torch.cuda.get_device_name() if cuda else f'CPU, {torch.get_num_threads()} threads'
        top, known = peak(device); print(f'{name}, torch {torch.__version__}; peak: {known}: ' + ', '.join(f'{k} {v:,.3g} TFLOP/s' for k, v in top.items()))
        table = T.Manifest.load(manifest); plain = settings(a, manifest, packed, work / 'plain'); speed, each = {}, None
        for method, options in OURS[a.device].items():
            s = T.State(settings(a, manifest, packed, work / method, options), table); s.model.train()
            batch = s.data.fetch(np.arange(a.batch), 0).to(device)
            if each is None:
                index, video, spec = s.see(T.ClipDataset.fetch(s.data, np.arange(a.batch), 0)); each = flops(plain, video, spec); print(f'networks: {each / 1e9:,.1f} GFLOP per clip, forward and backward')
            b = type(batch)(batch.index.cpu(), batch.frames, batch.waveform); seconds = clock(our_step(s, b), a.steps, cuda)
            speed[method] = a.batch / seconds; kind = 'bf16' if 'run.amp=true' in options else 'tf32' if cuda else 'float32'
            memory = dict(gb=torch.cuda.max_memory_allocated() / 1e9) if cuda else {}
            note('step', method, a.steps, clips_per_s=speed[method], tflops=speed[method] * each / 1e12, share_of_peak=speed[method] * each / 1e12 / top[kind], **memory)
            bank = s.bank; del s
        index, video, spec = (x.to(device) for x in (index, video, spec))
        for method, exact in (('peers', False), ('peers_ieee', True)) if cuda else (('peers', False),):
            if cuda: torch.backends.cudnn.allow_tf32 = not exact                                       # torch's default lets convolutions round to TF32
            speed[method] = a.batch / clock(peers_step(plain, index, video, spec, bank), a.steps, cuda)
            kind = 'tf32' if cuda and not exact else 'float32'
            note('step', method, a.steps, clips_per_s=speed[method], tflops=speed[method] * each / 1e12, share_of_peak=speed[method] * each / 1e12 / top[kind])
            if cuda: torch.backends.cudnn.allow_tf32 = True
        note('step', 'ours', a.steps, **{f'over_{k}': speed['ours'] / speed[k] for k in speed if k.startswith('peers')})
        if a.packed_steps:
            c, wait, n = from_packed(settings(a, manifest, packed, work / 'run', OURS[a.device]['ours']), a.packed_steps)
            note('packed', 'ours', n, clips_per_s=c, wait_percent=wait, over_peers=c / speed['peers'])
    out = Path(a.out); out.parent.mkdir(parents=True, exist_ok=True)
    kept = [r for r in csv.reader(open(out))][1:] if out.exists() else []
    with open(out, 'w', newline='') as f:
        w = csv.writer(f, lineterminator='\n'); w.writerow(COLUMNS); w.writerows([r for r in kept if r[0] != name] + rows)      # other devices' rows stay
    print(f'{out.name}: {len(rows)} rows for {name}')


if __name__ == '__main__': main()
