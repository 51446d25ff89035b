"""Networks for sequences: token ids (B, T) int64 with 0 as padding, or numbers (B, T, F) float32."""
