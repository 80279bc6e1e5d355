"""The command study: variants of a network, trained under the same conditions, judged, and recorded."""
