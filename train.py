"""Train a Vision Transformer from scratch: ``python train.py --epochs n``."""

from vit_dementia.cli.historical import main, train_app

if __name__ == "__main__":
    main(train_app)
