"""What a vault keeps of one mission: its log, its objects, the index made from both."""
