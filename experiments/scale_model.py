#!/usr/bin/env python3
"""How much of an update many GPUs would spend exchanging gradients and parameters: from bytes and published link speeds,
nothing measured but the rate of one GPU. Prints the table of docs/performance.md. Usage: scale_model.py"""

TOKENS = 33792  # of each side, a device and update
RATE = 405e12  # FLOP/s of base at that size, one H200 (docs/performance.md)
LINK_SHARE = 0.8  # of a link's speed that an exchange reaches
GRADIENT_BYTES = 4  # of a parameter: f32 sums travel to the owner of the slice
COPY_BYTES = 2  # its bf16 value travels back
BACKWARD_SHARE = 2 / 3  # of an update's time, behind which gradients can travel

# name: model width, inner width, layers of encoder and decoder, vocabulary
MODELS = {
    "Base, 6+6, d 512": (512, 2048, 6, 32000),
    "Big, 6+6, d 1024": (1024, 4096, 6, 32000),
    "100+100, d 512": (512, 2048, 100, 32000),
    "500+500, d 512": (512, 2048, 500, 32000),
}
# name: devices; those of a machine; bytes/s of a device each way within a machine, and out of it
PLACES = {
    "8 GPUs, NVLink (450 GB/s each way)": (8, 8, 450e9, None),
    "64 machines of 8, 400 Gbit/s a GPU": (512, 8, 450e9, 50e9),
}


def parameters(width, inner, layers, vocabulary):
    """Of encoder layers, decoder layers and the tied embedding; biases and norms left out."""
    attention, feed_forward = 4 * width * width, 2 * width * inner
    return layers * (attention + feed_forward), layers * (2 * attention + feed_forward), vocabulary * width


def seconds_of_computing(encoder, decoder, embedding):
    """A product with a parameter costs two operations a token forward, four backward."""
    return 6 * TOKENS * (encoder + decoder + embedding) / RATE


def seconds_on_links(size, place, sums_in_machine_first):
    """Of what every device sends, `size` bytes cut into equal slices for all devices."""
    devices, of_machine, inside, outside = place
    inner = size * (of_machine - 1) / devices / inside
    if outside is None:
        return inner / LINK_SHARE
    outer = size * (devices - of_machine) / devices
    if sums_in_machine_first:  # the devices of a machine share the way out of their sum, or in of their copy
        inner, outer = size * (of_machine - 1) / of_machine / inside, outer / of_machine
    return max(inner, outer / outside) / LINK_SHARE


def share_of_linear(model, place, overlaps, sums_in_machine_first=False):
    sizes = parameters(*model)
    computing = seconds_of_computing(*sizes)
    gradients = seconds_on_links(GRADIENT_BYTES * sum(sizes), place, sums_in_machine_first)
    copies = seconds_on_links(COPY_BYTES * sum(sizes), place, sums_in_machine_first)
    waiting = max(0.0, gradients - BACKWARD_SHARE * computing) if overlaps else gradients
    return computing / (computing + waiting + copies)


def main():
    print("| model | parameters | place | gradients travel after the backward pass | during it "
        "| ... summed within each machine first |")
    print("|---|---|---|---|---|---|")
    for name, model in MODELS.items():
        for place_name, place in PLACES.items():
            shares = [share_of_linear(model, place, *how) for how in ((False,), (True,), (True, True))]
            cells = " | ".join(f"{100 * share:.1f} %" for share in shares)
            print(f"| {name} | {sum(parameters(*model)) / 1e6:,.0f} M | {place_name} | {cells} |")


if __name__ == "__main__":
    main()
