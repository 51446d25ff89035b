"""The structure of a network: what happens in it as a graph (`trace`), as a table (`summary`) and as a drawing (`drawing`)."""
