"""Convolutions of 3x3 taps in float32 by `winograd_transforms`: forward, and the gradient of the weights.

Plane by plane a matrix product over the channels; `winograd_strips` does what comes before and after.
"""

from __future__ import annotations

from foveola_kernels.compiled.threads import Task, float32s, own_part, own_thread, words_of
from foveola_kernels.compiled.tiles import add_products, multiply
from foveola_kernels.compiled.winograd_strips import MARGIN, PLANES, clear, cut_of, gather, plane_of, spread
from foveola_kernels.compiled.winograd_transforms import back_to_taps, transform_taps

PIECES = 32
"""Pieces of work of the gradient: shares of the images, each with separate sums, times parts of the outputs."""


@Task
def spread_taps(data):
    """Words: taps (9, n), planes (36, n), n, a multiple of 8, turned: transform the taps, float32, as they come.

    turned: 1 for taps that are rotated by 180 degrees, else 0.
    """
    words = words_of(data, 4)
    n, own = words[2], own_part(words[2] // 8)
    first, step = (words[0] + 4 * 8 * n, -n) if words[3] else (words[0], n)
    if own.start < own.stop:
        transform_taps(first + 32 * own.start, words[1] + 32 * own.start, 3 * step, step, 6 * n, n, len(own))


@Task
def gather_taps(data):
    """Words: sums (shares, 36, outputs, inputs), taps (outputs, 3, 3, inputs), shares, outputs, inputs, a multiple of 8.

    The taps' gradient: the shares' sums are added to the first one's, and transformed back.
    """
    words = words_of(data, 5)
    shares, inputs, n = words[2], words[4], words[3] * words[4]
    for output in own_part(words[3]):
        source, target = words[0] + 4 * output * inputs, words[1] + 36 * output * inputs
        for k in range(PLANES):
            total = float32s(source + 4 * k * n, inputs)
            for share in range(1, shares):
                other = float32s(source + 4 * (share * PLANES + k) * n, inputs)
                for c in range(inputs):
                    total[c] += other[c]
        back_to_taps(source, target, 6 * n, n, 3 * inputs, inputs, inputs // 8)


@Task
def convolve(data):
    """Words: x, weight, bias, y, n, height, width, inputs, outputs, padding above and to the left, panel, memory, its bytes
    for each thread, norm, added, z, mean.

    x: float32 (n, height, width, inputs); weight: transformed, (36, outputs / panel, inputs, panel); bias: (outputs,);
    y: (n, height + 2 padding - 2, the same of the width, outputs), is written whole. Inputs and outputs are multiples of 8;
    panel is one of 24, 16, 8 and a divisor of outputs. A negative padding leaves out pixels at the border. The last four
    may be 0: norm as in `winograd_strips.spread`; added: (3, n * strips, outputs), z and mean as in
    `winograd_strips.gather`.
    """
    words = words_of(data, 18)
    n, height, width, inputs, outputs = words[4], words[5], words[6], words[7], words[8]
    above, left, panel = words[9], words[10], words[11]
    shape = height + 2 * above - 2, width + 2 * left - 2, outputs
    cut = cut_of(shape[0], shape[1])
    strips, tiles, together = cut[0], cut[1] * cut[2], cut[3]
    plane, product, each = plane_of(cut, inputs), plane_of(cut, outputs), 4 * n * strips * outputs
    added = (words[15], words[15] + each, words[15] + 2 * each) if words[15] else (0, 0, 0)
    values, no_totals = words[12] + own_thread() * words[13], float32s(words[0], 0)
    products, patch = values + 4 * PLANES * plane, values + 4 * PLANES * (plane + product)
    # The rows after the last one are multiplied, too. Without zeros there, denormal numbers could make this slow.
    clear(values, 0, PLANES * plane)
    own = own_part(n * strips)
    for begin in range(own.start, own.stop, together):
        part = range(begin, min(own.stop, begin + together))
        maps, origin = (height, width, inputs), (-above, -left)
        spread(words[0], maps, origin, MARGIN, cut, part, patch, values, plane, no_totals, words[14])
        for k in range(PLANES):
            v, m = values + 4 * k * plane, products + 4 * k * product
            multiply(v, words[1] + 4 * k * inputs * outputs, m, len(part) * tiles, inputs, outputs, panel)
        gather(products, product, cut, part, patch, words[2], words[3], shape, added, words[16], words[17])


@Task
def add_gradients_3x3(data):
    """Words: x, dy, sums, n, height, width, inputs, outputs, padding above and to the left, shares, totals, memory, its bytes
    for each thread, norm.

    x: (n, height, width, inputs); dy: (n, height + 2 padding - 2, the same of the width, outputs); sums: (shares, 36,
    outputs, inputs) for `gather_taps` and totals of dy: (shares, outputs), each over a share of the images, are written
    whole. All float32; inputs and outputs are multiples of 8; shares divide PIECES.
    """
    words = words_of(data, 15)
    n, height, width, inputs, outputs = words[3], words[4], words[5], words[6], words[7]
    above, left, shares = words[8], words[9], words[10]
    shape = height + 2 * above - 2, width + 2 * left - 2, outputs
    cut = cut_of(shape[0], shape[1])
    strips, tiles, together = cut[0], cut[1] * cut[2], cut[3]
    plane, other = plane_of(cut, inputs), plane_of(cut, outputs)
    memory = words[12] + own_thread() * words[13]
    totals, no_totals, values = float32s(memory, outputs), float32s(memory, 0), memory + 4 * outputs
    gradients, patch = values + 4 * PLANES * plane, values + 4 * PLANES * (plane + other)
    own, parts = own_part(PIECES), PIECES // shares
    for share in range(own.start // parts, -(-own.stop // parts)):
        # This thread's parts of a share at once. The terms of a sum and their order do not change.
        first = outputs // 4 * max(own.start - parts * share, 0) // parts * 4
        beyond = outputs // 4 * min(own.stop - parts * share, parts) // parts * 4
        if first == beyond:
            continue
        clear(memory, 0, outputs)
        sums = words[2] + 4 * share * PLANES * outputs * inputs
        for k in range(PLANES):
            clear(sums + 4 * k * outputs * inputs, first * inputs, beyond * inputs)
        end = n * (share + 1) // shares * strips
        for begin in range(n * share // shares * strips, end, together):
            part = range(begin, min(end, begin + together))
            maps, origin = (height, width, inputs), (-above, -left)
            spread(words[0], maps, origin, MARGIN, cut, part, patch, values, plane, no_totals, words[14])
            spread(words[1], shape, (0, 0), 0, cut, part, patch, gradients, other, totals, 0)
            for k in range(PLANES):
                at = values + 4 * k * plane, gradients + 4 * k * other
                to = sums + 4 * k * outputs * inputs
                add_products(*at, to, 1, len(part) * tiles, 0, 0, inputs, outputs, inputs, first, beyond)
        out = float32s(words[11] + 4 * share * outputs, outputs)
        for output in range(first, beyond):
            out[output] = totals[output]
