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
# The course ends with a question. Its network for CIFAR-10 reached 80.23 % on plain images. On sharpened ones
# another network reached 81.31 %. So sharpening helps?
#
# These two runs do not show that. This notebook explains why, and how to ask properly.

# %%
import os
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from scipy.stats import binomtest, t

import foveola as fv

given = os.environ.get("FOVEOLA_COURSE_CIFAR10")
dataset = fv.open_dataset(given or "digits")
print(
    "CIFAR-10"
    if given
    else "the embedded digits; the runs below are about them and say nothing about CIFAR-10"
)

# %% [markdown]
# ## Three things at once
#
# *Three* things differ between the two runs: the images, the network (the second has one more batch norm), and the
# number of epochs. Any of the three may be the reason for an improvement. A comparison needs two runs that differ in
# **one** thing.
#
# ## One run each
#
# The difference is 1.08 percentage points. First: how exactly is one accuracy known, from 10,000 images?

# %%
for right in (8023, 8131):
    interval = binomtest(right, 10_000).proportion_ci(0.95, method="wilson")
    print(f"{right / 10_000:.2%}: between {interval.low:.1%} and {interval.high:.1%}")

# %% [markdown]
# That is the uncertainty from the test images. *Training* adds more: the initial weights, the order and the
# augmentation are random. Train the same network with another seed, and its accuracy differs. The ten runs on
# plain images in the table at the end reach between 80.3 and 81.0 %. Five runs of the course's own network, stopped after
# four epochs, reach between 62.0 and 65.2 %. One run of each kind can't distinguish a better method from a luckier seed.
#
# ## A fair comparison
#
# 1. Change one thing: here the chain, and nothing else.
# 2. Run both with several seeds, the *same* seeds on both sides. Run 0 without and run 0 with sharpening have the
#    same split, the same order and the same random initial weights, so part of the random variation is the same for both
#    and cancels in their difference. (Not all initial weights are random: `fast` computes those of its first layer from
#    the training images, so they differ between the arms.)
# 3. Look at the differences: their mean, and an interval for it. If the interval contains 0, the runs show no difference.
#    They do not show that there is none, either.
# 4. Decide on the number of seeds beforehand. If you add seeds until you like the result, you will get that result.

# %%
pixels = fv.prepare(dataset, fv.Size(32, 32)).pixels[:5]
fv.figures.before_after(
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
fv.figures.paired(found)

# %% [markdown]
# The interval for the mean difference, by Student's t (W. S. Gosset, 1908), assumes normally distributed differences.
# (If every seed has its own split, the training sets overlap, the differences are correlated, and the interval must
# be wider. foveola uses the correction of Nadeau and Bengio. And an accuracy is never known better than to one test
# image, so the deviation is at least that of one image.)

# %%
differences = sharp - plain
mean, n = differences.mean(), len(differences)
deviation = max(differences.std(ddof=1), 100 / len(found.correct[0][0]))
reach = t.ppf(0.975, n - 1) * deviation * np.sqrt(1 / n + found.test_to_train)
print(
    f"mean difference {mean:+.2f} points, 95 % interval {mean - reach:+.2f} to {mean + reach:+.2f}, {n} pairs of runs"
)

# %% [markdown]
# foveola's sentence and verdict:

# %%
low, high, _ = found.against_baseline()[0].difference.interval
assert np.allclose((low, high), (mean - reach, mean + reach))
print(found.against_baseline()[0].sentence)

# %% [markdown]
# ## A look at a sharpened run
#
# The curves, test images and probabilities of one of the runs on sharpened images, as in the last notebook. They
# look much like those of plain images. They would also look like this with a gain or a loss of one point, so figures of
# one run can't answer the question.

# %%
every = [fv.open_run(line.path) for line in fv.runs(work)]
sharpened = next(run for run in every if run.recipe.data.chain == "sharpen" and run.seed == 0)
fv.figures.curves(sharpened)

# %%
fv.figures.predictions(sharpened)

# %%
fv.figures.probabilities(sharpened, n=4)

# %% [markdown]
# ## What to expect
#
# A network's kernels can learn to sharpen if that is useful, and the whitening at the beginning of `fast` does something
# similar from the start. Sharpening certainly strengthens the noise in the images, and clipping at 0 and 255 loses
# information. So a gain would be a surprise. Surprises happen, so we measure.
#
# And if the images are just too small? Enlarging them (`--size 64x64`) adds no information either, but gives
# the layers more positions, at four times the cost. You can test in the same way whether it helps.
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
# On CIFAR-10 saved as JPEG this took 22 minutes on two cores. The result:
#
# | images | test accuracy (95 % interval) | against plain, points (95 % interval) | worse in |
# |---|---|---|---|
# | plain | 80.66 % (79.95 to 81.34) | | |
# | sharpened | 79.77 % (79.04 to 80.48) | −0.89 (−1.07 to −0.70) | 10 pairs of 10 |
# | blurred | 80.09 % (79.38 to 80.79) | −0.56 (−0.73 to −0.39) | 10 of 10 |
# | blurred, then sharpened | 80.14 % (79.41 to 80.84) | −0.52 (−0.73 to −0.31) | 10 of 10 |
# | equalized | 76.51 % (75.75 to 77.26) | −4.14 (−4.34 to −3.95) | 10 of 10 |
#
# And the course's own network, as the course trains it but for four epochs, with five seeds: 64.1 % on plain images,
# 64.5 % on sharpened ones, a difference of +0.39 points with an interval from −2.56 to +3.34. Not enough evidence. Look
# at single seeds, though: with seed 0 sharpening hurts by 1.9 points and with seed 4 it helps by 3.8, and McNemar's test
# on the test images is significant for both (p below 0.001). It does not consider other seeds. This is how one run of each
# kind leads to a false claim.
#
# So none of the filters helps `fast`. Each of them hurts: three by half a point to a point, `equalize` by four. The
# difference between the course's two single runs may have been luck, or the other network, or the other number of epochs.
# This result is about these images and these networks. For your own, measure again.
