"""Second implementations, written from spec/ alone, that the real ones are held against."""
