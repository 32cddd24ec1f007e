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
# # 2. A folder of images
#
# Before a network can learn anything, there must be data: images, and a label for each one. Here the
# data is a folder with one sub-folder for each class. The names of the sub-folders are the classes.
#
# These notebooks were made with 400 photos of faces in two classes. Put the path of that folder, or of any folder of
# your own, into the environment variable `FOVEOLA_COURSE_FACES`. Without it this notebook cuts pieces of many
# sizes out of two photos that come with scikit-learn, and the classes are "flower" and "temple". The steps are
# the same; the numbers are not.

# %%
import os
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

import foveola as fv


def write_pieces(folder, each):
    """Cut `each` pieces of many sizes out of each photo, and save them in one folder per class."""
    rng = np.random.default_rng(0)
    for name, photo in (("flower", "flower.jpg"), ("temple", "china.jpg")):
        whole = load_sample_image(photo)
        (folder / name).mkdir(parents=True)
        for number in range(each):
            height, width = rng.integers(60, 321, 2)
            top, left = (
                rng.integers(0, whole.shape[0] - height),
                rng.integers(0, whole.shape[1] - width),
            )
            piece = whole[top : top + height, left : left + width]
            Image.fromarray(piece).save(folder / name / f"{number:04d}.jpg", quality=90)
    return folder


given = os.environ.get("FOVEOLA_COURSE_FACES")
folder = Path(given) if given else write_pieces(Path(mkdtemp()) / "pieces", each=200)
dataset = fv.open_dataset(folder)
print(
    "your folder" if given else "embedded pieces of two photos:",
    len(dataset),
    "images,",
    dataset.class_names,
)

# %% [markdown]
# ## Two classes of people: a word before we begin
#
# The original data shows faces, and its two classes sort people by their looks. A program can learn to repeat
# such labels. It can't find out who somebody is. A face does not tell a person's gender, origin, honesty or
# health; what the program learns is how *these* photos were sorted by *that* collector, with light, hair and
# make-up among the reasons. If such a program decides about people, it tends to be wrong most often for those who
# were rare in its data, and that is easily missed, because its numbers were measured on more of the same.
#
# Whoever collects photos of people needs their consent, for this use; photos found on the internet have authors,
# licences and often people in them who were never asked. Two questions before every collection: *May I?* and *What
# happens to the people it gets wrong?* For learning how networks work, flowers and temples do as well.

# %% [markdown]
# ## Raw images
#
# Photos come in all sizes and shapes. `prepare` reads them all; a damaged file is left out, and listed.

# %%
prepared = fv.prepare(dataset, fv.Size(224, 224))
dataset = prepared.dataset
for problem in dataset.problems:
    print(problem.file, problem.reason)
first = [np.flatnonzero(dataset.labels == label)[:5] for label in range(len(dataset.class_names))]
fv.figures.samples(
    [[dataset.read(i) for i in rows] for rows in first],
    dataset.class_names,
    "as they are",
)

# %%
fv.figures.sizes(prepared.sizes[:, 0], prepared.sizes[:, 1])

# %% [markdown]
# The course's network needs all images to have the same size, here 224 by 224 pixels. There are three usual ways.
# *Stretching* changes its proportions. *Cropping* cuts something off. *Padding* keeps everything and fills the rest with
# black, as in the course.

# %%
tall = dataset.read(int(np.argmax(prepared.sizes[:, 0] / prepared.sizes[:, 1])))
ways = ("stretch", "crop", "pad")
fv.figures.side_by_side([fv.resize(tall, fv.Size(224, 224), how) for how in ways], ways)

# %%
fv.figures.samples(
    [[prepared.pixels[i] for i in rows] for rows in first],
    dataset.class_names,
    "padded to 224 x 224",
)

# %% [markdown]
# Each image is now a block of 224 x 224 x 3 numbers. Its three colours:

# %%
fv.figures.channels(prepared.pixels[0])

# %% [markdown]
# ## Look at the data before the network does
#
# How many images does each class have? If one class has nine tenths of them, a program that always predicts this class is
# right in nine of ten cases, and has learned nothing.

# %%
fv.figures.class_counts(dataset.counts(), dataset.class_names)

# %% [markdown]
# The mean image of a class shows what its images have in common. If the means differ a lot (in brightness, in a
# border, in a background), a network can use that, whether or not it has to do with the class.

# %%
fv.figures.class_means(prepared.pixels, dataset.labels, dataset.class_names)

# %% [markdown]
# ## Train, validation, test
#
# We want to know how often the network is right on images *it has never seen*. So the images are divided at random
# within each class:
#
# - from **train** it learns;
# - **val** (validation) is for our choices: how long to train, which network to keep;
# - **test** is used once, at the very end.
#
# Why not choose by test? Because the best of many tries on the same images is partly luck. If you choose by test, you
# report the luck along with the skill, and the network will be worse on new images. The more choices, the larger the
# difference.

# %%
parts = fv.split(prepared, seed=0)
print("train", len(parts.train), " val", len(parts.val), " test", len(parts.test))
print(parts.rule)
assert not set(parts.train) & set(parts.test)

# %% [markdown]
# Two things are easily forgotten. The same image, saved twice under two names, must not be in train *and* in
# test. foveola compares the images' content and keeps equal images in the same set. And images of the same person,
# plant or film must stay together as well. foveola can't know these groups, so you name them (`--group-by`).
#
# The embedded pieces break this rule. All pieces of a class are cut out of one photo, and they overlap. So nearly
# everything in a test piece is in some training piece, too. With one photo per class this can't be avoided. An accuracy
# on these pieces shows how well the network recognises the two photos, and nothing about photos it has never seen. The
# next notebook therefore uses other images.
#
# ## In one command each
#
# ```
# foveola show-data faces figures --size 224x224   # these figures, except stretch, crop and pad
# foveola train faces --size 224x224               # prepares, splits, trains, measures
# ```
