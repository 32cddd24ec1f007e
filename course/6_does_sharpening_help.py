# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6. Does sharpening help?
#
# The course ends with a question. Its network for CIFAR-10 reached 80.23 % on plain pictures. On sharpened ones
# another network reached 81.31 %. So sharpening helps?
#
# Nothing of the kind has been shown. This notebook says why, and how to ask properly.

# %%
import os
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from scipy.stats import binomtest, t

import foveola as fv
from foveola.data.builtin import open_digits
from foveola.data.prepare import prepare
from foveola.figures import comparisons as plots
from foveola.figures import data as data_plots
from foveola.figures import runs as run_plots
from foveola.recipes.recipe import recipe_from_tables
from foveola.workflows import open_data

given = os.environ.get("FOVEOLA_COURSE_CIFAR10")
dataset = open_data(recipe_from_tables({"data": {"source": given}})) if given else open_digits()
print(
    "CIFAR-10"
    if given
    else "the embedded digits; the runs below are about them and say nothing about CIFAR-10"
)

# %% [markdown]
# ## Three things at once
#
# Between the two runs *three* things were different: the pictures, the network (the second had one batch norm
# more), and the number of epochs. If a change was for the better, any of the three may be the reason. A
# comparison needs two runs that differ in **one** thing.
#
# ## One run each
#
# The difference is 1.08 percentage points. First: how exactly is one accuracy known, from 10,000 pictures?

# %%
for right in (8023, 8131):
    interval = binomtest(right, 10_000).proportion_ci(0.95, method="wilson")
    print(f"{right / 10_000:.2%}: between {interval.low:.1%} and {interval.high:.1%}")

# %% [markdown]
# That is the chance of the test pictures. The chance of *training* comes on top: first weights, order and
# augmentation are drawn by lot. Train the same network with another seed, and its accuracy differs. The ten runs on
# plain pictures in the table at the end lie between 80.3 and 81.0 %; five of the course's own network, stopped after
# four epochs, between 62.0 and 65.2 %. From one run of each kind nobody can tell a better method from a luckier seed.
#
# ## How to ask properly
#
# 1. Change one thing: here the chain, and nothing else.
# 2. Run both with several seeds, the *same* seeds on both sides. Run 0 without and run 0 with sharpening have the
#    same split, the same order and the same first weights drawn by lot, so part of the chance is the same for both,
#    and drops out of their difference. (Not all first weights are drawn: `fast` computes those of its first layer from
#    the training pictures, and they differ as the pictures do.)
# 3. Look at the differences: their mean, and an interval for it. If the interval holds 0, no difference was shown; nor
#    that there is none.
# 4. Decide on the number of seeds beforehand. Whoever goes on until it fits, will find that it fits.

# %%
pixels = prepare(dataset, fv.Size(32, 32)).pixels[:5]
data_plots.before_after(
    list(pixels), list(fv.Chain.parse("sharpen")(np.asarray(pixels))), "sharpen"
)

# %%
seeds, epochs = 5, 4
work = Path(mkdtemp())
found = fv.compare(
    dataset,
    ["plain", "sharpened: chain=sharpen"],
    seeds=seeds,
    settings={"model.name": "fast", "data.size": "32x32", "fit.epochs": epochs},
    runs=work,
)
plain, sharp = 100 * found.accuracy
for seed, one, other in zip(found.seeds, plain, sharp, strict=True):
    print(f"seed {seed}: plain {one:.2f} %, sharpened {other:.2f} %, difference {other - one:+.2f}")

# %%
plots.paired(found)

# %% [markdown]
# The interval for the mean difference, by Student's t (W. S. Gosset, 1908), for differences that scatter about their
# mean like a bell curve. (Where every seed has a split of its own, the training parts overlap, the differences
# depend on each other, and the interval must be wider; foveola adds that by a correction of Nadeau and Bengio. And no
# accuracy is known better than to one test picture, so the deviation counts as one picture's worth at least.)

# %%
differences = sharp - plain
mean, n = differences.mean(), len(differences)
deviation = max(differences.std(ddof=1), 100 / len(found.correct[0][0]))
reach = t.ppf(0.975, n - 1) * deviation * np.sqrt(1 / n + found.test_to_train)
print(
    f"mean difference {mean:+.2f} points, 95 % interval {mean - reach:+.2f} to {mean + reach:+.2f}, {n} pairs of runs"
)

# %% [markdown]
# The same as foveola says it, with its verdict:

# %%
low, high, _ = found.against_baseline()[0].difference.interval
assert np.allclose((low, high), (mean - reach, mean + reach))
print(found.against_baseline()[0].sentence)

# %% [markdown]
# ## A sharpened run, looked at
#
# The curves, test pictures and probabilities of one of the runs on sharpened pictures, as in the notebook before. They
# look much like those of plain pictures, and so they would with a gain or a loss of a point: pictures of one run can't
# tell.

# %%
every = [fv.open_run(line.path) for line in fv.runs(work)]
sharpened = next(run for run in every if run.recipe.data.chain == "sharpen" and run.seed == 0)
run_plots.curves(sharpened)

# %%
run_plots.predictions(sharpened)

# %%
run_plots.probabilities(sharpened, n=4)

# %% [markdown]
# ## What to expect
#
# A network's kernels can learn to sharpen by themselves, if that is any use; the whitening at the beginning of
# `fast` does something like it from the start. What sharpening does for certain is to strengthen the noise that is in
# the pictures, and clipping at 0 and 255 throws something away for good. So a gain would be a surprise. Surprises
# happen; that is why one measures.
#
# And if the pictures are just too small? Enlarging them (`--size 64x64`) adds no information either, but gives
# the layers more places to look from, at four times the cost. Whether it pays can be asked in the same way.
#
# ## In one command, with more seeds and more filters
#
# ```
# foveola compare cifar10 --arm plain --arm "sharpened: chain=sharpen" \
#     --arm "blurred: chain=blur(size=3)" \
#     --arm "blurred, then sharpened: chain=blur(size=3)|sharpen" \
#     --arm "equalized: chain=equalize" --seeds 10 --model fast --epochs 2
# ```
#
# On CIFAR-10 saved as JPEG that took 22 minutes on two cores, and says:
#
# | pictures | test accuracy (95 % interval) | against plain, points (95 % interval) | worse in |
# |---|---|---|---|
# | plain | 80.66 % (79.95 to 81.34) | | |
# | sharpened | 79.77 % (79.04 to 80.48) | −0.89 (−1.07 to −0.70) | 10 pairs of 10 |
# | blurred | 80.09 % (79.38 to 80.79) | −0.56 (−0.73 to −0.39) | 10 of 10 |
# | blurred, then sharpened | 80.14 % (79.41 to 80.84) | −0.52 (−0.73 to −0.31) | 10 of 10 |
# | equalized | 76.51 % (75.75 to 77.26) | −4.14 (−4.34 to −3.95) | 10 of 10 |
#
# And the course's own network, as the course trains it but for four epochs, with five seeds: 64.1 % on plain pictures,
# 64.5 % on sharpened ones, a difference of +0.39 points with an interval from −2.56 to +3.34. Not enough evidence. Look
# at single seeds, though: with seed 0 sharpening hurts by 1.9 points and with seed 4 it helps by 3.8, and McNemar's test
# on the test pictures is sure of either (p below 0.001). It knows nothing of other seeds. That is how a claim from one run
# of each kind comes about.
#
# So `fast` gains by none of the filters. Each of them hurts: three by half a point to a point, `equalize` by four. What
# the course read off two single runs may have been luck, or the other network, or the other number of epochs. It is an
# answer about these pictures and these networks. About yours, ask again.
