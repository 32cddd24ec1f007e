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
# # 4. What the network sees
#
# Nobody has chosen the kernels of a trained network. What do they react to? This notebook looks
# inside: at the maps that the five convolutions of the course's network make of one picture, at the kernels
# themselves, at a single number on its way through, and at heat maps that show which part of a picture speaks for
# its class.
#
# `FOVEOLA_COURSE_FACES` names your folder; without it, pieces of two photos are used. They overlap, so the accuracy
# below says nothing about new photos.

# %%
import os
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

import foveola as fv
from foveola.data.builtin import write_photo_pieces
from foveola.explanations.stages import stages_of
from foveola.figures import explanations as plots
from foveola.models.build import build
from foveola.runs.predictor import load_network

given = os.environ.get("FOVEOLA_COURSE_FACES")
work = Path(mkdtemp())
folder = Path(given) if given else write_photo_pieces(work / "pieces", each=200)
size, epochs = "224x224", 40
print(
    "your folder" if given else "embedded pieces of two photos",
    "at",
    size,
    "for",
    epochs,
    "epochs",
)

run = fv.train(
    folder,
    model="alexnet_mini",
    size=size,
    epochs=epochs,
    out=work / "run",
    seed=0,
)
print(run.headline)

# %% [markdown]
# We take the test picture that the network is most certain about, and rightly so.

# %%
found = run.evaluation
certain = int(np.where(found.correct, found.probabilities.max(axis=1), 0).argmax())
path = folder / found.ids[certain]
network = load_network(run.path)
picture = network.see(path.read_bytes())
target = int(found.predicted[certain])
print(
    found.ids[certain],
    "is",
    found.class_names[target],
    f"({found.probabilities[certain, target]:.1%})",
)

# %% [markdown]
# ## Feature maps
#
# Each kernel of a convolution gives one map: bright where the kernel found what it reacts to. The first layer has
# 32 of them, at a quarter of the picture's height and width. They are drawn behind ReLU. Every map has its own scale,
# from its least to its greatest value. A map in grey is the same everywhere: for this picture the channel shows
# nothing, and is called dead.

# %%
maps = {
    name: fv.EXPLANATIONS["feature_maps"](network.model, picture, [name])[0]
    for name in stages_of(network.model)
}
for name, one in maps.items():
    print(
        f"{name}: {len(one.values)} channels of {one.values.shape[1]}x{one.values.shape[2]}, {one.dead} dead"
    )

# %%
plots.feature_maps(maps["relu1"])

# %% [markdown]
# In the first layer the picture can still be recognised: these are mostly edges, colours, brightness, much as the
# kernels of the first notebook show them.

# %%
plots.feature_maps(maps["relu2"])

# %%
plots.feature_maps(maps["relu3"])

# %%
plots.feature_maps(maps["relu4"])

# %%
plots.feature_maps(maps["relu5"])

# %% [markdown]
# The maps become smaller (the list above says how large they are), and the deeper the layer, the less they look like a
# picture. A bright point in the last one says: *something of a certain kind is about here*. What kind, the network has
# worked out for itself.
#
# ## The kernels themselves
#
# Only the first layer's kernels lie over colours, so only they can be drawn as pictures. Grey is zero.

# %%
plots.kernels(fv.EXPLANATIONS["kernels"](network.model))

# %% [markdown]
# Clear stripes and spots of colour are the sign of a network that has seen many pictures. Kernels that look like noise
# have hardly moved from where they began: a few hundred pictures are not enough for the layer to take shape. The
# weights before the first step can be drawn again, from the same seed. How far are they from the learned ones? (A
# correlation of 1 would mean that nothing has changed but perhaps the scale; two draws have about 0.)

# %%
before = build("alexnet_mini", fv.Size.parse(size), len(found.class_names), seed=run.seed)
weights = [one.conv1.weight.detach().ravel() for one in (before, network.model)]
print(f"correlation with the start: {np.corrcoef(*weights)[0, 1]:.2f}")

# %% [markdown]
# Compare with a network that has seen a million pictures: train with `--model transfer` and draw its kernels. (They are
# only 3 x 3.)
#
# ## What excites a channel
#
# A map says where in *one* picture a channel reacts. One can ask the other way round: which parts of all test pictures
# excite it most? A row is a channel of the last convolution; the six with the greatest values are drawn. If its patches
# have something in common, that may be what the channel looks for. May be: what you see in common need not be what the
# channel reacts to.

# %%
seen = np.stack([network.see((folder / name).read_bytes()) for name in found.ids])
plots.patches(
    fv.EXPLANATIONS["max_activating"](network.model, seen, "relu5"),
    "relu5",
    channels=6,
)

# %% [markdown]
# ## Which pictures are alike to it
#
# Before its last layer the network has turned each picture into a row of numbers. Pictures with like numbers are alike
# *to the network*. t-SNE lays them out so that neighbours stay neighbours, as far as a plane allows; how far apart two
# groups lie means nothing. The last layer can only draw a straight border through those numbers: where the classes are
# mixed here, it may make mistakes. (May: what is mixed in the plane need not be mixed in all the numbers.)

# %%
places = fv.EXPLANATIONS["embedding"](network.model, seen)
plots.layout(places, found.labels, found.predicted, found.class_names, seen, "t-SNE")

# %% [markdown]
# ## One number on its way
#
# There is no secret in a layer. Here is one number of the first convolution, the greatest one. The kernel lies over a
# patch of the (normalised) picture, 11 x 11 points of three colours; number by number they are multiplied, and all is
# added up, and a bias. What is negative then, ReLU makes 0.

# %%
first = fv.EXPLANATIONS["feature_maps"](network.model, picture, ["conv1"])[0].values
place = [int(k) for k in np.unravel_index(first.argmax(), first.shape)]
pixel = fv.EXPLANATIONS["one_pixel"](network.model, picture, "conv1", *place)
assert abs(pixel.total - pixel.value) < 1e-3
print(
    f"{pixel.products.size} products and a bias make {pixel.total:.4f}; the network itself says {pixel.value:.4f}"
)

# %%
plots.one_pixel(pixel, picture)

# %% [markdown]
# In the third convolution it is the same, with 64 inputs in place of three colours, and a kernel of 3 x 3 numbers for
# each. Four inputs are drawn, those that count most. What the place sees of the picture has become much larger.

# %%
third = fv.EXPLANATIONS["one_pixel"](network.model, picture, "conv3", 0, 3, 3)
plots.one_pixel(third, picture)

# %% [markdown]
# ## Where it looks
#
# Four methods, one question: which part of the picture speaks for the class? **Grad-CAM** weighs the last maps by
# how much each one matters for the class. **HiResCAM** does it place by place. **Occlusion** is the simplest to
# understand: cover a square in the picture's mean colour, and see how far the logarithm of the probability falls.
# **Integrated gradients** add up what every single pixel contributes on the way from that mean colour, everywhere the
# same, to the picture.

# %%
methods = ("gradcam", "hirescam", "occlusion", "integrated_gradients")
heat = [fv.EXPLANATIONS[method](network.model, picture, target) for method in methods]
plots.heatmaps(picture, heat, found.class_names)

# %% [markdown]
# The same for another class. If both maps light up in the same place, the place matters, but says little about
# *why*.

# %%
other = (target + 1) % len(found.class_names)
plots.heatmaps(
    picture,
    [fv.EXPLANATIONS[method](network.model, picture, other) for method in methods],
    found.class_names,
)

# %% [markdown]
# **Be careful with heat maps.** They show where the answer is sensitive. They do not show a reason, and not that
# the answer is right; and a nice map can be found for a wrong answer as well. A simple test (J. Adebayo et al., "Sanity
# Checks for Saliency Maps", 2018): a network with random weights should give *another* map. Does it?

# %%
untrained = build("alexnet_mini", fv.Size.parse(size), len(found.class_names), seed=1)
untrained.normalise.load_state_dict(network.model.normalise.state_dict())
drawn = [heat[0], fv.EXPLANATIONS["gradcam"](untrained, picture, target)]
plots.heatmaps(picture, drawn, found.class_names)

# %% [markdown]
# ## In one command each
#
# ```
# foveola explain runs/... photo.jpg maps --method feature_maps
# foveola explain runs/... - kernels.png --method kernels
# foveola explain runs/... faces excites.png --method max_activating
# foveola explain runs/... faces alike.png --method embedding
# foveola explain runs/... photo.jpg pixel.png --method one_pixel --stage conv1
# foveola explain runs/... photo.jpg why.png --method gradcam
# ```
