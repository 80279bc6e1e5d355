"""Read pictures and masks, in one piece or by windows. Every decoder is bounded in memory."""
