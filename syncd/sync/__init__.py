"""THE FLOW: from "sync this connection" to a closed run, in four restartable phases.

`flow` opens a run and walks each step through READ + PLAN (`reading`), SETTLE (`settling`), GUARD
(`guarding`) and APPLY (`applying`); `deciding` approves and rejects; `undoing` takes a run back;
`editing` is a person's own change, through the same apply.
"""
