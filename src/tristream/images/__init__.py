"""From bytes to pixels: decoding, preprocessing and perturbing pictures, without torch."""
