"""The monitor: follows every vault's log of a mission and names what is wrong, and where.

`looking` asks; `judging` decides without asking anybody; `memory` is what is kept between looks.
"""
