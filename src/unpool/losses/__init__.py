"""Losses of logits and labels, always computed in float32."""
