from __future__ import annotations

import torch

from vit_dementia.models.lora import add_lora, merge_lora, merged_state


def test_a_fresh_change_changes_nothing(small, images) -> None:
    model, plain = small(), small()
    add_lora(model, rank=2)
    assert torch.equal(model(images), plain(images))


def test_only_the_change_and_the_head_learn_and_k_stays(small, images) -> None:
    model = small()
    learning = add_lora(model, rank=2)
    assert learning == 3 * (2 * 24 + 48 * 2) + 24 * 5 + 5
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.1
    )
    for _ in range(3):
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()
    before = small().state_dict()
    trained = model(images)
    beside = merged_state(model)
    assert torch.equal(model(images), trained)
    merge_lora(model)
    after = model.state_dict()
    assert list(beside) == list(after)
    assert all(torch.equal(beside[name], after[name]) for name in after)
    assert after.keys() == before.keys()
    assert torch.equal(model(images), trained)  # merged exactly
    for name in before:
        q, k, v = (
            (
                torch.equal(new, old)
                for new, old in zip(
                    after[name].chunk(3), before[name].chunk(3), strict=True
                )
            )
            if name.endswith("qkv.weight")
            else (None, True, None)
        )
        if name.endswith("qkv.weight"):
            assert (q, k, v) == (False, True, False)
        elif not name.startswith("head"):
            assert torch.equal(after[name], before[name]), name


def test_any_dense_layer_may_change(small, images) -> None:
    model = small()
    add_lora(model, rank=1, where=r"blocks\.1\.mlp\.fc2", learn=())
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    assert names == ["blocks.1.mlp.fc2.lora_a", "blocks.1.mlp.fc2.lora_b"]
    torch.nn.init.normal_(model.blocks[1].mlp.fc2.lora_b)
    changed = model(images)
    merge_lora(model)
    assert torch.equal(model(images), changed)
