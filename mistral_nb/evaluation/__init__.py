"""Is it right? Answers beside the truth, models beside each other, prompts beside each other."""
