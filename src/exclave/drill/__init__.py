"""Drills of a real mission: its deposit reconstructed for practice, with its officials and cards.

Attacks on a made-up mission are the demo's (`exclave.demo.attack`).
"""
