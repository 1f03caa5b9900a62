"""What is asked, and how an answer is read: one verb per file, pure functions of text and completion."""
