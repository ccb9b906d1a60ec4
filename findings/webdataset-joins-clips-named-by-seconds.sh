#!/usr/bin/env bash
# Guess:    A sample's files share their name up to the extension: clip_1.5_3.5.mp4 and clip_1.5_3.5.json make one
#           sample, clip_1.7_3.7 another; two files with one key and extension are an error, so at worst it raises.
# Happens:  The key ends at the FIRST dot. All clips of a video cut at fractional seconds get the key clip_1 and become
#           ONE sample with fields '5_3.5.mp4', '7_3.7.mp4': the extensions differ, so nothing clashes and nothing is
#           raised. Six files of three clips are one sample of six fields. Files whose name starts with a dot or has no
#           extension vanish silently.
# Hurts:    A shard counts fewer samples than clips; code that takes the first *.mp4 and the first *.json pairs one
#           clip's picture with another's label.
# Versions: webdataset 1.0.2, numpy 2.4.6
# Seen:     three clips named by seconds: 1 sample, key v_1, six fields; named by frames: 3 samples; '.hidden.mp4' and
#           'noextension': gone
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q webdataset==1.0.2 numpy==2.4.6
venv/bin/python - <<'PY'
import io
import tarfile
import webdataset


def samples(names):
    with tarfile.open('shard.tar', 'w') as t:
        for name in names:
            for ending in ('mp4', 'json'):
                member = tarfile.TarInfo(f'{name}.{ending}')
                member.size = len(name)
                t.addfile(member, io.BytesIO(name.encode()))
        for name in ('.hidden.mp4', 'noextension'):
            t.addfile(tarfile.TarInfo(name), io.BytesIO())
    found = webdataset.WebDataset('shard.tar', shardshuffle=False)
    return [{k: v for k, v in s.items() if k not in ('__url__', '__local_path__')} for s in found]


by_seconds = samples(['v_1.5_3.5', 'v_1.7_3.7', 'v_1.9_3.9'])
by_frames = samples(['v_0037_0087', 'v_0042_0092', 'v_0047_0097'])
print('named by seconds:', [sorted(s) for s in by_seconds])
print('named by frames: ', [sorted(s) for s in by_frames])
assert len(by_seconds) == 1 and by_seconds[0]['__key__'] == 'v_1' and len(by_seconds[0]) == 7
assert [s['__key__'] for s in by_frames] == ['v_0037_0087', 'v_0042_0092', 'v_0047_0097']
PY
