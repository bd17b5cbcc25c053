"""Each remedy on embeddings equals an independent statement of its formula on a small case."""

import numpy as np
import pytest
from scipy.special import expit

from medaudit.adapt.mitigate import example_weights, last_layer, remedies
from medaudit.adapt.mitigate.adversarial import Adversarial, Conditional
from medaudit.adapt.mitigate.contrastive import Contrastive, contrast
from medaudit.adapt.mitigate.erasure import Eraser
from medaudit.adapt.mitigate.heads import DomainHeads, GroupDRO, LinearHead, TailRisk
from medaudit.adapt.mitigate.problem import Part, Point, Problem, draw_points
from medaudit.adapt.mitigate.training import Batch, train

S, B, C, D, G = 2, 12, 3, 4, 3
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def batch(rng):
    y = rng.integers(0, 2, (S, B)).astype(float)
    group = rng.integers(0, G, (S, B))
    y[:, :6], group[:, :6] = [0, 1] * 3, [0, 0, 1, 1, 2, 2]  # every group has both classes
    weight = rng.uniform(0.5, 2, (S, B, C))
    return Batch(rng.normal(size=(S, B, D)), y, group, 2 * group + y.astype(int), weight)


def parameters_of(head, rng):
    initial = head.initial(D, rng)
    return [rng.normal(size=(S, C, *part.shape)) for part in initial]


def numeric(loss, parameters, step=1e-6):
    """Central differences of a loss [S, C], parameter by parameter."""
    found = []
    for part in parameters:
        slope = np.zeros_like(part)
        for place in np.ndindex(part.shape[2:]):
            sides = []
            for sign in (1, -1):
                part[(..., *place)] += sign * step
                sides.append(loss(parameters))
                part[(..., *place)] -= sign * step
            slope[(..., *place)] = (sides[0] - sides[1]) / (2 * step)
        found.append(slope)
    return found


def cross(z, y):
    return -(y * np.log(expit(z)) + (1 - y) * np.log(1 - expit(z)))


def runs():
    return np.ndindex(S, C)


def linear_logits(parameters, batch, s, c):
    weight, bias = parameters
    return [
        [weight[s, c, o] @ batch.x[s, i] + bias[s, c, o] for o in range(weight.shape[2])]
        for i in range(B)
    ]


def test_reweighing_makes_group_and_class_independent(rng):
    y, group = rng.integers(0, 2, 200), rng.integers(0, 3, 200)
    weights = example_weights.reweighing(y, group)
    for i in range(0, 200, 17):
        n_g, n_y = (group == group[i]).sum(), (y == y[i]).sum()
        both = ((group == group[i]) & (y == y[i])).sum()
        assert weights[i] == pytest.approx(n_g * n_y / (200 * both), abs=1e-12)
    for g in range(3):  # the weighted share of positives is everybody's, in each group
        own = weights[group == g]
        assert (own * y[group == g]).sum() / own.sum() == pytest.approx(y.mean(), abs=1e-9)


def test_equal_shares_give_each_cell_the_same_total(rng):
    cell = np.array([0, 0, 0, 0, 0, 2, 2, 5])
    weights = example_weights.equal_shares(cell)
    assert [weights[cell == c].sum() for c in (0, 2, 5)] == pytest.approx([8 / 3] * 3)


def test_resampling_draws_groups_equally_often(rng):
    group = np.repeat([0, 1], [900, 100])
    drawn = []

    class Spy(LinearHead):
        def gradients(self, parameters, batch):
            drawn.append(batch.group.copy())
            return super().gradients(parameters, batch)

    part = Part(rng.normal(size=(1000, 2)).astype(np.float32), rng.integers(0, 2, 1000), group)
    chance = example_weights.equal_shares(group) / 1000
    training = {"epochs": 20, "batch_size": 100, "weight_decay": 0.0}
    train(Spy(np.array([np.nan])), part, [Point(0.1, np.nan)], training, [rng], chance=chance)
    assert np.mean(np.concatenate(drawn, axis=1) == 1) == pytest.approx(0.5, abs=0.02)


def test_weighted_linear_head(rng, batch):
    head = LinearHead(np.full(C, np.nan))

    def loss(parameters):
        out = np.zeros((S, C))
        for s, c in runs():
            z = linear_logits(parameters, batch, s, c)
            out[s, c] = (
                sum(batch.weight[s, i, c] * cross(z[i][0], batch.y[s, i]) for i in range(B)) / B
            )
        return out

    parameters = parameters_of(head, rng)
    for own, expected in zip(
        head.gradients(parameters, batch), numeric(loss, parameters), strict=True
    ):
        np.testing.assert_allclose(own, expected, **CLOSE)


def test_group_dro_follows_its_algorithm(rng):
    losses, cell = rng.uniform(0, 3, (S, B, C)), rng.integers(0, 4, (S, B))
    cell[cell == 2] = 1  # a group without a row in the batch
    step = np.array([0.01, 0.1, 1.0])
    shares = rng.dirichlet(np.ones(4), (S, C))
    weights, moved = example_weights.worst_group_weights(losses, cell, shares, step)
    for s, c in runs():
        q = shares[s, c].copy()
        for g in range(4):
            own = losses[s, cell[s] == g, c]
            q[g] *= np.exp(step[c] * (own.mean() if len(own) else 0))
        q /= q.sum()
        np.testing.assert_allclose(moved[s, c], q, **CLOSE)
        for i in range(B):
            expected = q[cell[s, i]] / (cell[s] == cell[s, i]).sum()
            assert weights[s, i, c] == pytest.approx(expected, abs=1e-9)


def test_group_dro_starts_from_the_cells_that_occur():
    head = GroupDRO(np.array([0.1]), 1, np.array([0, 0, 3]))
    assert head.shares[0, 0].tolist() == [0.5, 0, 0, 0.5]


def test_cvar_is_the_mean_of_the_worst_losses(rng):
    losses, share = rng.uniform(0, 3, (S, B, C)), np.array([0.25, 0.4, 1.0])
    weights = example_weights.tail_weights(losses, share)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    for s, c in runs():
        # min over eta of eta + mean(max(loss - eta, 0)) / share, attained at a loss
        dual = min(
            eta + np.maximum(losses[s, :, c] - eta, 0).mean() / share[c] for eta in losses[s, :, c]
        )
        assert (weights[s, :, c] * losses[s, :, c]).sum() == pytest.approx(dual, abs=1e-9)
    head = TailRisk(share)
    np.testing.assert_allclose(head.weights(losses, None), weights)


def test_just_train_twice_upweights_the_errors():
    logits, y = np.array([[[2.0, -1.0, 0.5, -3.0]]]), np.array([1, 1, 0, 0])
    weights = example_weights.errors_upweighted(logits, y, np.array([5.0]))[0, 0]
    assert weights == pytest.approx(np.array([1, 5, 5, 1]) / 3)


def test_domain_heads_learn_from_their_own_group_and_average(rng, batch):
    head = DomainHeads(np.full(C, np.nan), G)

    def loss(parameters):
        out = np.zeros((S, C))
        for s, c in runs():
            z = linear_logits(parameters, batch, s, c)
            for i in range(B):
                own = cross(z[i][batch.group[s, i]], batch.y[s, i])
                out[s, c] += batch.weight[s, i, c] * own / B
        return out

    parameters = parameters_of(head, rng)
    for own, expected in zip(
        head.gradients(parameters, batch), numeric(loss, parameters), strict=True
    ):
        np.testing.assert_allclose(own, expected, **CLOSE)
    x = rng.normal(size=(5, D))
    mean = np.einsum("scod,nd->scn", parameters[0], x) / G + parameters[1].mean(axis=2)[..., None]
    np.testing.assert_allclose(head.logits(parameters, x), mean, **CLOSE)


@pytest.mark.parametrize("kind", [Adversarial, Conditional])
def test_adversaries(kind, rng, batch):
    """Encoder and classifier descend their loss minus the adversary's; the adversary its own."""
    cells = rng.integers(0, 2 * G, 60)
    gamma = np.array([0.1, 0.5, 2.0])
    head = kind(gamma, cells, G, 5)
    counts = np.bincount(cells, minlength=2 * G)

    def losses(parameters):
        classifier, adversary = np.zeros((S, C)), np.zeros((S, C))
        w1, b1, w2, b2, w3, b3 = parameters
        for s, c in runs():
            for i in range(B):
                y, g = int(batch.y[s, i]), batch.group[s, i]
                h = np.maximum(w1[s, c] @ batch.x[s, i] + b1[s, c], 0)
                own = cross((w2[s, c] @ h + b2[s, c])[0], y)
                guess = (w3[s, c] @ h + b3[s, c])[y * G : (y + 1) * G]
                share = np.exp(guess) / np.exp(guess).sum()
                balance = 60 / counts[2 * g + y] / (counts > 0).sum()
                if kind is Conditional:
                    own *= 60 / (2 * counts[y::2].sum())
                    adversary[s, c] += balance * -np.log(share[g]) / B
                else:
                    adversary[s, c] += balance * (1 - share[g]) / B
                classifier[s, c] += own / B
        return classifier, adversary

    parameters = parameters_of(head, rng)
    found = head.gradients(parameters, batch)
    encoder = numeric(lambda p: losses(p)[0] - gamma * losses(p)[1], parameters)
    adversary = numeric(lambda p: losses(p)[1], parameters)
    for own, expected in zip(found, [*encoder[:4], *adversary[4:]], strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-6)


def fscl_by_hand(z, y, group, tau):
    """Equations of FSCL+ in loops: positives by group, negatives of the anchor's group, cells."""
    cells: dict[tuple, list] = {}
    for i in range(len(z)):
        negatives = [n for n in range(len(z)) if y[n] != y[i] and group[n] == group[i]]
        positives = [p for p in range(len(z)) if p != i and y[p] == y[i]]
        if not negatives or not positives:
            continue
        total = np.log(sum(np.exp(z[i] @ z[n] / tau) for n in negatives))
        by_group = [
            np.mean([total - z[i] @ z[p] / tau for p in positives if group[p] == g])
            for g in sorted({group[p] for p in positives})
        ]
        cells.setdefault((y[i], group[i]), []).append(np.mean(by_group))
    return np.mean([np.mean(one) for one in cells.values()]) if cells else 0.0


def test_contrastive_loss_and_its_gradient(rng, batch):
    tau = np.array([0.1, 0.3, 0.7])
    head = Contrastive(tau, 5)

    def loss(parameters):
        w1, b1, w2, b2 = parameters
        out = np.zeros((S, C))
        for s, c in runs():
            hidden = np.maximum(batch.x[s] @ w1[s, c].T + b1[s, c], 0)
            z = hidden @ w2[s, c].T + b2[s, c]
            z = z / np.linalg.norm(z, axis=1, keepdims=True)
            out[s, c] = fscl_by_hand(z, batch.y[s], batch.group[s], tau[c])
            assert contrast(z, batch.y[s], batch.group[s], tau[c]) == pytest.approx(
                out[s, c], abs=1e-9
            )
        return out

    parameters = parameters_of(head, rng)
    for own, expected in zip(
        head.gradients(parameters, batch), numeric(loss, parameters), strict=True
    ):
        np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [300, 9])
def test_leace_is_its_closed_form_and_leaves_no_linear_trace(rows, rng):
    group = rng.integers(0, 3, rows)
    group[:3] = [0, 1, 2]
    x = rng.normal(size=(rows, 12)) + group[:, None] * rng.normal(size=12)
    member = (group[:, None] == np.arange(3)).astype(float)
    sigma = np.cov(x.T, bias=True)
    values, vectors = np.linalg.eigh(sigma)
    kept = values > 1e-7 * values.max()
    whiten = vectors[:, kept] @ np.diag(values[kept] ** -0.5) @ vectors[:, kept].T
    cross_covariance = (x - x.mean(axis=0)).T @ (member - member.mean(axis=0)) / rows
    trace = whiten @ cross_covariance
    project = trace @ np.linalg.pinv(trace, rcond=1e-9)
    expected = x - (x - x.mean(axis=0)) @ (np.linalg.pinv(whiten, rcond=1e-9) @ project @ whiten).T
    found = Eraser(x, group)(x)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    left = (found - found.mean(axis=0)).T @ (member - member.mean(axis=0)) / rows
    assert np.abs(left).max() < 1e-8


@pytest.fixture
def problem(rng):
    n = 160
    group, y = rng.integers(0, 2, n), rng.integers(0, 2, n)
    x = (rng.normal(size=(n, 6)) + y[:, None] * 0.8 + group[:, None] * 0.4).astype(np.float32)
    part = Part(x, y, group)
    training = {"epochs": 3, "batch_size": 32, "learning_rate": [0.001, 0.1], "weight_decay": 0.0}
    training |= {"hidden": 4, "configurations": 2}
    return Problem(part, part, 2, 2, training, (1, 2))


def test_deep_feature_reweighting_averages_fits_to_balanced_subsets(problem):
    from sklearn.linear_model import LogisticRegression

    points = draw_points("dfr", (0.001, 0.1), None, 2)
    scores = last_layer.deep_feature_reweighting(problem, points)(problem.val.x)
    train_part, rng = problem.train, np.random.default_rng(1)  # the first seed
    mean = np.zeros(6), 0.0
    for _ in range(last_layer.SUBSETS):
        rows = last_layer.balanced_rows(train_part.cell, rng)
        counts = np.unique(train_part.cell[rows], return_counts=True)[1]
        assert set(counts) == {np.bincount(train_part.cell).min()}
        c = last_layer.penalty(problem, points[0], last_layer.LASSO)
        model = LogisticRegression(l1_ratio=1, solver="liblinear", C=c, random_state=0)
        model.fit(train_part.x[rows].astype(float), train_part.y[rows])
        mean = (
            mean[0] + model.coef_[0] / last_layer.SUBSETS,
            mean[1] + model.intercept_[0] / last_layer.SUBSETS,
        )
    np.testing.assert_allclose(scores[0, 0], problem.val.x @ mean[0] + mean[1], **CLOSE)


def test_reductions_are_the_librarys(problem):
    from fairlearn.reductions import EqualizedOdds, ExponentiatedGradient, GridSearch
    from sklearn.linear_model import LogisticRegression

    part = problem.train
    points = [Point(0.003, 0.05), Point(0.03, 0.1)]
    scores = last_layer.exponentiated_gradient(problem, points)(part.x)
    c = last_layer.penalty(problem, points[0], last_layer.RIDGE)
    direct = ExponentiatedGradient(
        LogisticRegression(C=c, max_iter=200),
        EqualizedOdds(),
        eps=0.05,
        max_iter=last_layer.ITERATIONS,
    ).fit(part.x.astype(float), part.y.astype(int), sensitive_features=part.group)
    share = sum(
        w * direct.predictors_[k].predict_proba(part.x.astype(float))[:, 1]
        for k, w in direct.weights_.items()
        if w > 0
    )
    np.testing.assert_allclose(expit(scores[0, 0]), share, **CLOSE)
    np.testing.assert_array_equal(scores[0], scores[1])  # deterministic: the same for every seed

    found = last_layer.grid_search(problem, points)(part.x)
    middle = np.sqrt(last_layer.RIDGE[0] * last_layer.RIDGE[1])
    grid = GridSearch(LogisticRegression(C=middle, max_iter=200), EqualizedOdds(), grid_size=2)
    grid.fit(part.x.astype(float), part.y.astype(int), sensitive_features=part.group)
    for k, predictor in enumerate(grid.predictors_):
        expected = predictor.predict_proba(part.x.astype(float))[:, 1]
        np.testing.assert_allclose(expit(found[0, k]), expected, **CLOSE)


def test_every_remedy_searches_as_many_points_and_repeats_itself(problem):
    """The result of a remedy depends on its seeds only, not on what ran before it."""
    for name, remedy in remedies.REMEDIES.items():
        points = draw_points(name, (0.001, 0.1), remedy.strength, 2)
        assert len({point.learning_rate for point in points}) == 2
        first, second = (remedy.fit(problem, points)(problem.val.x) for _ in range(2))
        assert first.shape == (2, 2, 160), name
        assert np.isfinite(first).all(), name
        np.testing.assert_array_equal(first, second, err_msg=name)


def test_training_is_adamw_with_a_cosine(rng):
    """Two steps of a weighted logistic regression, by hand."""
    part = Part(rng.normal(size=(6, 2)), rng.integers(0, 2, 6).astype(float), np.zeros(6, int))
    weight = rng.uniform(0.5, 1.5, 6)
    training = {"epochs": 2, "batch_size": 6, "weight_decay": 0.1}
    found = train(
        LinearHead(np.array([np.nan])),
        part,
        [Point(0.05, np.nan)],
        training,
        [np.random.default_rng(3)],
        weight=weight,
    )
    again = np.random.default_rng(3)
    w, b = (p.astype(float) for p in LinearHead(np.array([np.nan])).initial(2, again))
    first, second = np.zeros(3), np.zeros(3)
    for step in range(2):
        z = part.x @ w[0] + b[0]
        error = weight * (expit(z) - part.y) / 6
        gradient = np.append(part.x.T @ error, error.sum())
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        rate = 0.05 * 0.5 * (1 + np.cos(np.pi * step / 2))
        all_ = np.append(w[0], b) * (1 - rate * 0.1)
        all_ -= (
            rate
            * (first / (1 - 0.9 ** (step + 1)))
            / (np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8)
        )
        w, b = all_[None, :2], all_[2:]
    np.testing.assert_allclose(
        np.append(found[0][0, 0], found[1][0, 0]), all_, rtol=1e-5, atol=1e-6
    )
