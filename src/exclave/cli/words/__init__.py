"""Statements in plain words, for officials, who are no technicians: shown before they sign.

    statement   what a statement says, who is asked, when it takes effect, what follows
    charter     what a charter says
    warrant     what a warrant says
    order       what an order says
    asked       which rosters are asked, who has signed, how many are needed still
    timing      when it takes effect, and what can stop it
    standing    what stands at each vault
    states      where a statement stands
    bag         what was wrong with a bag, and where each is
    effects     what a signature makes possible, and what cannot be undone

Pure: lines from values. They show what the payload says, not what somebody says about it.
"""
