"""THE FLOW: from "sync this connection" to a closed run, in four restartable phases.

`flow` opens a run; `walking` takes each of its steps through READ + PLAN (`reading`), SETTLE
(`settling`), GUARD (`guarding`) and APPLY (`applying`); `closing` sums up. `deciding` approves and
rejects; `undoing` takes a run back; `editing` is a person's own change, through the same apply.
"""
