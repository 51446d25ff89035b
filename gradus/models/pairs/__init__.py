"""Networks for pairs of texts: a tuple of two tensors of token ids, (B, T) and (B, U), 0 as padding -> (B, num_classes)."""
