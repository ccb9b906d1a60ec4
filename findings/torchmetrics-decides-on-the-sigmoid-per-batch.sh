#!/usr/bin/env bash
# Guess:    AUROC and average precision of torchmetrics depend on the order of the scores only, so they are the same for
#           any batch size and for any increasing function of the scores: cosines and logits go in as they are.
# Happens:  Each update() looks whether any score of THIS batch lies outside 0..1, and if so takes the sigmoid of the
#           whole batch. Of cosines of which 1 in 800 is below 0, a batch without one keeps 0.45 and one with it has
#           0.61 for the same clip: the batches no longer compare. And logits above 16 all become 1.0 in float32: ties,
#           which cost a third of the average precision that the same logits have as ranks.
# Hurts:    AP and AUROC of audio-visual match scores change with the batch size, and between validation with one and
#           with many devices; the best checkpoint is picked by it. A well-trained, over-confident model loses most.
# Versions: torchmetrics 1.9.0, torch 2.13.0, numpy 2.4.6 (PIP_EXTRA_INDEX_URL can name a source of CPU builds of torch)
# Seen:     the same 4096 cosines: AP 0.694 with batches of 8, 0.658 of 128, 0.628 of 512, 0.696 at once; AUROC 0.929,
#           0.918, 0.905, 0.929; 4096 logits: AP 0.143, their ranks 0.221
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6
OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PY'
import numpy as np
import torch
from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision

N = 4096
rng = np.random.default_rng(0)
labels = torch.tensor(rng.random(N) < 0.1).long()
cosines = np.clip(rng.normal(size=N) * 0.15 + 0.45 + 0.3 * labels.numpy(), -1, 1)
logits = rng.normal(size=N) * 10 + 15 + 8 * labels.numpy()


def score(metric, scores, batch):
    scores = torch.tensor(scores, dtype=torch.float32)
    for i in range(0, N, batch):
        metric.update(scores[i:i + batch], labels[i:i + batch])
    return float(metric.compute())


print('cosines below 0:', int((cosines < 0).sum()), 'of', N)
seen = {}
for batch in (8, 128, 512, N):
    seen[batch] = score(BinaryAveragePrecision(), cosines, batch), score(BinaryAUROC(), cosines, batch)
    print('cosines in batches of', batch, 'AP {:.3f} AUROC {:.3f}'.format(*seen[batch]))
ranks = np.argsort(np.argsort(logits)) / N
as_logits, as_ranks = score(BinaryAveragePrecision(), logits, N), score(BinaryAveragePrecision(), ranks, N)
print(f'logits: AP {as_logits:.3f}, their ranks {as_ranks:.3f}')
assert (cosines < 0).sum() == 5
assert seen[8][0] > seen[128][0] + 0.02 > seen[512][0] + 0.04 and seen[N][0] > 0.69 and seen[512][1] < seen[N][1] - 0.02
assert as_logits < 0.75 * as_ranks
PY
