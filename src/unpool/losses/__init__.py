"""Losses over logits and labels, always in float32."""
