"""Fine-tune a pre-trained ViT: ``python train_transferlearning.py --epochs n``."""

from vit_dementia.cli.historical import main, transfer_app

if __name__ == "__main__":
    main(transfer_app)
