"""The ablations of the paper's Table 3, and more: what each part of RMPE is worth.

`rows` says what each row changes, `plan` makes jobs of them, `work` is what jobs do, `run` does
them, and `results` makes the table.
"""
