"""Read pictures and masks, at once or by windows. Every decoder is bounded in memory."""
