"""Ten training steps of whole models, and forward checks of the large ones. No weights are stored: see hashed.py."""
import torch
import torch.nn.functional as F

import hashed
import jsonfile
import models

torch.set_num_threads(1)
STEPS = 10
WEIGHTS_ABOUT = (
    "Tensor NAME of the state dict starts as offset + (2u - 1) * scale with u from the hash of NAME (tests/golden/README.md); the f32 run rounds "
    "these doubles to f32."
)
TRACE_ABOUT = (
    "losses[t] is the loss before optimizer step t = 0 .. 9; every step has a batch of its own, {step} in its name is t. first_gradients and final hold "
    "[sum, sum of squares] of the gradients of step 0 and of every parameter and buffer after ten steps. Compare losses to 1e-8 relative in f64 and "
    "1e-3 in f32, a sum to 1e-8 * sqrt(count * sum of squares) in f64. "
)
IMAGES = {"name": "images/{step}", "shape": [8, 3, 32, 32], "scale": 1.7, "offset": 0.0}
LABELS = {"name": "labels/{step}", "shape": [8], "classes": 10}


def image_batch(step, dtype):
    x = hashed.uniform(f"images/{step}", IMAGES["shape"], IMAGES["scale"]).to(dtype)
    return x, hashed.integers(f"labels/{step}", LABELS["shape"], LABELS["classes"])


def sums(tensors):
    return {name: [t.detach().double().sum().item(), t.detach().double().square().sum().item()] for name, t in tensors}


def state_sums(model):
    return sums((n, t) for n, t in model.state_dict().items() if t.is_floating_point())


def train(make_model, make_optimizer, loss_of, dtype, prepare=lambda m: None, after_step=lambda m: None):
    """Returns (model, weight rules, losses, gradient sums of the first step)."""
    torch.set_default_dtype(dtype)
    model = make_model()
    rules = models.fill(model)
    prepare(model)
    optimizer, losses, first = make_optimizer(model), [], None
    model.train()
    for step in range(STEPS):
        loss = loss_of(model, step, dtype)
        optimizer.zero_grad()
        loss.backward()
        if first is None:
            first = sums((n, p.grad) for n, p in model.named_parameters())
        optimizer.step()
        losses.append(loss.item())
        after_step(model)
    return model, rules, losses, first


def trace(make_model, make_optimizer, loss_of, after=None, single=True):
    """The parts of a trace file that are the same for every model; single=False leaves out the f32 run."""
    row = {}
    for tag, dtype in (("f64", torch.float64), ("f32", torch.float32)):
        if tag == "f32" and not single:
            continue
        model, rules, losses, first = train(make_model, make_optimizer, loss_of, dtype)
        row[tag] = {"losses": losses}
        if tag == "f64":
            row[tag].update(first_gradients=first, final=state_sums(model))
            if after:
                row[tag].update(after(model))
            row["tensors"] = rules
    torch.set_default_dtype(torch.float64)
    report(row)
    return {"tensors": row.pop("tensors"), **row}


def report(row):
    losses = row["f64"]["losses"]
    if "f32" in row:
        worst = max(abs(a - b) / abs(a) for a, b in zip(losses, row["f32"]["losses"]))
        assert worst < 2e-4, f"the f32 run is {worst:.1e} away: too much for a comparison to 1e-3"
        print(f"  losses {losses[0]:.4f} .. {losses[-1]:.4f}, f32 within {worst:.1e}")
    else:
        print(f"  losses {losses[0]:.4f} .. {losses[-1]:.4f}")


def image_loss(model, step, dtype):
    x, y = image_batch(step, dtype)
    return F.cross_entropy(model(x), y)


def eval_logits(model):
    model.eval()
    with torch.no_grad():
        return {"eval_logits_of_images_0": model(image_batch(0, torch.float64)[0]).tolist()}


def resnet20():
    """At rate 0.1 a ReLU that rounding turns over moves later losses by percents in f32, so that run is f64 only."""
    for name, lr in (("resnet20", 0.002), ("resnet20_high_rate", 0.1)):
        options = {"lr": lr, "momentum": 0.9, "weight_decay": 1e-4}
        row = trace(models.CifarResNet, lambda m: torch.optim.SGD(m.parameters(), **options), image_loss, eval_logits, single=lr < 0.1)
        jsonfile.write("traces", name, {
            "about": TRACE_ABOUT + WEIGHTS_ABOUT, "model": "CIFAR ResNet-20 (option A), batch norm in training mode; names as akamaster's",
            "loss": "cross entropy, mean", "optimizer": "SGD", "options": options, "images": IMAGES, "labels": LABELS, **row})


def vit():
    options = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.05}
    row = trace(models.Vit, lambda m: torch.optim.AdamW(m.parameters(), **options), image_loss, eval_logits)
    jsonfile.write("traces", "vit", {
        "about": TRACE_ABOUT + "The key part of qkv.bias has a gradient of zero but for rounding. " + WEIGHTS_ABOUT,
        "model": "ViT, timm's names: pre-norm, class token, GELU (erf), LayerNorm eps 1e-6, no dropout",
        "config": {"width": 48, "depth": 2, "heads": 3, "patch": 8, "image": 32, "mlp_ratio": 4, "classes": 10},
        "loss": "cross entropy, mean", "optimizer": "AdamW", "options": options, "images": IMAGES, "labels": LABELS, **row})


def llama(tied):
    config = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 64,
              "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": tied}
    options = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}
    tokens = {"name": "tokens/{step}", "shape": [4, 17], "vocab": 64}

    def batch(step):
        return hashed.integers(f"tokens/{step}", tokens["shape"], tokens["vocab"])

    def loss_of(model, step, dtype):
        t = batch(step)
        return F.cross_entropy(model(t[:, :-1]).flatten(0, 1), t[:, 1:].flatten())

    def last_logits(model):
        with torch.no_grad():
            return {"last_position_logits_of_tokens_0": model(batch(0)[:, :-1])[:, -1].tolist()}

    row = trace(lambda: models.Llama(config), lambda m: torch.optim.AdamW(m.parameters(), **options), loss_of, last_logits)
    jsonfile.write("traces", "llama_tied" if tied else "llama", {
        "about": TRACE_ABOUT + "A row of tokens is 17 long: the first 16 are the input, the last 16 the targets. " + WEIGHTS_ABOUT,
        "model": "llama decoder, Hugging Face names, rotary embedding by halves", "config": config,
        "loss": "cross entropy, mean over all positions", "optimizer": "AdamW", "options": options, "tokens": tokens, **row})


def imagenet_resnets():
    images = {"name": "images", "shape": [2, 3, 64, 64], "scale": 1.7, "offset": 0.0}
    labels = [3, 8]
    for name, make in (("resnet18", models.resnet18), ("resnet50", models.resnet50)):
        result = {}
        for tag, dtype in (("f64", torch.float64), ("f32", torch.float32)):
            torch.set_default_dtype(dtype)
            model = make()
            rules = models.fill(model)
            x = hashed.uniform(images["name"], images["shape"], images["scale"]).to(dtype)
            model.eval()
            with torch.no_grad():
                result[tag] = {"eval_logits": model(x).tolist()}
            model.train()
            logits = model(x)
            loss = F.cross_entropy(logits, torch.tensor(labels))
            result[tag].update(train_logits=logits.tolist(), train_loss=loss.item())
            if tag == "f64":
                loss.backward()
                result[tag]["gradients"] = sums((n, p.grad) for n, p in model.named_parameters())
                result[tag]["buffers_after"] = sums((n, t) for n, t in model.named_buffers() if t.is_floating_point())
        torch.set_default_dtype(torch.float64)
        for key in ("eval_logits", "train_logits"):
            a, b = (torch.tensor(result[t][key]) for t in ("f64", "f32"))
            print(f"  {name} {key}: largest {a.abs().max():.3g}, f32 within {(a - b).abs().max() / a.abs().max():.1e}")
        jsonfile.write("traces", name, {
            "about": "Logits in evaluation mode, then one forward and backward in training mode (cross entropy, mean) on the same images; gradients and "
                     "buffers_after hold [sum, sum of squares]. " + WEIGHTS_ABOUT,
            "model": name + ", torchvision's names, 10 classes", "images": images, "labels": labels, "tensors": rules, **result})


def main():
    resnet20()
    vit()
    llama(False)
    llama(True)
    imagenet_resnets()


if __name__ == "__main__":
    main()
