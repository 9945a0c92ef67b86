"""``flaredb doctor``: observations (observe), judgements (judge_*: pure), and what to do about each finding."""
