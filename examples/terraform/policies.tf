# Who may do what with the one repository.
resource "aws_ecr_repository_policy" "prod" {
  repository = aws_ecr_repository.prod.name
  policy     = data.aws_iam_policy_document.prod.json
}

data "aws_iam_policy_document" "prod" {
  statement {
    sid = "Pull"

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${data.aws_caller_identity.current.account_id}:root"]
    }

    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:GetDownloadUrlForLayer",
    ]
  }
}

# Who may send images to the registry.
resource "aws_ecr_registry_policy" "this" {
  policy = data.aws_iam_policy_document.registry.json
}

data "aws_iam_policy_document" "registry" {
  statement {
    sid = "ReplicationFromTheOtherAccount"

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${var.replication_source}:root"]
    }

    actions = [
      "ecr:CreateRepository",
      "ecr:ReplicateImage",
    ]

    resources = [
      "arn:aws:ecr:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:repository/*",
    ]
  }
}
