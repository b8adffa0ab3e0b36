"""The gate of the released stage 2: what closes it, what opens it, and what survives a break."""

from __future__ import annotations

import pytest
import torch

from trainer.stages.gate import CALM, FIRST, Gate


def begun(atc: float = 2.0) -> Gate:
    gate = Gate()
    assert all(gate.passes(atc) == 1.0 for _ in range(FIRST))
    return gate


def test_it_stays_open_while_the_loss_falls() -> None:
    gate = begun()
    assert all(gate.passes(2.0 - 0.01 * step) == 1.0 for step in range(50))


def test_it_closes_when_the_loss_rises_and_opens_after_a_calm_time() -> None:
    gate = begun()
    rising = [gate.passes(3.0) for _ in range(3)]
    assert rising[-1] == 0.0
    calm = [gate.passes(1.0) for _ in range(CALM + 20)]
    opened = calm.index(1.0)
    assert CALM - 1 <= opened < CALM + 10 and all(calm[opened:])


def test_one_bad_step_alone_does_not_close_it() -> None:
    gate = begun()
    assert gate.passes(2.2) == 1.0  # a fifth of 10 % is less than 3 %


def test_the_guard_costs_only_above_the_bound_with_a_gradient() -> None:
    gate = Gate()
    assert float(gate.guard(torch.tensor(9.0))) == 0.0  # the base is not known yet
    gate = begun()
    gate.passes(2.0)
    assert float(gate.guard(torch.tensor(2.0))) == 0.0
    atc = torch.tensor(3.0, requires_grad=True)
    cost = gate.guard(atc)
    cost.backward()
    assert cost.item() == pytest.approx(2 * (3.0 - 2.0 * 1.03)) and float(atc.grad) == 2.0


def test_a_restored_gate_goes_on_where_it_was() -> None:
    one, other = begun(), Gate()
    one.passes(3.0)
    other.restore(one.state())
    assert [one.passes(x) for x in (3.0, 3.0, 1.0)] == [other.passes(x) for x in (3.0, 3.0, 1.0)]
    assert one.state() == other.state()
