"""What stands at one vault, decided from its log alone (spec/standing.md).

`phases` the transition table; `values` what is remembered; `counting` whose signatures count and
how long a statement waits; `draft` what events do; `machine` from one standing to the next;
`admission` what may be logged at all; `effects` what orders in force amount to.

Pure: time is passed in, signatures are counted by whoever has the keys.
"""
