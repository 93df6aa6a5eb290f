"""Archive: how registers become chunks, packs and a manifest (spec/archive.md). Pure.

`chunker` cuts streams, `pack` stores chunks, `reference` and `stream` say where they lie,
`manifest` and `objects` what they mean; `rows`, `filetree` and `largeobjects` fingerprint
content, so that a reconstruction can be proven.
"""
