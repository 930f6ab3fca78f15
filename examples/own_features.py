"""Your own features: a classifier that says when it does not know, without images."""

from sklearn.datasets import load_digits

from hierclf import OpenSetClassifier

X, y = load_digits(return_X_y=True)  # any float features [N, D] do, such as those of a backbone
known = y < 8

model = OpenSetClassifier(goal="balanced").fit(X[known][::2], y[known][::2])
print("known digits right:", round(model.score(X[known][1::2], y[known][1::2]), 3))
print("new digits found:", round(model.score(X[~known], y[~known]), 3))
expected = model.promise_["sub_unseen"]
assert expected is not None
print(
    f"promised for new classes: {expected.expected:.2f} ({expected.low:.2f} to {expected.high:.2f})"
)
