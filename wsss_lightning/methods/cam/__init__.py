"""Plain class activation maps and a student of them: what the four papers are measured against."""
